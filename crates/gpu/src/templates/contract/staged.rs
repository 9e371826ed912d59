//! A contraction through workgroup memory, for hardware: the workgroup loads each element of its tile's operands once.
//!
//! ```text
//!              TILE_N              C's tile stays in registers; sh_a and sh_b hold one TILE_K
//!           ┌─────────┐ TILE_K     step of A and B:   load · barrier · store · barrier · multiply-add
//!           │  sh_b   │
//!    ┌────┐ ├─────────┤            invocation (x, y) owns rows 4y … 4y+3 and columns 4x … 4x+3 of each half
//!    │sh_a│ │    C    │ TILE_M     of the tile (of the whole tile when it owns 4 × 4)
//!    └────┘ └─────────┘
//!    TILE_K
//! ```
//!
//! Both tiles lie k by k, so that a step of k reads whole vectors of rows and of columns.

use thalweg_ir::schedule::ir::BufferSpec;

use super::{
    super::{
        Caps,
        kernel::{Builder, Kernel, decode, linear_grid},
    },
    epilogue::{Epilogue, LANES, quads},
    normal::Normal,
    operand::{Operand, Reads, Row},
    registers::partial,
};

/// Steps of k in a tile.
pub const TILE_K: usize = 16;

/// The form of a staged kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Invocations along the columns.
    pub x: usize,
    /// Invocations along the rows.
    pub y: usize,
    /// Blocks of 4 × 4 results along each side that an invocation owns: 1 or 2.
    pub blocks: usize,
    /// Parts of k.
    pub splits: usize,
    /// Steps of k in each part, a multiple of [`TILE_K`] but where there is one part.
    pub chunk: usize,
}

impl Stage {
    /// Rows of a workgroup's tile.
    pub fn tile_m(self) -> usize {
        4 * self.y * self.blocks
    }

    /// Columns of a workgroup's tile.
    pub fn tile_n(self) -> usize {
        4 * self.x * self.blocks
    }
}

