//! The benchmarks, always with release code generation.

use anyhow::Result;
use thalweg_benches::BenchArgs;

use crate::run::{cargo, must};

/// Measures here, or in a release build of this program when this one has debug assertions.
pub fn run(args: &BenchArgs) -> Result<()> {
    if !cfg!(debug_assertions) {
        return thalweg_benches::run(args);
    }
    let mut release = cargo(&["run", "--quiet", "--release", "--package", "thalweg-xtask", "--bin", "xtask", "--"]);
    release.args(std::env::args_os().skip(1));
    must(release)
}
