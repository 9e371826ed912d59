//! Every kernel of the registry through naga, without a GPU.

use anyhow::{Result, bail};
use clap::Args;
use thalweg_gpu::registry;

/// Options of `shaders`.
#[derive(Args, Default)]
pub struct ShaderArgs {
    /// Only kernels whose name contains this; their WGSL is printed.
    filter: Option<String>,
}

/// Validates each registered kernel and writes it as SPIR-V, MSL and HLSL, each with what that back end is capable of.
pub fn run(args: &ShaderArgs) -> Result<()> {
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let (mut kernels, mut failed) = (0, 0);
    for (name, kernel) in registry::specs().iter().filter(|(name, _)| wanted(name)) {
        kernels += 1;
        if args.filter.is_some() {
            println!("// {name}\n{}", kernel.wgsl(0));
        }
        if let Err(error) = registry::check(kernel) {
            failed += 1;
            eprintln!("{name}: {error}");
        }
    }
    println!("{kernels} kernels through validation, SPIR-V, MSL and HLSL: {failed} failed");
    if failed > 0 {
        bail!("{failed} kernels failed");
    }
    if kernels == 0 {
        bail!("no kernel has this in its name");
    }
    Ok(())
}
