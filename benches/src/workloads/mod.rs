//! The workloads. Shapes, seeds and rates of those called W are those of the published definitions, version 1.

mod contraction;
mod elementwise;
mod indexed;
mod optimizer;
mod recurrent;
mod reduce;
mod rows;
mod train;

use anyhow::{Result, bail};

use crate::clock::Clock;

/// Every workload, in order.
pub const ALL: [&str; 20] = [
    "W1",
    "W2",
    "W3",
    "W4f",
    "W4b",
    "W5",
    "W6",
    "W7",
    "W8r",
    "W8c",
    "W8a",
    "W9",
    "W11",
    "W12",
    "W15",
    "embedding",
    "write",
    "lstm",
    "lstm512",
    "gru512",
];

/// Runs one workload, in every size.
pub fn run(name: &str, clock: &mut Clock) -> Result<()> {
    match name {
        "W1" => contraction::matmul(clock, "W1"),
        "W2" => contraction::matmul(clock, "W2"),
        "W3" => contraction::batched(clock),
        "W4f" => contraction::conv(clock),
        "W4b" => contraction::conv_backward(clock),
        "W5" => contraction::depthwise(clock),
        "W6" => rows::softmax(clock),
        "W7" => rows::layer_norm(clock),
        "W8r" | "W8c" | "W8a" => reduce::sum(clock, name),
        "W9" => elementwise::gelu(clock),
        "W11" => train::mlp(clock),
        "W12" => train::cnn(clock),
        "W15" => optimizer::adam(clock),
        "embedding" => indexed::embedding(clock),
        "write" => indexed::write(clock),
        "lstm" => recurrent::lstm(clock, "lstm"),
        "lstm512" => recurrent::lstm(clock, "lstm512"),
        "gru512" => recurrent::gru(clock, "gru512"),
        other => bail!("there is no workload {other}; there are {}", ALL.join(", ")),
    }
}
