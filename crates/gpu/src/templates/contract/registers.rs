//! A contraction in registers alone: each invocation sums PER_M rows × 4 columns.
//!
//! ```text
//!                 lane 0   lane 1   lane 2 …
//!               ┌────────┬────────┬────────┐   B: each lane reads its own four columns
//!          k →  │ 4 cols │ 4 cols │ 4 cols │
//!   ┌────┐      ├────────┼────────┼────────┤
//!   │ A  │      │        │        │        │   A: lane l reads row l (and l + lanes, …) of the PER_M rows that the
//!   │rows│      │ PER_M  │ PER_M  │ PER_M  │   subgroup shares; the others get it by a broadcast
//!   └────┘      └────────┴────────┴────────┘
//! ```
//!
//! On a CPU that runs shaders a load costs as much as dozens of multiply-adds, and it is made once for each lane: so
//! every element is loaded by one lane of the subgroup. Elsewhere `lanes` is 1 and each invocation reads for itself.

use thalweg_ir::schedule::ir::BufferSpec;

use super::{
    super::{
        Caps,
        kernel::{Builder, Kernel, Source, decode, linear_grid},
        point::LANES,
    },
    epilogue::{Epilogue, quads},
    normal::{Normal, Side},
    operand::{Operand, Reads, Row},
    stored::Stored,
};

/// The form of a kernel in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows of an invocation; its columns are 4.
    pub per_m: usize,
    /// Invocations that share their rows: the subgroup's, or 1.
    pub lanes: usize,
    /// Groups of `lanes` invocations in a workgroup.
    pub groups: usize,
    /// Parts of k.
    pub splits: usize,
    /// Extent of a part along the first summed coordinate; where the text is shared, steps of k in a part.
    pub chunk: usize,
    /// Whether the text is shared by all shapes.
    pub shared: bool,
}

/// The kernel: the whole contraction, or partial sums in scratch memory where `tile.splits` is more than 1.
pub fn kernel(c: &Normal, buffers: &[BufferSpec], caps: &Caps, tile: Tile) -> Kernel {
    let mut k = Builder::new(caps, buffers);
    let Tile { per_m, lanes, groups, splits, shared, .. } = tile;
    k.shared = shared;
    let (tiles_m, tiles_n) = (c.m.div_ceil(per_m), c.n.div_ceil(4 * lanes));
    let total = tiles_m * tiles_n * c.batch * splits;
    let [m, n] = [("m", c.m), ("n", c.n)].map(|(name, e)| k.params.fixed(name, e));
    let words = [("tiles", total), ("tiles_m", tiles_m), ("tiles_n", tiles_n), ("batches", c.batch)]
        .map(|(name, e)| k.params.fixed(name, e));
    let tile_word = if lanes > 1 { "sg_id" } else { "lid" };
    k.line(format!("let tile = (wid.y * nwg.x + wid.x) * {groups}u + {tile_word};"));
    k.line(format!("if tile >= {} {{ return; }}", words[0]));
    let m0 = k.name("row", format!("tile % {} * {per_m}u", words[1]));
    let rest = k.name("rest", format!("tile / {}", words[1]));
    let lane = if lanes > 1 { " + lane" } else { "" };
    let n0 = k.name("column", format!("({rest} % {} * {lanes}u{lane}) * 4u", words[2]));
    let rest = k.name("rest", format!("{rest} / {}", words[2]));
    let batch =
        if c.batch == 1 && !shared { "0u".to_string() } else { k.name("batch", format!("{rest} % {}", words[3])) };
    let split = if splits == 1 && !shared { String::new() } else { k.name("split", format!("{rest} / {}", words[3])) };

    let reads = |side: &Side, total: usize| if shared { Reads::Single } else { Reads::of(side, &c.k, total) };
    let mut a = Operand::new(&mut k, c, "a", &c.a, reads(&c.a, c.m));
    let mut b = Operand::new(&mut k, c, "b", &c.b, reads(&c.b, c.n));
    a.hoist(&mut k);
    b.hoist(&mut k);
    let batch_a = a.batch(&mut k, &batch);
    let batch_b = b.batch(&mut k, &batch);
    let rows = tile_rows(&mut k, &mut a, &batch_a, [&m0, &m], tile);
    let columns = tile_columns(&mut k, &mut b, &batch_b, [&n0, &n], shared);
    for i in 0..per_m {
        k.line(format!("var c{i} = vec4f();"));
    }

    let (a, b) = ((&mut a, &rows[..]), (&mut b, &columns[..]));
    if shared {
        one_loop(&mut k, c, a, b, &split, tile)
    } else {
        nested_loops(&mut k, c, a, b, &split, tile)
    }
    results(&mut k, c, tile, [&split, &batch, &words[3]], [&m0, &n0], [&m, &n]);
    k.subgroups = lanes > 1;
    let workgroup = [(groups * lanes) as u32, 1, 1];
    k.finish("contract", workgroup, linear_grid(total.div_ceil(groups), caps.max_grid))
}

