//! Thalweg's tasks. `cargo xtask help` lists them; the same binary, stripped, is the bundle.

#![expect(clippy::duplicate_mod, reason = "each example brings what all share")]

use clap::{Parser, Subcommand};

mod bench;
mod bundle;
mod check;
mod circles;
#[path = "../../examples/digits.rs"]
#[expect(dead_code, reason = "its main belongs to the example")]
mod digits;
mod fuzz;
mod golden;
mod kernels;
mod killtest;
#[path = "../../examples/mnist.rs"]
#[expect(dead_code, reason = "its main belongs to the example")]
mod mnist;
mod run;
mod shaders;
mod sizes;
mod soak;
mod test;

/// Thalweg's tasks.
#[derive(Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// All tests. Installs the software Vulkan driver on Debian and Ubuntu where there is no adapter.
    Test(test::TestArgs),
    /// Golden reference vectors: a folder of them on one device.
    Golden(golden::GoldenArgs),
    /// Random programs on the strict executor and a device, or random actions against a model of state; failures shrink to a test.
    Fuzz(fuzz::FuzzArgs),
    /// Every kernel through validation and to SPIR-V, MSL and HLSL, without a GPU.
    Shaders(shaders::ShaderArgs),
    /// The kernels that a call would run on a GPU, as a person would want to read them.
    Kernels(kernels::KernelArgs),
    /// The benchmarks, CPU and adapters side by side.
    Bench(thalweg_benches::BenchArgs),
    /// Thousands of steps; fails when memory grows.
    Soak(soak::SoakArgs),
    /// Runs that are killed at random moments and gone on with, bit for bit against runs that were never stopped.
    Killtest(killtest::KilltestArgs),
    /// Circles of source files, with what ties them; fails when there is one.
    Circles,
    /// Format, circles, lints, shaders, docs with every listing compiled, number of third-party crates, publishing.
    Check(check::CheckArgs),
    /// One stripped binary with conformance, benches and examples, for a machine without a toolchain.
    Bundle(bundle::BundleArgs),
    /// Lines of each source file, longest first.
    Sizes,
    /// The adapters of this machine; fails when there is none.
    Adapters,
    /// The example of that name.
    Digits(digits::Options),
    /// The example of that name.
    Mnist(mnist::Options),
}

fn main() -> anyhow::Result<()> {
    env_logger::init();
    match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Golden(args) => golden::run(args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Shaders(args) => shaders::run(&args),
        Task::Kernels(args) => kernels::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Killtest(args) => killtest::run(&args),
        Task::Circles => circles::run(),
        Task::Check(args) => check::run(&args),
        Task::Bundle(args) => bundle::run(&args),
        Task::Sizes => sizes::run(),
        Task::Adapters => test::adapters(),
        Task::Digits(options) => digits::run(&options),
        Task::Mnist(options) => mnist::run(&options),
    }
}
