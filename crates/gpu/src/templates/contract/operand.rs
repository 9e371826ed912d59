//! The elements of one side in the text of a kernel: read from a buffer and cast, or made by code at their coordinates.

use thalweg_ir::schedule::ir::{Access, Inst, Linear};

use super::{
    super::{
        body::Writer,
        kernel::{Builder, decode},
        point::{Point, Value},
    },
    address::{Address, Part},
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
    /// How many coordinates there are, and the extent of the last, which is summed.
    extents: usize,
    steps: usize,
}

/// A row of a side.
pub struct Row {
    /// Coordinates of `batch ++ rows`.
    coords: Vec<String>,
    part: Part,
}

impl Row {
    /// What the code called its numbers, with those of its coordinates if elements are made of them.
    pub fn names(&mut self, coords: bool) -> impl Iterator<Item = &mut String> {
        self.coords.iter_mut().filter(move |_| coords).chain(self.part.names())
    }
}

/// A step of k.
pub struct Step {
    coords: Vec<String>,
    part: Part,
}

impl<'a> Operand<'a> {
    /// Binds the buffers and makes the words.
    pub fn new(k: &mut Builder, c: &Normal, name: &str, side: &'a Side, reads: Reads) -> Operand<'a> {
        let extents = [&side.batch[..], &side.rows, &c.k].concat();
        let (front, body) = (side.batch.len() + side.rows.len(), &side.operand.body);
        let address = side.operand.read().map(|read| Address::new(k, name, &read, &extents, [side.batch.len(), front]));
        let batch = k.params.all(&format!("{name}_batches"), &side.batch);
        let rows = k.params.all(&format!("{name}_rows"), &side.rows);
        let (writer, hoisted) = (Writer::new(body), vec![false; body.insts.len()]);
        Operand {
            side,
            reads,
            address,
            writer,
            hoisted,
            batch,
            rows,
            extents: extents.len(),
            steps: c.k.last().copied().unwrap_or(1),
        }
    }

    /// Writes what is the same for all elements, where elements are read.
    pub fn hoist(&mut self, k: &mut Builder) {
        let anywhere = Point::one(vec!["0u".into(); self.extents]);
        for (v, inst) in self.side.operand.body.insts.iter().enumerate().filter(|_| self.address.is_none()) {
            self.hoisted[v] =
                (0..self.extents).all(|d| inst.ignores(d)) && inst.operands().iter().all(|o| self.hoisted[*o]);
            if self.hoisted[v] {
                self.writer.value(k, v, &anywhere);
            }
        }
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
            *last = k.name("row", format!("{last} + {ahead}u"));
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
        self.value(k, loaded, &point).at(0)
    }

    /// Four neighbours, the first of them here, as the name of a `vec4f`.
    pub fn four(&mut self, k: &mut Builder, row: &Row, step: &Step) -> String {
        let loaded = self.address.as_mut().map(|address| address.four(k, &row.part, &step.part));
        if let (Some(vector), 1) = (&loaded, self.side.operand.body.insts.len()) {
            return vector.clone();
        }
        let lanes = loaded.map(Value::Vector);
        let coords = [&row.coords[..], &step.coords].concat();
        let axis = if self.reads == Reads::AlongK { coords.len() - 1 } else { row.coords.len() - 1 };
        let value = self.value(k, lanes, &Point::Along { coords, axis, count: 4, aligned: true });
        k.read("x", value.four("f32"))
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

    /// Whether elements are more than what a buffer has, so that their coordinates may be asked for.
    pub fn is_made(&self) -> bool {
        self.address.is_none() || self.hoisted.len() > 1
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
        if self.side.rows.is_empty() || last == rows {
            return !self.side.rows.is_empty();
        }
        // Of two ways that are as near the one that goes on for longer: a row of an image, not of a window.
        let (row, step) = (stride(rows - 1), stride(last - 1));
        row < step || row == step && self.side.rows.last() > Some(&self.steps)
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