/// The kernel: the whole contraction, or partial sums in scratch memory where there are several splits.
pub fn kernel(c: &Normal, buffers: &[BufferSpec], caps: &Caps, stage: Stage) -> Kernel {
    let mut k = Builder::new(caps, buffers);
    let Stage { x, y, blocks, splits, chunk } = stage;
    let (tile_m, tile_n, depth) = (stage.tile_m(), stage.tile_n(), c.k.iter().product::<usize>());
    let (tiles_m, tiles_n) = (c.m.div_ceil(tile_m), c.n.div_ceil(tile_n));
    let total = tiles_m * tiles_n * c.batch * splits;
    let [m, n] = [c.m, c.n].map(|e| k.params.fixed(e));
    let words = [total, tiles_m, tiles_n, c.batch].map(|e| k.params.fixed(e));
    k.line("let tile = wid.y * nwg.x + wid.x;");
    k.line(format!("if tile >= {} {{ return; }}    // the whole workgroup", words[0]));
    let tile_row = k.name(format!("tile % {} * {tile_m}u", words[1]));
    let rest = k.name(format!("tile / {}", words[1]));
    let tile_column = k.name(format!("{rest} % {} * {tile_n}u", words[2]));
    let rest = k.name(format!("{rest} / {}", words[2]));
    let batch = if c.batch == 1 { "0u".to_string() } else { k.name(format!("{rest} % {}", words[3])) };
    let split = if splits == 1 { String::new() } else { k.name(format!("{rest} / {}", words[3])) };

    let extents: Vec<String> = c.k.iter().map(|e| k.params.fixed(*e)).collect();
    let (mut from, mut end) = ("0u".to_string(), k.params.fixed(depth));
    if splits > 1 {
        let chunk = k.params.fixed(chunk);
        from = k.name(format!("{split} * {chunk}"));
        end = k.name(format!("min({from} + {chunk}, {end})"));
    }
    let ragged = depth % TILE_K != 0;
    let sides = [(&c.a, c.m, &tile_row, &m, tile_m, "sh_a"), (&c.b, c.n, &tile_column, &n, tile_n, "sh_b")];
    let mut loads: Vec<Load> = sides
        .into_iter()
        .map(|(side, count, first, end, tile, name)| {
            let operand = Operand::new(&mut k, c, side, Reads::of(side, &c.k, count));
            let batch = operand.batch(&mut k, &batch);
            Load::new(&mut k, operand, &batch, [first, end], [tile, x * y], name)
        })
        .collect();
    for load in &loads {
        k.globals.push_str(&format!("var<workgroup> {}: array<vec4f, {}>;\n", load.name, TILE_K * load.tile / 4));
    }
    let (rows, quads_n) = (4 * blocks, blocks);
    for i in 0..rows {
        for q in 0..quads_n {
            k.line(format!("var c{i}_{q} = vec4f();"));
        }
    }
    let tx = k.name(format!("lid % {x}u"));
    let ty = k.name(format!("lid / {x}u"));

    k.open(format!("for (var kt = {from}; kt < {end}; kt += {TILE_K}u) {{"));
    let stores: Vec<String> =
        loads.iter_mut().flat_map(|load| load.read(&mut k, &c.k, &extents, ragged.then_some(end.as_str()))).collect();
    k.line("workgroupBarrier();    // every invocation has read the tile before");
    stores.iter().for_each(|store| k.line(store));
    k.line("workgroupBarrier();    // the tile is complete");
    k.open(format!("for (var kk = 0u; kk < {TILE_K}u; kk++) {{"));
    for q in 0..blocks {
        k.line(format!("let a{q} = sh_a[kk * {}u + {ty} + {}u];", tile_m / 4, q * y));
        k.line(format!("let b{q} = sh_b[kk * {}u + {tx} + {}u];", tile_n / 4, q * x));
    }
    for i in 0..rows {
        for q in 0..quads_n {
            k.line(format!("c{i}_{q} += a{}.{} * b{q};", i / 4, LANES[i % 4]));
        }
    }
    k.close();
    k.close();

    let mut epilogue = (splits == 1).then(|| Epilogue::new(&mut k, c));
    for q in 0..quads_n {
        let n0 = k.name(format!("{tile_column} + {tx} * 4u + {}u", q * x * 4));
        let (points, inside): (Vec<String>, Vec<String>) = if quads(c) {
            (vec![k.name(format!("min({n0}, {n} - 4u)"))], vec![format!("{n0} < {n}")])
        } else {
            (0..4).map(|j| (k.name(format!("min({n0} + {j}u, {n} - 1u)")), format!("{n0} + {j}u < {n}"))).unzip()
        };
        if let Some(epilogue) = &mut epilogue {
            epilogue.columns(&mut k, &batch, &points);
        }
        for i in 0..rows {
            let row = k.name(format!("{tile_row} + {ty} * 4u + {}u", i / 4 * y * 4 + i % 4));
            let acc = format!("c{i}_{q}");
            match &mut epilogue {
                Some(epilogue) => {
                    let inside: Vec<String> = inside.iter().map(|x| format!("{row} < {m} && {x}")).collect();
                    epilogue.row(&mut k, &row, &acc, &inside);
                }
                None => partial(&mut k, c, [&split, &batch, &words[3]], [&row, &n0], [&m, &n], &acc),
            }
        }
    }
    if splits > 1 {
        k.scratch_len = splits * c.batch * c.m * c.n;
    }
    let entry = if splits > 1 { "contract_staged_split" } else { "contract_staged" };
    k.finish(entry, [(x * y) as u32, 1, 1], linear_grid(total, caps.max_grid))
}

/// What an invocation loads of one operand's tile: some blocks of four rows at one step of k (or at four).
struct Load<'a> {
    operand: Operand<'a>,
    name: &'static str,
    tile: usize,
    blocks: Vec<Block>,
}

/// Four rows at one step of k, or at four where these are one vector.
struct Block {
    /// Which step (or four steps) of the tile.
    step: String,
    /// Which four rows of the tile.
    rows: String,
    /// The rows; one where they are one vector.
    of: Vec<Row>,
    /// The condition under which this invocation has a block, if not all do.
    exists: Option<String>,
}

