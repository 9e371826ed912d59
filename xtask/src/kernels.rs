//! The kernels that a call would run, without a GPU.

use anyhow::{Context, Result, bail};
use clap::Args;
use thalweg::prelude::*;
use thalweg_gpu::{
    registry::{devices, listed},
    templates::{kernel::Kernel, params::Word},
};
use thalweg_graph::{ConvConfig, backend::program};

/// Options of `kernels`.
#[derive(Args)]
pub struct KernelArgs {
    /// What is computed: an op, or several, each of what the one before it gives: `matmul+gelu`.
    op: String,
    /// The shapes of operands, taken in turn: `128x64 64x32`.
    #[arg(required = true)]
    shapes: Vec<String>,
    /// What operands are stored in.
    #[arg(long, default_value = "f32", value_parser = ["f32", "f16", "bf16"])]
    dtype: String,
    /// A kind of device: gpu, portable (no f16, no subgroups), windows (small bindings), inexact, software, shared or odd.
    #[arg(long, default_value = "gpu")]
    like: String,
    /// The gradients of its operands as well.
    #[arg(long)]
    gradient: bool,
}

/// An op of some operands.
type Call = fn(&[Tensor]) -> Tensor;

/// Names, numbers of operands and calls.
const OPS: &[(&str, usize, Call)] = &[
    ("add", 2, |x| &x[0] + &x[1]),
    ("mul", 2, |x| &x[0] * &x[1]),
    ("matmul", 2, |x| x[0].matmul(&x[1])),
    // With as many zeros around it as keep an odd filter's result as large as the image.
    ("conv2d", 2, |x| {
        let padding = x[1].shape()[2..].iter().map(|k| k / 2).collect();
        x[0].conv2d(&x[1], &ConvConfig { padding, ..ConvConfig::default() })
    }),
    ("depthwise", 2, |x| {
        let (padding, groups) = (x[1].shape()[2..].iter().map(|k| k / 2).collect(), x[0].shape()[1]);
        x[0].conv2d(&x[1], &ConvConfig { padding, groups, ..ConvConfig::default() })
    }),
    ("sum", 1, |x| x[0].sum(-1)),
    ("columns", 1, |x| x[0].sum(0)),
    ("max", 1, |x| x[0].max(-1).0),
    ("argmax", 1, |x| x[0].argmax(-1)),
    ("cumsum", 1, |x| x[0].cumsum(-1)),
    ("softmax", 1, |x| x[0].softmax(-1)),
    ("log_softmax", 1, |x| x[0].log_softmax(-1)),
    ("layer_norm", 1, |x| x[0].layer_norm(&x[0].shape()[x[0].rank() - 1..], None, None, 1e-5)),
    ("rms_norm", 1, |x| x[0].rms_norm(&x[0].shape()[x[0].rank() - 1..], None, 1e-5)),
    ("max_pool2d", 1, |x| x[0].max_pool2d(2)),
    ("transpose", 1, |x| x[0].transpose(-2, -1)),
    ("relu", 1, |x| x[0].relu()),
    ("exp", 1, |x| x[0].exp()),
    ("tanh", 1, |x| x[0].tanh()),
    ("gelu", 1, |x| x[0].gelu()),
    ("silu", 1, |x| x[0].silu()),
];

/// Prints each kernel with what it computes, its grid and its words.
pub fn run(args: &KernelArgs) -> Result<()> {
    let kinds = devices();
    let (_, caps) = kinds.iter().find(|(name, _)| *name == args.like).with_context(|| {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        format!("no kind of device is called '{}'; there are {}", args.like, names.join(", "))
    })?;
    let device = Device::cpu()?;
    let dtype = match args.dtype.as_str() {
        "f16" => DType::F16,
        "bf16" => DType::BF16,
        _ => DType::F32,
    };
    let operand = |text: &String| Ok(Param::new(Tensor::zeros(&device, shape(text)?).cast(dtype))?);
    let params = args.shapes.iter().map(operand).collect::<Result<Vec<Param>>>()?;
    let mut rest = params.iter().map(Param::tensor);
    let mut value = rest.next().context("no operand")?;
    for name in args.op.split('+') {
        value = apply(name, value, &mut rest)?;
    }
    if rest.next().is_some() {
        bail!("{} takes fewer than {} operands", args.op, args.shapes.len());
    }
    let mut results = vec![value.clone()];
    if args.gradient {
        let grads = value.sum(..).backward()?;
        results.extend(params.iter().filter_map(|p| grads.get(p).cloned()));
    }
    let (program, _) = program(&results)?;
    let launches = listed(&program, caps)?;
    for (i, launch) in launches.iter().enumerate() {
        let times = if launch.times > 1 { format!(", {} times", launch.times) } else { String::new() };
        println!("// launch {} of {}: {}{times}", i + 1, launches.len(), launch.title);
        launch.kernels.iter().for_each(|kernel| println!("{}", shown(kernel)));
    }
    Ok(())
}

