//! What a change must pass besides the tests.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::Args;

use crate::run::{PROFILE, cargo, must, output};

/// Options of `check`.
#[derive(Args)]
pub struct CheckArgs {}

/// The crates that a program which only trains needs.
const CORE: [&str; 6] = ["graph", "cpu", "gpu", "device", "nn", "optim"];
/// Third-party crates that they may have together, on Linux. (`DESIGN.md` §7)
const CORE_LIMIT: usize = 110;
/// Third-party crates that the facade may have, with everything.
const FACADE_LIMIT: usize = 250;

/// Runs every check, in the order of how soon each can fail.
pub fn run(_: &CheckArgs) -> Result<()> {
    must(cargo(&["fmt", "--all", "--check"]))?;
    crate::circles::run()?;
    count_crates()?;
    must(cargo(&["clippy", "--workspace", "--all-targets", "--profile", PROFILE, "--", "-D", "warnings"]))?;
    crate::shaders::run(&crate::shaders::ShaderArgs::default())?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--profile", PROFILE]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    must(docs)?;
    must(cargo(&["test", "--workspace", "--doc", "--profile", PROFILE]))?;
    publish()
}

/// Fails when the core or the facade has more third-party crates than it may.
fn count_crates() -> Result<()> {
    let core: Vec<String> = CORE.iter().map(|name| format!("thalweg-{name}")).collect();
    for (what, packages, limit) in [("core", core, CORE_LIMIT), ("facade", vec!["thalweg".into()], FACADE_LIMIT)] {
        let mut tree = cargo(&["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
        tree.args(["--target", "x86_64-unknown-linux-gnu"]);
        for package in &packages {
            tree.args(["--package", package]);
        }
        // Two versions of a crate count as two.
        let crates: BTreeSet<String> = output(tree)?
            .lines()
            .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            .filter(|name| !name.is_empty() && !name.starts_with("thalweg"))
            .collect();
        println!("third-party crates of the {what}: {} (limit {limit})", crates.len());
        if crates.len() >= limit {
            bail!("the {what} has too many third-party crates: {crates:?}");
        }
    }
    Ok(())
}

/// Packs every crate that is published. `cargo publish --dry-run` does the same and then asks the registry what is there
/// already, for which it needs a network: it is rehearsed where there is one.
fn publish() -> Result<()> {
    let mut pack =
        cargo(&["package", "--workspace", "--no-verify", "--allow-dirty", "--offline", "--exclude-lockfile"]);
    for name in ["xtask", "benches", "tests"] {
        pack.arg("--exclude").arg(format!("thalweg-{name}"));
    }
    must(pack)?;
    let mut rehearsal = cargo(&["publish", "--dry-run", "--workspace", "--no-verify", "--allow-dirty", "--offline"]);
    let output = rehearsal.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        println!("cargo publish --dry-run: every crate can be published");
    } else if words.contains("--offline was specified") {
        println!("cargo publish --dry-run: skipped, it cannot run offline here; packing alone was checked");
    } else {
        bail!("cargo publish --dry-run failed:\n{words}");
    }
    Ok(())
}
