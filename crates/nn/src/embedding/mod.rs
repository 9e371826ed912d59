//! Tables of vectors, looked up by number.

mod bag;
mod lookup;

use thalweg_graph::{Device, Param, Result, Rng, Tensor};

use crate::init::{Init, invalid};

pub use self::{
    bag::{Bag, EmbeddingBag, EmbeddingBagConfig},
    lookup::{Embedding, EmbeddingConfig},
};

/// How a table is made, and how it is read.
#[derive(Clone, Debug)]
struct Table {
    rows: usize,
    width: usize,
    /// What it holds, if it is given.
    given: Option<Tensor>,
    frozen: bool,
    weights: Init,
    reading: Reading,
}

/// How a table is read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    padding: Option<usize>,
    max_norm: Option<f64>,
    norm: f64,
    by_frequency: bool,
}

/// What PyTorch adds to the norm of a row that it shortens.
const SLACK: f64 = 1e-7;

impl Reading {
    /// The table as it is read for these ids.
    #[track_caller]
    fn of(&self, weight: &Tensor, ids: &Tensor) -> Tensor {
        let table = self.shortened(weight);
        if !self.by_frequency || ids.check().is_err() || table.check().is_err() {
            return table;
        }
        let rows = table.shape().first().copied().unwrap_or_default();
        let flat = ids.reshape([ids.count()]);
        let times = Tensor::ones(table.device(), [ids.count()]).segment_sum(&flat, rows).clamp_min(1).unsqueeze(1);
        table.with_gradient(&[&table], move |_, _, g| vec![Some(g / times.cast(g.dtype()))])
    }

    /// The table with no row longer than is allowed. The gradient of a row is that of its shortened self, as if that were what the table
    /// holds.
    #[track_caller]
    fn shortened(&self, weight: &Tensor) -> Tensor {
        let Some(max) = self.max_norm else { return weight.clone() };
        let norm = weight.detach().vector_norm_keepdim(self.norm, 1);
        let factor = norm.gt(max).where_(max / (&norm + SLACK), 1.0);
        (weight.detach() * factor).with_gradient(&[weight], |_, _, g| vec![Some(g.clone())])
    }
}

impl Table {
    fn new(rows: usize, width: usize) -> Table {
        let reading = Reading { padding: None, max_norm: None, norm: 2.0, by_frequency: false };
        Table { rows, width, given: None, frozen: false, weights: Init::Normal(1.0), reading }
    }

    /// With these rows, frozen.
    fn given(table: &Tensor) -> Table {
        let [rows, width] = table.dims().unwrap_or_default();
        Table { given: Some(table.clone()), frozen: true, ..Table::new(rows, width) }
    }

    /// Draws it, with a row of zeros for padding, or takes what was given.
    #[track_caller]
    fn init(&self, op: &'static str, device: &Device, rng: &mut Rng) -> Result<Param> {
        let (rows, width) = (self.rows, self.width);
        if let Some(given) = &self.given {
            given.check()?;
            if given.rank() != 2 {
                return Err(invalid(op, format!("a table of shape {:?}, not [rows, width]", given.shape())));
            }
        }
        if rows == 0 || width == 0 {
            return Err(invalid(op, format!("{rows} rows of {width} numbers")));
        }
        if let Some(padding) = self.reading.padding.filter(|padding| *padding >= rows) {
            return Err(invalid(op, format!("row {padding} for padding in a table of {rows}")));
        }
        if let Some(max) = self.reading.max_norm.filter(|max| max.is_nan() || *max <= 0.0) {
            return Err(invalid(op, format!("rows of length {max} at most")));
        }
        let weight = match &self.given {
            Some(given) => Param::new(given.to(device))?,
            None => self.weights.param(device, [rows, width], rng)?,
        };
        if let (Some(padding), None) = (self.reading.padding, &self.given) {
            let row = Tensor::arange(device, rows).unsqueeze(1);
            weight.set(&row.eq(padding as f64).where_(0.0, weight.tensor().detach()))?;
        }
        weight.freeze(self.frozen);
        Ok(weight)
    }
}

/// The settings that both kinds have.
macro_rules! table_settings {
    () => {
        /// With a row that stands for padding: zeros at first, and without a gradient (PyTorch's `padding_idx`).
        pub fn padding(mut self, row: usize) -> Self {
            self.table.reading.padding = Some(row);
            self
        }

        /// With rows that are read as if they were no longer than this. PyTorch also writes the shortened rows back, which `shorten`
        /// does for all of them.
        pub fn max_norm(mut self, max_norm: f64) -> Self {
            self.table.reading.max_norm = Some(max_norm);
            self
        }

        /// With lengths by this norm, if not the second (PyTorch's `norm_type`).
        pub fn norm(mut self, p: f64) -> Self {
            self.table.reading.norm = p;
            self
        }

        /// With a gradient of each row that is divided by how often the row was read (PyTorch's `scale_grad_by_freq`).
        pub fn by_frequency(mut self, by_frequency: bool) -> Self {
            self.table.reading.by_frequency = by_frequency;
            self
        }

        /// Frozen or trained; what is given is frozen unless told otherwise.
        pub fn freeze(mut self, frozen: bool) -> Self {
            self.table.frozen = frozen;
            self
        }

        /// With weights drawn from this distribution, if not the standard normal one.
        pub fn weights(mut self, weights: crate::Init) -> Self {
            self.table.weights = weights;
            self
        }
    };
}
use table_settings;
