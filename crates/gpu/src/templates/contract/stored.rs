//! Sums stored as they are: partial sums of a split contraction, or results that nothing else is done with. One text for
//! both, and for every layout: all that is known of shapes is in words.

use thalweg_ir::schedule::ir::Inst;

use super::{
    super::{
        kernel::{Builder, Source, decode},
        params::Word,
        point::LANES,
    },
    normal::Normal,
};

/// Where sums go.
pub struct Stored {
    to: Source,
    offset: i64,
    /// Elements between parts of k.
    split: i64,
    /// Extents of batch, row and column coordinates, and the elements between neighbours along each.
    extents: [Vec<usize>; 3],
    strides: [Vec<i64>; 3],
    /// Once columns are set: the address of each in the first row, and the words of the rows.
    columns: Vec<String>,
    rows: [Vec<String>; 2],
}

impl Stored {
    /// The store of partial sums, or of a body that has nothing else.
    pub fn of(c: &Normal, splits: usize) -> Option<Stored> {
        let mut stored = if splits > 1 {
            let [batch, m, n] = [c.batch, c.m, c.n].map(|e| e as i64);
            Stored::new(
                Source::Scratch,
                0,
                batch * m * n,
                [c.batch, c.m, c.n].map(|e| vec![e]),
                [vec![m * n], vec![n], vec![1]],
            )
        } else {
            let ([Inst::Acc], [store]) = (&c.body.insts[..], &c.body.stores[..]) else { return None };
            let mut rest = &store.at.coef[..];
            let strides = c.outer.each_ref().map(|extents| {
                let (own, others) = rest.split_at(extents.len());
                rest = others;
                own.to_vec()
            });
            Stored::new(Source::Buffer(store.buf), store.at.offset, 0, c.outer.clone(), strides)
        };
        // Rows and batches are mostly one coordinate, and columns of images two.
        for (side, rank) in [1, 1, 2].into_iter().enumerate() {
            while stored.extents[side].len() < rank {
                stored.extents[side].insert(0, 1);
                stored.strides[side].insert(0, 0);
            }
        }
        Some(stored)
    }

    fn new(to: Source, offset: i64, split: i64, extents: [Vec<usize>; 3], strides: [Vec<i64>; 3]) -> Stored {
        Stored { to, offset, split, extents, strides, columns: vec![], rows: [vec![], vec![]] }
    }

    /// Sets the part of k, the batch and the columns.
    pub fn columns(mut self, k: &mut Builder, [split, batch]: [&str; 2], columns: &[String]) -> Stored {
        let binding = k.bind(self.to);
        let offset = k.params.push("y_start", Word::Offset { elements: self.offset as u32, binding });
        let stride = k.params.push("y_split", Word::Fixed(self.split as u32));
        let (mut extents, mut strides) = ([vec![], vec![], vec![]], [vec![], vec![], vec![]]);
        for (side, name) in ["batch", "row", "column"].into_iter().enumerate() {
            extents[side] = k.params.all(&format!("{name}s"), &self.extents[side]);
            let each = self.strides[side].iter().enumerate();
            strides[side] = each
                .map(|(d, stride)| k.params.push(format!("y_{name}_{d}"), Word::Fixed(*stride as u32)))
                .collect::<Vec<_>>();
        }
        let coords = decode(k, batch, &self.extents[0], &extents[0]);
        let base = k.name("base", format!("{offset} + {split} * {stride} + {}", sum(&coords, &strides[0])));
        for column in columns {
            let coords = decode(k, column, &self.extents[2], &extents[2]);
            self.columns.push(k.name("column", format!("{base} + {}", sum(&coords, &strides[2]))));
        }
        let [_, rows, _] = extents;
        let [_, row_strides, _] = strides;
        self.rows = [rows, row_strides];
        self
    }

    /// Stores the components of the vector `acc`, each where its column is inside.
    pub fn row(&mut self, k: &mut Builder, row: &str, acc: &str, inside: &[String]) {
        let coords = decode(k, row, &self.extents[1], &self.rows[0]);
        let start = k.name("start", sum(&coords, &self.rows[1]));
        for ((column, lane), inside) in self.columns.iter().zip(LANES).zip(inside) {
            k.open(format!("if {inside} {{"));
            k.store(self.to, &format!("{column} + {start}"), &format!("{acc}.{lane}"));
            k.close();
        }
    }
}

fn sum(coords: &[String], strides: &[String]) -> String {
    coords.iter().zip(strides).map(|(c, s)| format!("{c} * {s}")).collect::<Vec<_>>().join(" + ")
}
