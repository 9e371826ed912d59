//! Rows combined by segment: the functions of `segments.wgsl`, called for every segment, row and element.

use std::fmt::Write as _;

use thalweg_ir::{
    op::segments::Segments,
    schedule::ir::{BufId, BufferSpec, Whole},
};
use thalweg_shaders::{SEGMENTS, function};

use super::{
    Caps,
    kernel::{Builder, Kernel, Source, linear_grid},
    ops::register,
    reduce::Reduction,
};

/// Clears the tallies, makes them, and reads each result from them.
pub fn kernels(of: &Segments, whole: &Whole, buffers: &[BufferSpec], caps: &Caps) -> Vec<Kernel> {
    let shape = &whole.inputs[0].shape;
    let launch = Launch {
        of: *of,
        x: whole.inputs[0].buf,
        segment: whole.inputs[1].buf,
        rows: shape[0] * shape[1],
        length: shape[1],
        columns: shape[2],
        slots: shape[0] * of.count,
        buffers,
        caps,
    };
    let mut kernels = vec![launch.clear(), launch.tally()];
    if let Some(y) = &whole.outputs[0] {
        kernels.push(launch.combine(y.buf));
    }
    if let Some(counts) = &whole.outputs[1] {
        kernels.push(launch.count(counts.buf));
    }
    kernels
}

/// What the kernels of a launch have in common.
struct Launch<'a> {
    of: Segments,
    x: BufId,
    segment: BufId,
    /// Of all batches.
    rows: usize,
    /// Rows of a batch.
    length: usize,
    columns: usize,
    /// Segments of all batches.
    slots: usize,
    buffers: &'a [BufferSpec],
    caps: &'a Caps,
}

impl<'a> Launch<'a> {
    fn clear(&self) -> Kernel {
        let mut k = self.builder();
        let store = k.storer(Source::Words);
        let words = [self.slots, self.length].map(|n| k.params.fixed(n));
        self.finish(k, ["clear", "segments_clear"], &[("store_tally", &store)], &words, self.slots)
    }

    fn tally(&self) -> Kernel {
        let mut k = self.builder();
        let load = k.loader(self.segment);
        let [add, min] = k.tallies(Source::Words);
        let [slots, length, segments] = [self.slots, self.length, self.of.count].map(|n| k.params.fixed(n));
        let words = [slots, length, segments, k.start(self.segment)];
        let holes = [("load_segment", &load), ("add_tally", &add), ("min_tally", &min)];
        self.finish(k, ["tally", "segments_tally"], &holes, &words, self.rows)
    }

    /// Workgroups of one segment each where rows are wide, else of elements one by one.
    fn combine(&self, y: BufId) -> Kernel {
        let mut k = self.builder();
        let wg = self.wg() as usize;
        let width = if self.columns.is_multiple_of(4) { 4 } else { 1 };
        let columns = self.columns / width;
        let (load_segment, load_tally) = (k.loader(self.segment), k.loader(Source::Words));
        let [load_x, store_y] = match width {
            4 => [k.loader4(self.x), k.storer4(y)],
            _ => [k.loader(self.x), k.storer(y)],
        };
        let words = [self.slots, self.length, columns, self.of.count].map(|n| k.params.fixed(n));
        let [slots_word, _, columns_word, _] = words.clone();
        let words = [&words[..], &[k.start(self.x), k.start(self.segment), k.start(y)]].concat();
        let how = Reduction { op: self.of.op, class: k.kind(self.x).class() };
        let scalar = register(how.class);
        let value = if width == 4 { format!("vec4<{scalar}>") } else { scalar.to_string() };
        let mut combined = how.combine("y", "x");
        if width == 4 {
            combined = combined.replace("_f32(", "_f32_v4(");
        }
        let _ = writeln!(k.functions, "fn combined(y: {value}, x: {value}) -> {value} {{ return {combined}; }}");
        let holes = [
            ("load_segment", load_segment.as_str()),
            ("load_x", &load_x),
            ("load_tally", &load_tally),
            ("store_y", &store_y),
            ("identity", &how.init()),
            ("Value", &value),
            ("width", &format!("{width}u")),
        ];
        k.functions.push_str(&function(SEGMENTS, "combine", &holes));
        let group = "(wid.y * nwg.x + wid.x)";
        let groups = if columns >= wg / 2 {
            let blocks = columns.div_ceil(wg);
            let block = k.params.fixed(blocks);
            k.line(format!("let slot = {group} / {block};"));
            k.line(format!("let column = ({group} - slot * {block}) * {wg}u + lid;"));
            self.slots * blocks
        } else {
            k.line(format!("let i = {group} * {wg}u + lid;"));
            k.line(format!("let slot = i / {columns_word};"));
            k.line(format!("let column = i - slot * {columns_word};"));
            (self.slots * columns).div_ceil(wg)
        };
        k.line(format!("if slot >= {slots_word} || column >= {columns_word} {{ return; }}"));
        k.line(format!("combine(slot, column, {});", words.join(", ")));
        k.finish("segments_combine", [wg as u32, 1, 1], linear_grid(groups, self.caps.max_grid))
    }

    fn count(&self, counts: BufId) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(Source::Words), k.storer(counts));
        let words = [k.start(counts)];
        let holes = [("load_tally", &load), ("store_count", &store)];
        self.finish(k, ["count", "segments_count"], &holes, &words, self.slots)
    }

    fn wg(&self) -> u32 {
        self.caps.max_workgroup.min(64)
    }

    fn builder(&self) -> Builder<'a> {
        let mut k = Builder::new(self.caps, self.buffers);
        k.scratch_len = 2 * self.slots;
        k
    }

    /// The kernel that calls a function of the file, the first of two names, for each of `total` invocations.
    fn finish(
        &self,
        mut k: Builder<'a>,
        [name, entry]: [&'static str; 2],
        holes: &[(&str, &String)],
        words: &[String],
        total: usize,
    ) -> Kernel {
        let holes: Vec<(&str, &str)> = holes.iter().map(|(hole, with)| (*hole, with.as_str())).collect();
        k.functions.push_str(&function(SEGMENTS, name, &holes));
        let wg = self.wg();
        let end = k.params.fixed(total);
        k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
        k.line(format!("if i >= {end} {{ return; }}"));
        k.line(format!("{name}(i, {});", words.join(", ")));
        k.finish(entry, [wg, 1, 1], linear_grid(total.div_ceil(wg as usize), self.caps.max_grid))
    }
}
