//! Rows combined by segment: the functions of `segments.wgsl`, called for every segment, row and element.

use std::{fmt::Write as _, ops::Range};

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
    shape::MAX_ITERATIONS,
};

/// Invocations of a workgroup that combines.
const MANY: usize = 64;
/// Slots that a workgroup combines one after the other, at most, and workgroups that keep a device busy.
const TURNS: usize = 16;
const GROUPS: usize = 1 << 12;

/// Sorts the rows by segment, finds where those of each begin, and reads each result from that.
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
    // Runs stand in one half of the words and are merged into the other.
    let (mut run, mut from, mut to) = (launch.wg(), 0, 2 * launch.rows);
    let mut kernels = vec![launch.order(from)];
    while run < launch.rows {
        kernels.push(launch.merge(run, from, to));
        (from, to) = (to, from);
        run *= 2;
    }
    kernels.push(launch.starts(from));
    if let Some(y) = &whole.outputs[0] {
        let step = launch.step();
        // The last begins the segments that nobody has behind all rows.
        let passes = (0..=launch.rows / step).map(|pass| pass * step..(pass + 1) * step);
        kernels.extend(passes.map(|places| launch.combine(y.buf, from + launch.rows, places)));
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
    fn order(&self, to: usize) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(self.segment), k.storer(Source::Words));
        let wg = self.wg();
        let _ = writeln!(k.globals, "var<workgroup> sh_slots: array<u32, {wg}>;");
        let [rows, length, segments, slots] =
            [("rows", self.rows), ("length", self.length), ("segments", self.of.count), ("slots", self.slots)]
                .map(|(name, n)| k.params.fixed(name, n));
        let words = [rows, length, segments, slots, k.start(self.segment), k.params.fixed("sorted", to)];
        let block = format!("{wg}u");
        let holes = [("load_segment", load.as_str()), ("store_word", &store), ("BLOCK", &block)];
        k.functions.push_str(&function(SEGMENTS, "order", &holes));
        k.line(format!("order((wid.y * nwg.x + wid.x) * {wg}u + lid, lid, {});", words.join(", ")));
        k.finish("segments_order", [wg as u32, 1, 1], linear_grid(self.rows.div_ceil(wg), self.caps.max_grid))
    }

    fn merge(&self, run: usize, from: usize, to: usize) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(Source::Words), k.storer(Source::Words));
        let words = [("rows", self.rows), ("run", run), ("sorted", from), ("merged", to)]
            .map(|(name, n)| k.params.fixed(name, n));
        let holes = [("load_word", load.as_str()), ("store_word", &store)];
        self.finish(k, ["merge", "segments_merge"], &holes, &words, self.rows)
    }

    fn starts(&self, sorted: usize) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(Source::Words), k.storer(Source::Words));
        let words = [("rows", self.rows), ("sorted", sorted), ("starts", self.starts_at())]
            .map(|(name, n)| k.params.fixed(name, n));
        let holes = [("load_word", load.as_str()), ("store_word", &store)];
        self.finish(k, ["starts", "segments_starts"], &holes, &words, self.slots + 1)
    }

    /// Sorted rows that one launch combines: an invocation may have them all.
    fn step(&self) -> usize {
        if self.caps.software { MAX_ITERATIONS - TURNS } else { self.rows + 1 }
    }

    /// A workgroup has a block of columns of some slots, one after the other.
    fn combine(&self, y: BufId, sorted_rows: usize, places: Range<usize>) -> Kernel {
        let mut k = self.builder();
        let wg = self.wg();
        let width = if self.columns.is_multiple_of(4) { 4 } else { 1 };
        let columns = self.columns / width;
        let load_word = k.loader(Source::Words);
        let [load_x, load_y, store_y] = match width {
            4 => [k.loader4(self.x), k.loader4(y), k.storer4(y)],
            _ => [k.loader(self.x), k.loader(y), k.storer(y)],
        };
        let words = [("columns", columns), ("sorted", sorted_rows), ("starts", self.starts_at())]
            .map(|(name, n)| k.params.fixed(name, n));
        let columns_word = words[0].clone();
        let ends = [("first", places.start), ("end", places.end)].map(|(name, n)| k.params.fixed(name, n));
        let words = [&words[..], &[k.start(self.x), k.start(y)], &ends].concat();
        let how = Reduction { op: self.of.op, class: k.kind(self.x).class() };
        let scalar = register(how.class);
        let value = if width == 4 { format!("vec4<{scalar}>") } else { scalar.to_string() };
        let mut combined = how.combine("y", "x");
        if width == 4 {
            combined = combined.replace("_f32(", "_f32_v4(");
        }
        let _ = writeln!(k.functions, "fn combined(y: {value}, x: {value}) -> {value} {{ return {combined}; }}");
        let holes = [
            ("load_x", load_x.as_str()),
            ("load_word", &load_word),
            ("load_y", &load_y),
            ("store_y", &store_y),
            ("identity", &how.init()),
            ("Value", &value),
            ("width", &format!("{width}u")),
        ];
        k.functions.push_str(&function(SEGMENTS, "combine", &holes));
        // Powers of two, so that an invocation finds its own without a division; a whole workgroup has one slot at a time where rows
        // are wide, and so looks for its rows once.
        let along = columns.next_power_of_two().min(wg);
        let beside = (MANY.min(wg) / along).max(1);
        let blocks = columns.div_ceil(along);
        let turns = (self.slots * blocks / (beside * GROUPS)).clamp(1, TURNS);
        let [slots_word, blocks_word, turns_word] =
            [("slots", self.slots), ("blocks", blocks), ("turns", turns)].map(|(name, n)| k.params.fixed(name, n));
        let own = if beside > 1 { format!(" + lid / {along}u") } else { String::new() };
        k.line("let group = wid.y * nwg.x + wid.x;");
        k.line(format!("let slots = group / {blocks_word};"));
        k.line(format!("let column = (group - slots * {blocks_word}) * {along}u + lid % {along}u;"));
        k.open(format!("for (var turn = 0u; turn < {turns_word}; turn++) {{"));
        k.line(format!("let slot = (slots * {turns_word} + turn) * {beside}u{own};"));
        k.line(format!(
            "if slot < {slots_word} && column < {columns_word} {{ combine(slot, column, {}); }}",
            words.join(", ")
        ));
        k.close();
        let groups = self.slots.div_ceil(beside * turns) * blocks;
        let size = (along * beside) as u32;
        k.finish("segments_combine", [size, 1, 1], linear_grid(groups, self.caps.max_grid))
    }

    fn count(&self, counts: BufId) -> Kernel {
        let mut k = self.builder();
        let (load, store) = (k.loader(Source::Words), k.storer(counts));
        let words = [k.params.fixed("starts", self.starts_at()), k.start(counts)];
        let holes = [("load_word", load.as_str()), ("store_count", &store)];
        self.finish(k, ["count", "segments_count"], &holes, &words, self.slots)
    }

    /// Invocations of a workgroup: a power of two.
    fn wg(&self) -> usize {
        let most = self.caps.max_workgroup.min(256);
        1 << most.ilog2()
    }

    /// The word where the starts begin.
    fn starts_at(&self) -> usize {
        4 * self.rows
    }

    fn builder(&self) -> Builder<'a> {
        let mut k = Builder::new(self.caps, self.buffers);
        k.scratch_len = self.starts_at() + self.slots + 1;
        k
    }

    /// The kernel that calls a function of the file, the first of two names, for each of `total` invocations.
    fn finish(
        &self,
        mut k: Builder<'a>,
        [name, entry]: [&'static str; 2],
        holes: &[(&str, &str)],
        words: &[String],
        total: usize,
    ) -> Kernel {
        k.functions.push_str(&function(SEGMENTS, name, holes));
        let wg = self.wg();
        let end = k.params.fixed("points", total);
        k.line(format!("let i = (wid.y * nwg.x + wid.x) * {wg}u + lid;"));
        k.line(format!("if i >= {end} {{ return; }}"));
        k.line(format!("{name}(i, {});", words.join(", ")));
        k.finish(entry, [wg as u32, 1, 1], linear_grid(total.div_ceil(wg), self.caps.max_grid))
    }
}
