//! All tests, on a machine that has something to run them on.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::{PROFILE, cargo, must, succeeds};

/// Options of `test`.
#[derive(Args)]
pub struct TestArgs {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Runs every test of the workspace; where there is no adapter, installs the software Vulkan driver first.
pub fn run(args: &TestArgs) -> Result<()> {
    ensure_adapter()?;
    let nextest = succeeds(cargo(&["nextest", "--version"]));
    let mut command = if nextest {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--cargo-profile", PROFILE])
    } else {
        cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--profile", PROFILE])
    };
    command.args(&args.filter);
    must(command)
}

/// Lists the adapters of this machine.
///
/// # Errors
/// When there is none.
pub fn adapters() -> Result<()> {
    let adapters = thalweg_gpu::adapters();
    for adapter in &adapters {
        println!("adapter: {adapter}");
    }
    if adapters.is_empty() {
        bail!("there is no Vulkan, Metal or DX12 adapter on this machine");
    }
    Ok(())
}

/// Tests never skip the GPU silently: some adapter must exist, if only a software one.
fn ensure_adapter() -> Result<()> {
    if adapters().is_ok() {
        return Ok(());
    }
    eprintln!("there is no Vulkan, Metal or DX12 adapter on this machine");
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "install a driver for your GPU, or a software one: Fedora `dnf install mesa-vulkan-drivers`, Arch `pacman -S \
             vulkan-swrast`, Alpine `apk add mesa-vulkan-swrast`; on Windows and macOS a graphics driver is always there, \
             so look for what hides it (a remote session, a container)"
        );
    }
    install()?;
    // A loader that found no driver keeps that answer for the life of its process: ask in a new one.
    let probe = Command::new(std::env::current_exe().context("where this program is")?).arg("adapters").output()?;
    if !probe.status.success() {
        bail!(
            "mesa-vulkan-drivers is installed, yet there is still no adapter:\n{}",
            String::from_utf8_lossy(&probe.stderr)
        );
    }
    Ok(())
}

/// `apt-get install` of Mesa's software driver, through sudo where that is needed.
fn install() -> Result<()> {
    eprintln!("installing the software Vulkan driver (mesa-vulkan-drivers) by apt-get");
    let root = succeeds(shell("[ \"$(id -u)\" = 0 ]"));
    let sudo = if root { "" } else { "sudo -n " };
    must(shell(&format!(
        "{sudo}apt-get update -qq && {sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
         --no-install-recommends libvulkan1 mesa-vulkan-drivers"
    )))
    .context("run this yourself: apt-get install libvulkan1 mesa-vulkan-drivers")
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}
