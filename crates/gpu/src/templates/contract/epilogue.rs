//! The body of a contraction: what is done with each sum, four columns at a time where they are neighbours in memory.

use thalweg_ir::schedule::ir::{Inst, Val};

use super::{
    super::{
        body::Writer,
        fields::Fields,
        kernel::{Builder, decode},
        ops::register,
        point::{LANES, Point, Value},
    },
    normal::Normal,
};

/// Writes the body for the rows of one invocation.
pub struct Epilogue<'a> {
    c: &'a Normal,
    writer: Writer<'a>,
    words: [Vec<String>; 3],
    batch: Vec<String>,
    /// The first column's coordinates, or those of each of four.
    columns: Vec<Vec<String>>,
    /// Values that are the same in all rows, written once.
    hoisted: Vec<bool>,
}

/// Whether four columns from a multiple of 4 are one vector for the body.
pub fn quads(c: &Normal) -> bool {
    c.outer[2].last().is_some_and(|e| e % 4 == 0)
}

/// Whether results are neighbours in memory along the columns, or along neither side.
pub fn dense(c: &Normal) -> bool {
    let Some(store) = c.body.stores.first() else { return true };
    let [batch, m, n] = c.outer.each_ref().map(|extents| extents.len());
    let near = |d: usize, count: usize| count > 0 && store.at.coef[d - 1] == 1;
    near(batch + m + n, n) || !near(batch + m, m)
}

impl<'a> Epilogue<'a> {
    /// Makes the words.
    pub fn new(k: &mut Builder, c: &'a Normal) -> Epilogue<'a> {
        let [batch, rows, columns] = &c.outer;
        let words = [("batches", batch), ("rows", rows), ("columns", columns)].map(|(name, e)| k.params.all(name, e));
        let hoisted = vec![false; c.body.insts.len()];
        Epilogue { c, writer: Writer::new(&c.body), words, batch: vec![], columns: vec![], hoisted }
    }

    /// Sets batch and columns, numbered flat: the first of four neighbours, or one for each point. Writes what does not
    /// depend on the row.
    pub fn columns(&mut self, k: &mut Builder, batch: &str, columns: &[String]) {
        self.batch = decode(k, batch, &self.c.outer[0], &self.words[0]);
        self.columns = columns.iter().map(|n| decode(k, n, &self.c.outer[2], &self.words[2])).collect();
        for v in 0..self.hoisted.len() {
            self.hoisted[v] = false;
            self.writer.forget(v);
        }
        if columns.len() > 1 {
            return;
        }
        let first = self.c.outer[0].len();
        let rows = first..first + self.c.outer[1].len();
        let point = self.point(vec!["0u".into(); rows.len()], 0);
        for v in 0..self.c.body.insts.len() {
            let inst = &self.c.body.insts[v];
            let own = *inst != Inst::Acc && rows.clone().all(|d| inst.ignores(d));
            if own && inst.operands().iter().all(|o: &Val| self.hoisted[*o]) {
                self.writer.value(k, v, &point);
                self.hoisted[v] = true;
            }
        }
    }

    fn point(&self, rows: Vec<String>, column: usize) -> Point {
        let coords: Vec<String> = self.batch.iter().chain(&rows).chain(&self.columns[column]).cloned().collect();
        match self.columns.len() == 1 && quads(self.c) {
            true => Point::Along { axis: coords.len() - 1, coords, count: 4, aligned: true },
            false => Point::one(coords),
        }
    }

    /// Hands on what does not depend on the row: from here on it is read as a field of `at`.
    pub fn hand_on(&mut self, fields: &mut Fields) {
        self.batch.iter_mut().chain(self.columns.iter_mut().flatten()).for_each(|name| fields.keep(name, "u32", "at"));
        for v in (0..self.hoisted.len()).filter(|v| self.hoisted[*v]) {
            let mut value = self.writer.written(v).clone();
            fields.keep_value(&mut value, register(self.c.body.class(v)), "at");
            self.writer.set(v, value);
        }
    }

    /// Writes the body for row `m`; the sums are the components of the vector `acc`, or `acc` itself for a single column.
    /// `inside` has the condition for the four neighbours together, or for each column, and opens a block for each; it is empty where
    /// all are known to be inside.
    pub fn row(&mut self, k: &mut Builder, m: &str, acc: &str, inside: &[String]) {
        for column in 0..self.columns.len() {
            if let Some(inside) = inside.get(column) {
                k.open(format!("if {inside} {{"));
            }
            let rows = decode(k, m, &self.c.outer[1], &self.words[1]);
            let point = self.point(rows, column);
            let value = match (point.count(), self.columns.len()) {
                (1, 1) => Value::One(acc.to_string()),
                (1, _) => Value::One(format!("{acc}.{}", LANES[column])),
                _ => Value::Vector(acc.to_string()),
            };
            for (v, inst) in self.c.body.insts.iter().enumerate() {
                if matches!(inst, Inst::Acc) {
                    self.writer.set(v, value.clone());
                }
            }
            self.writer.all(k, &point);
            if inside.get(column).is_some() {
                k.close();
            }
            for v in 0..self.hoisted.len() {
                if !self.hoisted[v] {
                    self.writer.forget(v);
                }
            }
        }
    }
}
