//! Rows of a table, one by one.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Scope, Tensor};

use super::{Reading, Table, table_settings};

/// Rows of a table by number: `y = weight[ids]`.
///
/// # Shapes
/// ids `[..]` → `[.., width]`; `weight [rows, width]`
#[derive(Clone, Debug, Module)]
pub struct Embedding {
    /// The table.
    pub weight: Param,
    #[module(skip)]
    reading: Reading,
}

/// How to make an [`Embedding`].
#[derive(Clone, Debug)]
pub struct EmbeddingConfig {
    table: Table,
}

impl Embedding {
    /// A table of so many rows of `width` numbers, drawn from the standard normal distribution.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(rows: usize, width: usize) -> EmbeddingConfig {
        EmbeddingConfig { table: Table::new(rows, width) }
    }

    /// With these rows, `[rows, width]`, frozen.
    pub fn from_pretrained(table: &Tensor) -> EmbeddingConfig {
        EmbeddingConfig { table: Table::given(table) }
    }

    /// Looks them up.
    ///
    /// # Shapes
    /// ids `[..]` → `[.., width]`
    /// # Errors
    /// Ids that are not I32 or U32. Ids outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn forward(&self, ids: &Tensor) -> Tensor {
        let _scope = Scope::composite("embedding");
        let table = self.reading.of(&self.weight.tensor(), ids);
        match self.reading.padding {
            Some(padding) => table.embedding_padded(ids, padding),
            None => table.embedding(ids),
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

impl EmbeddingConfig {
    table_settings!();

    /// Draws the table.
    ///
    /// # Errors
    /// No rows or no numbers; a row for padding that there is not; what was given is no table; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Embedding> {
        Ok(Embedding { weight: self.table.init("embedding", device, rng)?, reading: self.table.reading })
    }
}
