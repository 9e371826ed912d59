//! Rows combined by segment: the functions of `segments.wgsl`, called for every segment, row and element.

use thalweg_ir::{
    op::segments::Segments,
    schedule::ir::{BufId, BufferSpec, Whole},
    shape::count,
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
        kernels.push(launch.combine(y.buf, count(&y.shape)));
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

    fn combine(&self, y: BufId, total: usize) -> Kernel {
        let mut k = self.builder();
        let (load_segment, load_x, load_tally) = (k.loader(self.segment), k.loader(self.x), k.loader(Source::Words));
        let store = k.storer(y);
        let [slots, length, columns, segments] =
            [self.slots, self.length, self.columns, self.of.count].map(|n| k.params.fixed(n));
        let words = [slots, length, columns, segments, k.start(self.x), k.start(self.segment), k.start(y)];
        let how = Reduction { op: self.of.op, class: k.kind(self.x).class() };
        let value = register(how.class);
        let combined =
            format!("fn combined(y: {value}, x: {value}) -> {value} {{ return {}; }}\n", how.combine("y", "x"));
        k.functions.push_str(&combined);
        let holes = [
            ("load_segment", &load_segment),
            ("load_x", &load_x),
            ("load_tally", &load_tally),
            ("store_y", &store),
            ("identity", &how.init()),
        ];
        self.finish(k, ["combine", "segments_combine"], &holes, &words, total)
    }

    fn count(&self, counts: BufId) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(Source::Words), k.storer(counts));
        let words = [k.start(counts)];
        let holes = [("load_tally", &load), ("store_count", &store)];
        self.finish(k, ["count", "segments_count"], &holes, &words, self.slots)
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
        let wg = self.caps.max_workgroup.min(64);
        let end = k.params.fixed(total);
        k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
        k.line(format!("if i >= {end} {{ return; }}"));
        k.line(format!("{name}(i, {});", words.join(", ")));
        k.finish(entry, [wg, 1, 1], linear_grid(total.div_ceil(wg as usize), self.caps.max_grid))
    }
}