/// The rows whose elements this invocation loads.
fn tile_rows(k: &mut Builder, a: &mut Operand, batch: &[String], [m0, m]: [&str; 2], tile: Tile) -> Vec<Row> {
    let Tile { per_m, lanes, .. } = tile;
    let each = if a.reads == Reads::AlongRows { 4 } else { 1 };
    (0..per_m.div_ceil(each * lanes))
        .map(|r| {
            let own = match lanes {
                1 => format!("{m0} + {}u", r * each),
                _ => format!("{m0} + (lane + {}u) * {each}u", r * lanes),
            };
            let row = k.name("row", format!("min({own}, {m} - {each}u)"));
            a.row(k, batch, &row, 0)
        })
        .collect()
}

/// The columns of this invocation: one part for four where they are read at once, else one for each.
fn tile_columns(k: &mut Builder, b: &mut Operand, batch: &[String], [n0, n]: [&str; 2], shared: bool) -> Vec<Row> {
    let neighbours = b.side.rows.last().is_some_and(|e| e % 4 == 0) && !shared;
    if b.reads == Reads::AlongRows || neighbours {
        let first = k.name("column", format!("min({n0}, {n} - 4u)"));
        let count = if b.reads == Reads::AlongRows { 1 } else { 4 };
        return (0..count).map(|j| b.row(k, batch, &first, j)).collect();
    }
    (0..4)
        .map(|j| {
            let column = k.name("column", format!("min({n0} + {j}u, {n} - 1u)"));
            b.row(k, batch, &column, 0)
        })
        .collect()
}

