//! Thalweg's tasks. `cargo xtask help` lists them.

use clap::{Parser, Subcommand};

mod golden;

/// Thalweg's tasks.
#[derive(Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Golden reference vectors: a folder of them on one device.
    Golden(golden::GoldenArgs),
}

fn main() -> anyhow::Result<()> {
    env_logger::init();
    match Cli::parse().task {
        Task::Golden(args) => golden::run(args),
    }
}