impl<'a> Load<'a> {
    fn new(
        k: &mut Builder,
        mut operand: Operand<'a>,
        batch: &[String],
        [first, end]: [&str; 2],
        [tile, invocations]: [usize; 2],
        name: &'static str,
    ) -> Load<'a> {
        let steps = if operand.reads == Reads::AlongK { TILE_K / 4 } else { TILE_K };
        let quads = tile / 4;
        // Neighbouring invocations read neighbours in memory: along rows, or along k.
        let along_rows = operand.reads == Reads::AlongRows || operand.rows_are_near();
        let (step, rows) = match along_rows {
            true => (format!("lid / {quads}u % {steps}u"), format!("lid % {quads}u")),
            false => (format!("lid % {steps}u"), format!("lid / {steps}u")),
        };
        let (step, rows) = (k.name(step), k.name(rows));
        let jobs = quads * steps;
        let mut blocks = Vec::new();
        for j in 0..jobs.div_ceil(invocations) {
            // Along rows, later blocks are further along k; along k, further along the rows.
            let (step, rows) = match (j, along_rows) {
                (0, _) => (step.clone(), rows.clone()),
                (_, true) => (k.name(format!("{step} + {}u", j * invocations / quads)), rows.clone()),
                (_, false) => (step.clone(), k.name(format!("{rows} + {}u", j * invocations / steps))),
            };
            let row = k.name(format!("{first} + {rows} * 4u"));
            let together = operand.side.rows.last().is_some_and(|e| e % 4 == 0);
            let of: Vec<Row> = if operand.reads == Reads::AlongRows || together {
                let row = k.name(format!("min({row}, {end} - 4u)"));
                let count = if operand.reads == Reads::AlongRows { 1 } else { 4 };
                (0..count).map(|i| operand.row(k, batch, &row, i)).collect()
            } else {
                let each = (0..4).map(|i| {
                    let row = k.name(format!("min({row} + {i}u, {end} - 1u)"));
                    operand.row(k, batch, &row, 0)
                });
                each.collect()
            };
            let exists = (jobs < invocations).then(|| format!("lid < {jobs}u"));
            blocks.push(Block { step, rows, of, exists });
        }
        Load { operand, name, tile, blocks }
    }

    /// Reads the tile's elements into registers; gives the lines that store them.
    fn read(&mut self, k: &mut Builder, extents: &[usize], words: &[String], end: Option<&str>) -> Vec<String> {
        let mut stores = Vec::new();
        let wide = self.operand.reads == Reads::AlongK;
        let quads = self.tile / 4;
        for Block { step, rows, of, exists } in &self.blocks {
            let first = if wide { k.name(format!("{step} * 4u")) } else { step.to_string() };
            let flat = k.name(format!("kt + {first}"));
            let valid = end.map(|end| k.name(format!("{flat} < {end}")));
            // Beyond the end the last step is read, and its value dropped.
            let flat = match end {
                Some(end) if wide => k.name(format!("min({flat}, {end} - 4u)")),
                Some(end) => k.name(format!("min({flat}, {end} - 1u)")),
                None => flat,
            };
            let coords = decode(k, &flat, extents, words);
            let part = self.operand.step(k, &coords);
            let (many, one) = (wide || self.operand.reads == Reads::AlongRows, self.operand.reads == Reads::AlongRows);
            let loaded: Vec<String> = of
                .iter()
                .map(|row| if many { self.operand.four(k, row, &part) } else { self.operand.one(k, row, &part) })
                .collect();
            let vectors: Vec<String> = if wide {
                LANES.iter().map(|lane| lanes_of(&loaded, lane)).collect()
            } else if one {
                loaded
            } else {
                vec![format!("vec4f({})", loaded.join(", "))]
            };
            for (i, vector) in vectors.into_iter().enumerate() {
                let vector = match &valid {
                    Some(valid) => format!("select(vec4f(), {vector}, {valid})"),
                    None => vector,
                };
                let store = format!("{}[({first} + {i}u) * {quads}u + {rows}] = {vector};", self.name);
                stores.push(match exists {
                    Some(exists) => format!("if {exists} {{ {store} }}"),
                    None => store,
                });
            }
        }
        stores
    }
}

fn lanes_of(loaded: &[String], lane: &str) -> String {
    let lanes: Vec<String> = loaded.iter().map(|v| format!("{v}.{lane}")).collect();
    format!("vec4f({})", lanes.join(", "))
}
