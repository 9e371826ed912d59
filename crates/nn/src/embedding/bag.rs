//! Rows of a table, combined bag by bag.

use thalweg_derive::Module;
use thalweg_graph::{Bags, Combine, Device, ErrorKind, Param, Result, Rng, Tensor};

use super::{Reading, Table, table_settings};

/// The sum, mean or maximum of the rows of each bag, as [`Tensor::embedding_bag`].
///
/// # Shapes
/// ids `[J]` with offsets `[bags]`, or `[bags, N]` → `[bags, width]`; `weight [rows, width]`
#[derive(Clone, Debug, Module)]
pub struct EmbeddingBag {
    /// The table.
    pub weight: Param,
    #[module(skip)]
    combine: Combine,
    #[module(skip)]
    reading: Reading,
}

/// How to make an [`EmbeddingBag`].
#[derive(Clone, Debug)]
pub struct EmbeddingBagConfig {
    table: Table,
    combine: Combine,
}

/// What else a call says of its bags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bag<'a> {
    /// Where each bag starts: `[bags]`, ascending from 0. None for ids `[bags, N]`.
    pub offsets: Option<&'a Tensor>,
    /// Whether a last offset says where the last bag ends.
    pub include_last_offset: bool,
    /// A factor for each row, shaped as the ids; for sums.
    pub weights: Option<&'a Tensor>,
}

impl EmbeddingBag {
    /// Means of rows of a table of so many, drawn from the standard normal distribution.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(rows: usize, width: usize) -> EmbeddingBagConfig {
        EmbeddingBagConfig { table: Table::new(rows, width), combine: Combine::Mean }
    }

    /// With these rows, `[rows, width]`, frozen.
    pub fn from_pretrained(table: &Tensor) -> EmbeddingBagConfig {
        EmbeddingBagConfig { table: Table::given(table), combine: Combine::Mean }
    }

    /// Combines the rows of each bag. An empty bag is 0.
    ///
    /// # Shapes
    /// ids `[J]` with offsets, or `[bags, N]` → `[bags, width]`
    /// # Errors
    /// As [`Tensor::embedding_bag`]; weights for what is not a sum.
    #[track_caller]
    pub fn forward(&self, ids: &Tensor, bag: Bag) -> Tensor {
        let table = self.reading.of(&self.weight.tensor(), ids);
        if bag.weights.is_some() && self.combine != Combine::Sum {
            let kind = ErrorKind::Invalid(format!("weights are for sums, and this is {:?}", self.combine));
            return table.fail("embedding_bag", kind);
        }
        let bags = Bags {
            offsets: bag.offsets,
            weights: bag.weights,
            padding: self.reading.padding,
            ..Bags::new(self.combine)
        };
        let y = table.embedding_bag(ids, &bags);
        match bag.offsets.filter(|_| bag.include_last_offset && y.check().is_ok()) {
            // What stands behind the last offset is in a bag that nobody asked for.
            Some(offsets) => y.slice(0, ..offsets.count().saturating_sub(1)),
            None => y,
        }
    }

    /// Writes the rows as they are read with `max_norm`.
    ///
    /// # Errors
    /// No memory.
    #[track_caller]
    pub fn shorten(&self) -> Result<()> {
        self.weight.set(&self.reading.shortened(&self.weight.tensor()))
    }
}

impl EmbeddingBagConfig {
    setters! {
        /// With sums, means or maxima (PyTorch's `mode`).
        combine: Combine;
    }

    table_settings!();

    /// Draws the table.
    ///
    /// # Errors
    /// No rows or no numbers; a row for padding that there is not; a combination other than sum, mean and largest; what was given is
    /// no table; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<EmbeddingBag> {
        let EmbeddingBagConfig { table, combine } = self;
        if !matches!(combine, Combine::Sum | Combine::Mean | Combine::Max) {
            return Err(crate::init::invalid("embedding_bag", format!("{combine:?} is not how rows make a bag")));
        }
        Ok(EmbeddingBag { weight: table.init("embedding_bag", device, rng)?, combine, reading: table.reading })
    }
}
