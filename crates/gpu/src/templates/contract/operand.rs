//! The elements of one side in the text of a kernel: read from a buffer and cast, or made by code at their coordinates.

use thalweg_ir::schedule::ir::{Access, Inst, Linear};

use super::{
    super::{
        body::Writer,
        kernel::{Builder, decode},
        point::{Point, Value},
    },
    address::{Address, Part},
    epilogue::LANES,
    normal::{Normal, Side},
};

/// How many elements are taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Four neighbours along the last summed coordinate.
    AlongK,
    /// Four neighbours along the rows.
    AlongRows,
    /// One by one.
    Single,
}

impl Reads {
    /// What a side allows.
    pub fn of(side: &Side, k: &[usize], total: usize) -> Reads {
        let rows = side.batch.len() + side.rows.len();
        if k.last().is_some_and(|e| side.wide(rows + k.len() - 1, *e)) {
            Reads::AlongK
        } else if total.is_multiple_of(4) && side.rows.last().is_some_and(|e| side.wide(rows - 1, *e)) {
            Reads::AlongRows
        } else {
            Reads::Single
        }
    }
}

/// A side with its words and the way it is read.
pub struct Operand<'a> {
    /// The side.
    pub side: &'a Side,
    /// How its elements are read.
    pub reads: Reads,
    /// Where they are, if they are a buffer's.
    address: Option<Address>,
    writer: Writer<'a>,
    /// Values that are the same for all elements, written once.
    hoisted: Vec<bool>,
    /// Words of its extents.
    batch: Vec<String>,
    rows: Vec<String>,
}

/// A row of a side.
pub struct Row {
    /// Coordinates of `batch ++ rows`.
    coords: Vec<String>,
    part: Part,
}

/// A step of k.
pub struct Step {
    coords: Vec<String>,
    part: Part,
}

impl<'a> Operand<'a> {
    /// Binds the buffers, makes the words, and writes what is the same for all elements.
    pub fn new(k: &mut Builder, c: &Normal, side: &'a Side, reads: Reads) -> Operand<'a> {
        let extents = [&side.batch[..], &side.rows, &c.k].concat();
        let (front, body) = (side.batch.len() + side.rows.len(), &side.operand.body);
        let address = side.operand.read().map(|read| Address::new(k, &read, &extents, front));
        let batch = side.batch.iter().map(|e| k.params.fixed(*e)).collect();
        let rows = side.rows.iter().map(|e| k.params.fixed(*e)).collect();
        let (mut writer, mut hoisted) = (Writer::new(body), vec![false; body.insts.len()]);
        let anywhere = Point::one(vec!["0u".into(); extents.len()]);
        for (v, inst) in body.insts.iter().enumerate().filter(|_| address.is_none()) {
            hoisted[v] = (0..extents.len()).all(|d| inst.ignores(d)) && inst.operands().iter().all(|o| hoisted[*o]);
            if hoisted[v] {
                writer.value(k, v, &anywhere);
            }
        }
        Operand { side, reads, address, writer, hoisted, batch, rows }
    }

    /// The side's batch coordinates.
    pub fn batch(&self, k: &mut Builder, batch: &str) -> Vec<String> {
        decode(k, batch, &self.side.batch, &self.batch)
    }

    /// The row `ahead` behind flat row `row`, on the same last coordinate.
    pub fn row(&mut self, k: &mut Builder, batch: &[String], row: &str, ahead: usize) -> Row {
        let mut coords = batch.to_vec();
        coords.extend(decode(k, row, &self.side.rows, &self.rows));
        if ahead > 0
            && let Some(last) = coords.last_mut()
        {
            *last = k.name(format!("{last} + {ahead}u"));
        }
        let part = self.address.as_mut().map_or_else(Part::default, |address| address.row(k, &coords));
        Row { coords, part }
    }

    /// The step of k at these coordinates.
    pub fn step(&mut self, k: &mut Builder, coords: &[String]) -> Step {
        let part = self.address.as_mut().map_or_else(Part::default, |address| address.step(k, coords));
        Step { coords: coords.to_vec(), part }
    }

    /// One element, as the name of an `f32`.
    pub fn one(&mut self, k: &mut Builder, row: &Row, step: &Step) -> String {
        let loaded = self.address.as_mut().map(|address| Value::One(address.one(k, &row.part, &step.part)));
        let point = Point::one([&row.coords[..], &step.coords].concat());
        self.value(k, loaded, &point).at(0).to_string()
    }

    /// Four neighbours, the first of them here, as the name of a `vec4f`.
    pub fn four(&mut self, k: &mut Builder, row: &Row, step: &Step) -> String {
        let loaded = self.address.as_mut().map(|address| address.four(k, &row.part, &step.part));
        if let (Some(vector), 1) = (&loaded, self.side.operand.body.insts.len()) {
            return vector.clone();
        }
        let lanes = loaded.map(|vector| Value::Many(LANES.map(|lane| format!("{vector}.{lane}")).to_vec()));
        let coords = [&row.coords[..], &step.coords].concat();
        let axis = if self.reads == Reads::AlongK { coords.len() - 1 } else { row.coords.len() - 1 };
        let value = self.value(k, lanes, &Point::Along { coords, axis, count: 4, aligned: true });
        k.read(format!("vec4f({})", [0, 1, 2, 3].map(|i| value.at(i)).join(", ")))
    }

    /// Writes the code of an element, or of four, of which the first value may have been loaded.
    fn value(&mut self, k: &mut Builder, loaded: Option<Value>, point: &Point) -> Value {
        let last = self.hoisted.len() - 1;
        (0..=last).filter(|v| !self.hoisted[*v]).for_each(|v| self.writer.forget(v));
        if let Some(loaded) = loaded {
            self.writer.set(0, loaded);
        }
        for v in 0..=last {
            if self.writer.get(v).is_none() {
                self.writer.value(k, v, point);
            }
        }
        self.writer.written(last).clone()
    }

    /// Whether neighbouring rows are nearer to each other in memory than neighbouring steps of k.
    pub fn rows_are_near(&self) -> bool {
        let rows = self.side.batch.len() + self.side.rows.len();
        let Some(at) = self.side.accesses().next() else { return false };
        let stride = |d: usize| {
            let guarded = at.terms.iter().filter(|t| t.div == 1).map(|t| t.stride * t.at.coef[d]);
            (at.base.coef[d] + guarded.sum::<i64>()).unsigned_abs()
        };
        let last = at.base.coef.len();
        !self.side.rows.is_empty() && (last == rows || stride(rows - 1) < stride(last - 1))
    }
}

impl Side {
    /// What its code reads.
    fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.operand.body.insts.iter().filter_map(|inst| match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } => Some(at),
            _ => None,
        })
    }

    /// Whether four elements that follow each other along coordinate `d` of `batch ++ rows ++ k`, whose extent is `extent`, are worth
    /// taking at once: what they read is an aligned vector under one guard, or the same for all.
    fn wide(&self, d: usize, extent: usize) -> bool {
        let others = |at: &Linear| at.coef.iter().enumerate().all(|(c, coef)| c == d || coef % 4 == 0);
        let vector = |at: &Access| {
            at.base.coef[d] == 1
                && at.base.offset % 4 == 0
                && others(&at.base)
                && at.terms.iter().all(|t| t.at.ignores(d) && t.stride % 4 == 0)
        };
        extent.is_multiple_of(4) && self.accesses().any(vector) && self.accesses().all(|at| at.ignores(d) || vector(at))
    }
}
