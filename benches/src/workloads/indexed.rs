//! The gradient of a table of which few rows are read, beside writing a tensor of its size once.

use anyhow::{Result, bail};
use thalweg_graph::{DType, Tensor};

use crate::{
    clock::{Clock, Work},
    inputs::{fill, targets},
};

/// Rows, columns and rows read.
const TABLE: [usize; 3] = [50_000, 256, 4_096];

/// The gradient.
pub fn embedding(clock: &mut Clock) -> Result<()> {
    let [rows, columns, tokens] = TABLE;
    let table = fill(&clock.device, 1, &[rows, columns], 1.0).track();
    let (ids, g) = (targets(&clock.device, 2, tokens, rows as u32), fill(&clock.device, 3, &[tokens, columns], 1.0));
    clock.forward(Work::bytes("embedding", rows * columns * 4), || {
        let grads = table.embedding(&ids).backward_from(&g)?;
        let Some(gradient) = grads.get(&table) else { bail!("there is no gradient") };
        Ok(gradient.clone())
    })
}

/// As many bytes, written by a kernel that reads none.
pub fn write(clock: &mut Clock) -> Result<()> {
    let [rows, columns, _] = TABLE;
    let device = clock.device.clone();
    clock.forward(Work::bytes("write", rows * columns * 4), || {
        Ok(Tensor::full(&device, 0.0, [rows, columns], DType::F32) + 0.5)
    })
}