/// An op by its name, of a value and of as many of the other operands as it takes.
fn apply(name: &str, value: Tensor, rest: &mut impl Iterator<Item = Tensor>) -> Result<Tensor> {
    let Some((_, count, call)) = OPS.iter().find(|(known, ..)| *known == name) else {
        let names: Vec<&str> = OPS.iter().map(|(name, ..)| *name).collect();
        bail!("no op is called '{name}' here; there are {}", names.join(", "));
    };
    let operands: Vec<Tensor> = std::iter::once(value).chain(rest.take(count - 1)).collect();
    if operands.len() < *count {
        bail!("{name} takes {count} operands");
    }
    let result = call(&operands);
    result.check()?;
    Ok(result)
}

/// `128x64` as a shape.
fn shape(text: &str) -> Result<Vec<usize>> {
    let extents = text.split(['x', '×', ',']).map(str::parse);
    extents.collect::<Result<_, _>>().with_context(|| format!("'{text}' is no shape, as 128x64 is"))
}

/// A kernel's text below what it runs over.
fn shown(kernel: &Kernel) -> String {
    let [x, y, z] = kernel.grid;
    let word = |(name, word): (&String, &Word)| match word {
        Word::Fixed(value) => format!("{name} = {value}"),
        Word::Offset { elements, .. } => format!("{name} = {elements}"),
        other => format!("{name} = {other:?}"),
    };
    let words: Vec<String> = kernel.names.iter().zip(&kernel.words).map(word).collect();
    let file = kernel.origin.as_ref().map_or(String::new(), |(file, _)| format!(", {file}"));
    format!("// {}{file}: {x} × {y} × {z} workgroups\n// {}\n{}", kernel.entry, words.join(", "), kernel.wgsl(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_gpu::registry::check;

    /// Every op by its name, with its gradients, on every kind of device.
    #[test]
    fn every_op_has_kernels_that_pass_every_back_end() {
        let device = Device::cpu().unwrap();
        let shapes = |name: &str| match name {
            "matmul" => [vec![40, 24], vec![24, 36]],
            "conv2d" => [vec![2, 3, 8, 8], vec![5, 3, 3, 3]],
            "depthwise" => [vec![2, 3, 8, 8], vec![3, 1, 3, 3]],
            _ => [vec![2, 3, 8, 8], vec![2, 3, 8, 8]],
        };
        for (name, count, call) in OPS {
            let made = |shape: Vec<usize>| Param::new(Tensor::ones(&device, shape)).unwrap();
            let params: Vec<Param> = shapes(name).into_iter().take(*count).map(made).collect();
            let value = call(&params.iter().map(Param::tensor).collect::<Vec<_>>());
            let mut results = vec![value.clone()];
            if *name != "argmax" {
                let grads = value.sum(..).backward().unwrap();
                results.extend(params.iter().filter_map(|p| grads.get(p).cloned()));
            }
            let (program, _) = program(&results).unwrap();
            for (kind, caps) in devices() {
                let launches = listed(&program, &caps).unwrap();
                let kernels = launches.iter().flat_map(|launch| &launch.kernels);
                assert!(!launches.is_empty(), "{name} on {kind}");
                kernels.for_each(|kernel| check(kernel).unwrap_or_else(|e| panic!("{name} on {kind}: {e}")));
            }
        }
    }
}
