//! One binary to carry to a machine with a GPU and no toolchain.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::{cargo, must, root};

/// Options of `bundle`.
#[derive(Args)]
pub struct BundleArgs {
    /// Where to write it.
    #[arg(long, default_value = "out/bundle")]
    out: PathBuf,
}

/// Bytes that the bundle must stay under.
const LIMIT: u64 = 45 << 20;

/// Builds this very program stripped: it has `golden`, `bench`, `soak` and the examples as subcommands.
pub fn run(args: &BundleArgs) -> Result<()> {
    let mut build = cargo(&["build", "--release", "--package", "thalweg-xtask", "--bin", "xtask"]);
    build.args(["--config", "profile.release.strip=true", "--config", "profile.release.debug=false"]);
    // A folder of its own: another strip setting would make the next release build start over.
    let target = root().join("target/bundle");
    build.arg("--target-dir").arg(&target);
    must(build)?;
    let built = target.join("release").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let bundle = args.out.join(format!("thalweg{}", std::env::consts::EXE_SUFFIX));
    let bytes = fs::copy(&built, &bundle).with_context(|| built.display().to_string())?;
    println!("{}: {:.1} MiB", bundle.display(), bytes as f64 / f64::from(1 << 20));
    if bytes >= LIMIT {
        bail!("the bundle is larger than {} MiB", LIMIT >> 20);
    }
    println!(
        "on the other machine: thalweg golden --dir DIR --device gpu --json; thalweg bench --json; thalweg digits"
    );
    Ok(())
}
