//! The functions that the skeletons of contractions call: where the rows of a side are, what stands there, and what is done with sums.

use super::{
    super::{
        fields::Fields,
        kernel::{Builder, Source, decode},
        point::LANES,
    },
    epilogue::{Epilogue, quads},
    normal::Normal,
    operand::{Operand, Reads, Row},
};

/// How a tile of a side is fetched.
pub struct Fetch {
    /// Steps of k that a fetch brings, of four rows.
    pub step: usize,
    /// Whether neighbouring invocations fetch neighbours along k.
    pub along_k: bool,
}

/// `rows_a(p, batch, row) -> RowsA` and `fetch_a(p, RowsA, k, end) -> array<vec4f, STEP_A>` of side `a` or `b`. `extents` are the words of
/// those of k; `ragged` says whether a tile may reach behind the last step.
pub fn side(k: &mut Builder, c: &Normal, name: &str, extents: &[String], ragged: bool) -> Fetch {
    let (side, count, end) = if name == "a" { (&c.a, c.m, "p.m") } else { (&c.b, c.n, "p.n") };
    let reads = Reads::of(side, &c.k, count);
    let mut operand = Operand::new(k, c, name, side, reads);
    let (wide, vectors) = (reads == Reads::AlongK, reads == Reads::AlongRows);
    let step = if wide { 4 } else { 1 };
    let title = format!("Rows{}", name.to_uppercase());
    let mut rows = k.function(&format!("rows_{name}(p: Params, batch: u32, row: u32) -> {title}"), |k| {
        let batch = operand.batch(k, "batch");
        let together = vectors || side.rows.last().is_some_and(|e| e % 4 == 0);
        let mut rows: Vec<Row> = if together {
            let row = k.name("row", format!("min(row, {end} - 4u)"));
            (0..if vectors { 1 } else { 4 }).map(|i| operand.row(k, &batch, &row, i)).collect()
        } else {
            let each = (0..4).map(|i| {
                let row = k.name("row", format!("min(row + {i}u, {end} - 1u)"));
                operand.row(k, &batch, &row, 0)
            });
            each.collect()
        };
        let mut fields = Fields::default();
        rows.iter_mut().flat_map(|row| row.names(operand.is_made())).for_each(|name| fields.keep(name, "u32", "rows"));
        fields.close(k, &title);
        rows
    });
    k.globals.push_str(&format!("const STEP_{} = {step}u;\n", name.to_uppercase()));
    k.function(&format!("fetch_{name}(p: Params, rows: {title}, k: u32, end: u32) -> array<vec4f, {step}>"), |k| {
        operand.hoist(k);
        // Behind the end the last step is read, and its value dropped.
        let at = match (ragged, wide) {
            (false, _) => "k".to_string(),
            (true, true) => k.name("k", "min(k, end - 4u)".into()),
            (true, false) => k.name("k", "min(k, end - 1u)".into()),
        };
        let coords = decode(k, &at, &c.k, extents);
        let part = operand.step(k, &coords);
        let mut one = |row: &Row| match wide || vectors {
            true => operand.four(k, row, &part),
            false => operand.one(k, row, &part),
        };
        let loaded: Vec<String> = rows.iter_mut().map(|row| one(row)).collect();
        let fetched: Vec<String> = match (wide, vectors) {
            // Four rows of four steps, the other way round.
            (true, _) => LANES
                .map(|lane| loaded.iter().map(|v| format!("{v}.{lane}")).collect::<Vec<_>>().join(", "))
                .map(|lanes| format!("vec4f({lanes})"))
                .to_vec(),
            (_, true) => loaded,
            _ => vec![format!("vec4f({})", loaded.join(", "))],
        };
        let inside = |x: String| if ragged { format!("select(vec4f(), {x}, k < end)") } else { x };
        let fetched: Vec<String> = fetched.into_iter().map(inside).collect();
        k.line(format!("return array<vec4f, {step}>({});", fetched.join(", ")));
    });
    Fetch { step, along_k: !(vectors || operand.rows_are_near()) }
}

/// `columns(p, batch, part, column) -> Columns` and `store(p, Columns, row, acc)` of the body, on the sums of four columns, or of one.
pub fn body(k: &mut Builder, c: &Normal, sums: usize) {
    let mut epilogue = Epilogue::new(k, c);
    let together = sums == 1 || quads(c);
    k.function("columns(p: Params, batch: u32, part: u32, column: u32) -> Columns", |k| {
        let points: Vec<String> = match (sums, together) {
            (1, _) => vec!["column".into()],
            (_, true) => vec![k.name("column", "min(column, p.n - 4u)".into())],
            _ => (0..4).map(|j| k.name("column", format!("min(column + {j}u, p.n - 1u)"))).collect(),
        };
        epilogue.columns(k, "batch", &points);
        let mut fields = Fields::default();
        fields.keep(&mut "column".into(), "u32", "at");
        epilogue.hand_on(&mut fields);
        fields.close(k, "Columns");
    });
    let acc = if sums == 1 { "f32" } else { "vec4f" };
    k.function(&format!("store(p: Params, at: Columns, row: u32, acc: {acc})"), |k| {
        let inside = match together {
            true => {
                k.line("if row >= p.m || at.column >= p.n { return; }");
                vec![]
            }
            false => {
                k.line("if row >= p.m { return; }");
                (0..4).map(|j| format!("at.column + {j}u < p.n")).collect()
            }
        };
        epilogue.row(k, "row", "acc", &inside);
    });
}

/// The same for partial sums: scratch memory is `[parts, batch, m, n]`.
pub fn partial(k: &mut Builder, c: &Normal) {
    let first = k.function("columns(p: Params, batch: u32, part: u32, column: u32) -> Columns", |k| {
        let mut first = k.name("first_row", "(part * p.batches + batch) * p.m".into());
        let mut fields = Fields::default();
        fields.keep(&mut "column".into(), "u32", "at");
        fields.keep(&mut first, "u32", "at");
        fields.close(k, "Columns");
        first
    });
    k.function("store(p: Params, at: Columns, row: u32, acc: vec4f)", |k| {
        k.line("if row >= p.m || at.column >= p.n { return; }");
        let at = k.name("point", format!("({first} + row) * p.n + at.column"));
        if c.n.is_multiple_of(4) {
            k.store4(Source::Scratch, &at, "acc");
            return;
        }
        for (j, lane) in LANES.iter().enumerate() {
            k.open(format!("if at.column + {j}u < p.n {{"));
            k.store(Source::Scratch, &format!("{at} + {j}u"), &format!("acc.{lane}"));
            k.close();
        }
    });
}