/// A side, and the rows of it that this invocation reads.
type Loaded<'p, 'a> = (&'p mut Operand<'a>, &'p [Row]);

/// A loop for each summed coordinate; only the first is split.
fn nested_loops(k: &mut Builder, c: &Normal, a: Loaded, b: Loaded, split: &str, tile: Tile) {
    let step = if a.0.reads == Reads::AlongK || b.0.reads == Reads::AlongK { 4 } else { 1 };
    let mut coords = Vec::new();
    for (d, extent) in c.k.iter().enumerate() {
        let (mut from, mut end) = ("0u".to_string(), k.params.fixed(format!("depth_{d}"), *extent));
        if d == 0 && tile.splits > 1 {
            let chunk = k.params.fixed("chunk", tile.chunk);
            from = k.name("from", format!("{split} * {chunk}"));
            end = k.name("end", format!("min({from} + {chunk}, {end})"));
        }
        let j = k.fresh("k");
        let advance = if d + 1 == c.k.len() && step > 1 { format!("{j} += {step}u") } else { format!("{j}++") };
        k.open(format!("for (var {j} = {from}; {j} < {end}; {advance}) {{"));
        coords.push(j);
    }
    products(k, a, b, &coords, step, tile);
    for _ in &c.k {
        k.close();
    }
}

/// One loop however many coordinates are summed: each loop would carry all sums, and they are what takes long to compile.
fn one_loop(k: &mut Builder, c: &Normal, a: Loaded, b: Loaded, split: &str, tile: Tile) {
    let extents = k.params.all("depth", &c.k);
    let [chunk, depth] = [("chunk", tile.chunk), ("k", c.k.iter().product())].map(|(name, e)| k.params.fixed(name, e));
    let from = k.name("from", format!("{split} * {chunk}"));
    let end = k.name("end", format!("min({from} + {chunk}, {depth})"));
    let mut coords = Vec::new();
    for first in decode(k, &from, &c.k, &extents) {
        let j = k.fresh("k");
        k.line(format!("var {j} = {first};"));
        coords.push(j);
    }
    let flat = k.fresh("k");
    k.open(format!("for (var {flat} = {from}; {flat} < {end}; {flat}++) {{"));
    products(k, a, b, &coords, 1, tile);
    advance(k, &coords, &extents);
    k.close();
}

/// The next point of the summed coordinates.
fn advance(k: &mut Builder, coords: &[String], extents: &[String]) {
    let Some((last, others)) = coords.split_last() else { return };
    k.line(format!("{last}++;"));
    let mut inner = last;
    for (d, coord) in others.iter().enumerate().rev() {
        let full = k.read("full", format!("{inner} == {}", extents[d + 1]));
        k.line(format!("{inner} = select({inner}, 0u, {full});"));
        k.line(format!("{coord} += select(0u, 1u, {full});"));
        inner = coord;
    }
}

/// What is done with the sums: they are stored as partial sums, or the body is computed on them.
///
/// In a loop that moves the rows of sums through `c0`: a block for each row would be most of what there is to compile,
/// and an array would be memory.
fn results(
    k: &mut Builder,
    c: &Normal,
    tile: Tile,
    [split, batch, batches]: [&str; 3],
    [m0, n0]: [&str; 2],
    [m, n]: [&str; 2],
) {
    let Tile { per_m, splits, shared, .. } = tile;
    let quads = quads(c) && !shared;
    let (points, inside): (Vec<String>, Vec<String>) = if quads {
        (vec![k.name("column", format!("min({n0}, {n} - 4u)"))], vec![format!("{n0} < {n}")])
    } else {
        (0..4).map(|j| (k.name("column", format!("min({n0} + {j}u, {n} - 1u)")), format!("{n0} + {j}u < {n}"))).unzip()
    };
    let mut to = match Stored::of(c, splits) {
        Some(stored) if shared => To::Stored(stored.columns(k, [split, batch], &points)),
        _ if splits > 1 => To::Scratch,
        _ => {
            let mut epilogue = Epilogue::new(k, c);
            epilogue.columns(k, batch, &points);
            To::Body(epilogue)
        }
    };
    if splits > 1 {
        k.scratch_len = splits * c.batch * c.m * c.n;
    }
    let rows = k.name("rows", format!("min({m0} + {per_m}u, {m})"));
    let row = k.fresh("row");
    k.open(format!("for (var {row} = {m0}; {row} < {rows}; {row}++) {{"));
    match &mut to {
        To::Stored(stored) => stored.row(k, &row, "c0", &inside),
        To::Scratch => partial(k, c, [split, batch, batches], [&row, n0], [m, n], "c0"),
        To::Body(epilogue) => epilogue.row(k, &row, "c0", &inside),
    }
    for i in 1..per_m {
        k.line(format!("c{} = c{i};", i - 1));
    }
    k.close();
}

/// Where sums go.
enum To<'a> {
    /// To memory as they are, by words alone.
    Stored(Stored),
    /// To scratch memory.
    Scratch,
    /// Into the body.
    Body(Epilogue<'a>),
}

/// `c_i += a_i · b` for one step of k, or for four.
fn products(k: &mut Builder, (a, rows): Loaded, (b, columns): Loaded, coords: &[String], step: usize, tile: Tile) {
    let lanes = tile.lanes;
    let share = |k: &mut Builder, values: &[String], i: usize| match lanes {
        1 => values[i].clone(),
        _ => k.name("shared", format!("subgroupBroadcast({}, {}u)", values[i / lanes], i % lanes)),
    };
    let first_a = a.step(k, coords);
    let first_b = b.step(k, coords);
    let four_a: Vec<String> = match a.reads {
        Reads::AlongK => rows.iter().map(|row| a.four(k, row, &first_a)).collect(),
        _ => vec![],
    };
    let four_b: Vec<String> = match b.reads {
        Reads::AlongK => columns.iter().map(|column| b.four(k, column, &first_b)).collect(),
        _ => vec![],
    };
    for (kk, lane) in LANES.iter().enumerate().take(step) {
        let mut at = coords.to_vec();
        if let Some(last) = at.last_mut()
            && kk > 0
        {
            *last = k.name("k", format!("{last} + {kk}u"));
        }
        let values_b: Vec<String> = match b.reads {
            Reads::AlongK => four_b.iter().map(|v| format!("{v}.{lane}")).collect(),
            reads => {
                let part = b.step(k, &at);
                let wide = reads == Reads::AlongRows;
                columns.iter().map(|c| if wide { b.four(k, c, &part) } else { b.one(k, c, &part) }).collect()
            }
        };
        let vector = match values_b.len() {
            1 => values_b[0].clone(),
            _ => k.read("b", format!("vec4f({})", values_b.join(", "))),
        };
        let values_a: Vec<String> = match a.reads {
            Reads::AlongK => (0..tile.per_m).map(|i| format!("{}.{lane}", share(k, &four_a, i))).collect(),
            Reads::AlongRows => {
                let part = a.step(k, &at);
                let four: Vec<String> = rows.iter().map(|row| a.four(k, row, &part)).collect();
                (0..tile.per_m).map(|i| format!("{}.{}", share(k, &four, i / 4), LANES[i % 4])).collect()
            }
            Reads::Single => {
                let part = a.step(k, &at);
                let single: Vec<String> = rows.iter().map(|row| a.one(k, row, &part)).collect();
                (0..tile.per_m).map(|i| share(k, &single, i)).collect()
            }
        };
        for (i, x) in values_a.iter().enumerate() {
            k.line(format!("c{i} += {x} * {vector};"));
        }
    }
}

/// Stores four sums of one split: scratch is `[splits, batch, m, n]`.
fn partial(
    k: &mut Builder,
    c: &Normal,
    [split, batch, batches]: [&str; 3],
    [row, n0]: [&str; 2],
    [m, n]: [&str; 2],
    acc: &str,
) {
    let base = k.name("base", format!("({split} * {batches} + {batch}) * {m}"));
    k.open(format!("if {row} < {m} && {n0} < {n} {{"));
    let at = k.name("at", format!("({base} + {row}) * {n} + {n0}"));
    if c.n.is_multiple_of(4) {
        k.store4(Source::Scratch, &at, acc);
    } else {
        for (j, lane) in LANES.iter().enumerate() {
            k.open(format!("if {n0} + {j}u < {n} {{"));
            k.store(Source::Scratch, &format!("{at} + {j}u"), &format!("{acc}.{lane}"));
            k.close();
        }
    }
    k.close();
}
