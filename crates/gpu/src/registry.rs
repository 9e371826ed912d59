//! A list of kernels that covers every path of the templates, and a check of a kernel without a device.

use std::panic::{AssertUnwindSafe, catch_unwind};

use naga::{
    ShaderStage,
    back::{hlsl, msl, spv},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

use thalweg_ir::{
    DType, Primitive, ReduceOp,
    op::{binary::BinaryOp, compound::Compound, segments::Segments, unary::UnaryOp},
    schedule::ir::{
        Access, Array, Body, BufferSpec, Indirect, Inst, LaunchKind, Linear, Loop, Place, Store, Term, Whole,
    },
    shape::Type,
};

use crate::templates::{Caps, kernel::Kernel, kernels};

mod contractions;
mod program;

pub use program::{Listed, listed};

/// Devices for which kernels differ: without f16 or subgroups, a GPU with both, whose compiler knows infinity, one whose f16
/// conversions need help, software Vulkan, with and without texts that contractions share, one with small bindings, and one whose
/// workgroups are no power of two.
pub fn devices() -> Vec<(&'static str, Caps)> {
    let portable = Caps::default();
    let gpu = Caps { native_f16: true, exact_f16: true, honest: true, subgroups: true, ..portable.clone() };
    let inexact = Caps { exact_f16: false, ..gpu.clone() };
    let software = Caps { software: true, honest: false, subgroup_size: 8, ..gpu.clone() };
    let shared = Caps { shared_texts: true, ..software.clone() };
    let windows = Caps { max_binding: 1 << 20, ..portable.clone() };
    let odd = Caps { max_workgroup: 96, ..gpu.clone() };
    vec![
        ("odd", odd),
        ("portable", portable),
        ("windows", windows),
        ("gpu", gpu),
        ("inexact", inexact),
        ("software", software),
        ("shared", shared),
    ]
}

/// A kernel for every path of the templates and every storage kind, with its name.
///
/// # Panics
/// If a template refuses a registered launch, which is a bug of the template.
pub fn specs() -> Vec<(String, Kernel)> {
    let mut specs = Vec::new();
    for (device, caps) in devices() {
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::I32, DType::U32, DType::Bool] {
            let loops = launches(dtype).into_iter().map(|(name, b, nest)| (name, b, LaunchKind::Loop(nest)));
            let products = if dtype.is_float() { contractions::contractions(dtype) } else { vec![] };
            let products = products.into_iter().map(|(name, b, c)| (name, b, LaunchKind::Contract(c)));
            let wholes = primitives(dtype).into_iter().map(|(name, b, whole)| (name, b, LaunchKind::Whole(whole)));
            for (name, buffers, kind) in loops.chain(products).chain(wholes) {
                let made = kernels(&kind, &buffers, &caps).unwrap_or_else(|e| panic!("{name} {dtype}: {e}"));
                for (i, kernel) in made.into_iter().enumerate() {
                    specs.push((format!("{name}/{dtype}/{device}/{i}"), kernel));
                }
            }
        }
    }
    specs
}

/// Every primitive that has kernels.
fn primitives(dtype: DType) -> Vec<(&'static str, Vec<BufferSpec>, Whole)> {
    let ops = [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min];
    let segments = ops.into_iter().filter(|_| dtype != DType::Bool).map(|op| {
        let of = Segments { op, count: 300 };
        let inputs = [Type { shape: vec![3, 40, 17], dtype }, Type { shape: vec![3, 40], dtype: DType::I32 }];
        let types: Vec<Type> = inputs.iter().cloned().chain(of.outputs(&inputs)).collect();
        let spec = |(i, of): (usize, &Type)| BufferSpec { dtype: of.dtype, len: of.count(), place: Place::Leaf(i) };
        let array = |buf: usize| Array { buf, shape: types[buf].shape.clone() };
        let whole = Whole {
            op: Primitive::Segments(of),
            inputs: vec![array(0), array(1)],
            outputs: vec![Some(array(2)), Some(array(3))],
        };
        (of.name(), types.iter().enumerate().map(spec).collect(), whole)
    });
    segments.collect()
}

/// Buffer 0 is read and buffer 1 written, both of `dtype`; buffer 2 has I32 indices.
fn launches(dtype: DType) -> Vec<(&'static str, Vec<BufferSpec>, Loop)> {
    let spec = |dtype, i| BufferSpec { dtype, len: 1 << 20, place: Place::Leaf(i) };
    let buffers = vec![spec(dtype, 0), spec(dtype, 1), spec(DType::I32, 2)];
    let at = |coef: &[i64]| Linear::new(0, coef);
    let access = |coef: &[i64]| Access { base: at(coef), terms: vec![], fill: 0.0 };
    let load = |coef: &[i64]| Inst::Load { buf: 0, at: access(coef) };
    let map = |outer: &[usize], from: Inst, to: &[i64]| {
        let more = if dtype.is_float() { Inst::Unary(UnaryOp::Exp, 0) } else { Inst::Binary(BinaryOp::Max, 0, 0) };
        let more = if dtype == DType::Bool { Inst::Unary(UnaryOp::Not, 0) } else { more };
        let body = Body {
            insts: vec![from, more],
            dtypes: vec![dtype; 2],
            stores: vec![Store { buf: 1, at: at(to), value: 1 }],
            ..Body::default()
        };
        Loop { outer: outer.to_vec(), inner: vec![], body }
    };
    let reduce = |op: ReduceOp, outer: usize, inner: &[usize], coef: &[i64]| {
        let search = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        let to: Vec<i64> = (0..=inner.len()).map(|d| i64::from(d == 0)).collect();
        let body = Body {
            insts: vec![load(coef), Inst::Reduce(op, 0)],
            dtypes: vec![dtype, if search { DType::I32 } else { dtype }],
            stores: vec![Store { buf: if search { 2 } else { 1 }, at: at(&to), value: 1 }],
            ..Body::default()
        };
        Loop { outer: vec![outer], inner: inner.to_vec(), body }
    };
    let mut list = vec![
        ("map", map(&[4096], load(&[1]), &[1])),
        ("map_odd", map(&[4097], load(&[1]), &[1])),
        ("map_transposed", map(&[64, 36], load(&[36, 1]), &[1, 64])),
        ("map_strided", map(&[64, 9], load(&[9, 1]), &[27, 3])),
        ("map_broadcast", map(&[64, 36], load(&[0, 1]), &[36, 1])),
    ];
    let window = Access {
        base: at(&[64, 0, 0]),
        terms: vec![Term { at: Linear::new(-1, &[0, 2, 1]), div: 2, bound: 64, stride: 1 }],
        fill: if dtype.is_float() { f64::NEG_INFINITY } else { 0.0 },
    };
    let mut pool = reduce(ReduceOp::Max, 64, &[3], &[64, 1]);
    pool.outer = vec![64, 32];
    pool.body.insts[0] = Inst::Load { buf: 0, at: window };
    pool.body.stores[0].at = at(&[32, 1, 0]);
    list.push(("pool", pool));
    let mut gather = map(&[64, 36], load(&[0, 1]), &[36, 1]);
    gather.body = Body {
        insts: vec![
            Inst::Load { buf: 2, at: access(&[1, 0]) },
            Inst::Gather {
                buf: 0,
                at: access(&[0, 1]),
                index: Indirect { index: 0, stride: 36, bound: 100, check: 0 },
            },
        ],
        dtypes: vec![DType::I32, dtype],
        stores: vec![Store { buf: 1, at: at(&[36, 1]), value: 1 }],
        ..Body::default()
    };
    list.push(("gather", gather));
    for (op, name) in [(ReduceOp::Sum, "sum"), (ReduceOp::Prod, "prod"), (ReduceOp::Max, "max")] {
        // Alone and shared, along rows and along columns, with and without vectors.
        list.push((name, reduce(op, 65_536, &[64], &[64, 1])));
        list.push((name, reduce(op, 65_536, &[64], &[1, 65_536])));
        list.push((name, reduce(op, 7, &[4096], &[4096, 1])));
        list.push((name, reduce(op, 7, &[65, 31], &[4096, 63, 1])));
        list.push((name, reduce(op, 64, &[4096], &[1, 64])));
        list.push((name, reduce(op, 63, &[4096], &[1, 63])));
    }
    for (op, name) in [(ReduceOp::ArgMax, "argmax"), (ReduceOp::ArgMin, "argmin"), (ReduceOp::Min, "min")] {
        list.push((name, reduce(op, 65_536, &[64], &[64, 1])));
        list.push((name, reduce(op, 7, &[4096], &[4096, 1])));
        list.push((name, reduce(op, 64, &[4096], &[1, 64])));
    }
    if dtype.is_float() {
        for (name, rows, cols) in [("softmax", 7, 1024), ("softmax", 65_536, 64), ("softmax", 7, 1023)] {
            let insts = vec![
                load(&[cols, 1]),
                Inst::Reduce(ReduceOp::Max, 0),
                Inst::Binary(BinaryOp::Sub, 0, 1),
                Inst::Unary(UnaryOp::Exp, 2),
                Inst::Reduce(ReduceOp::Sum, 3),
                Inst::Binary(BinaryOp::Div, 3, 4),
            ];
            let body = Body {
                dtypes: vec![DType::F32; insts.len()],
                insts,
                stores: vec![Store { buf: 1, at: at(&[cols, 1]), value: 5 }],
                ..Body::default()
            };
            list.push((name, Loop { outer: vec![rows], inner: vec![cols as usize], body }));
        }
        let mut dropout = map(&[4096], load(&[1]), &[1]);
        let scalars = (0..4).map(Inst::Scalar);
        dropout.body.insts = std::iter::once(load(&[1])).chain(scalars).collect();
        dropout.body.insts.extend([
            Inst::Random { at: at(&[1]), stream: [1, 2, 3, 4] },
            Inst::Cast(5),
            Inst::Binary(BinaryOp::Mul, 0, 6),
        ]);
        dropout.body.dtypes = [vec![dtype], vec![DType::U32; 5], vec![DType::F32; 2]].concat();
        dropout.body.stores[0].value = 7;
        list.push(("dropout", dropout));
    }
    if dtype == DType::F32 {
        for op in UnaryOp::ALL {
            let Some(result) = op.result(DType::F32) else { continue };
            let mut l = map(&[4096], load(&[1]), &[1]);
            l.body.insts.truncate(1);
            l.body.insts.extend([Inst::Unary(*op, 0), Inst::Cast(1)]);
            l.body.dtypes = vec![DType::F32, result, DType::F32];
            l.body.stores[0].value = 2;
            list.push((op.name(), l));
        }
    }
    for op in BinaryOp::ALL {
        let Some(result) = op.result(dtype) else { continue };
        if matches!(dtype, DType::F16 | DType::BF16) {
            continue;
        }
        let mut l = map(&[4096], load(&[1]), &[1]);
        l.body.insts = vec![load(&[1]), load(&[0]), Inst::Binary(*op, 0, 1), Inst::Cast(2)];
        l.body.dtypes = vec![dtype, dtype, result, dtype];
        l.body.stores[0].value = 3;
        list.push((op.name(), l));
    }
    list.into_iter().map(|(name, l)| (name, buffers.clone(), l)).collect()
}

/// Parses and validates a kernel, and writes it as SPIR-V, MSL and HLSL, each with what that back end is capable of.
///
/// # Errors
/// What naga says, with the back end's name.
pub fn check(kernel: &Kernel) -> Result<(), String> {
    for shared in [0, u32::MAX] {
        check_text(kernel, &kernel.wgsl(shared))?;
    }
    Ok(())
}

fn check_text(kernel: &Kernel, text: &str) -> Result<(), String> {
    let place =
        |at: Option<naga::SourceLocation>| at.map_or(String::new(), |at| kernel.place(text, at.line_number as usize));
    let module = naga::front::wgsl::parse_str(text)
        .map_err(|e| format!("{}: parse: {}", place(e.location(text)), e.emit_to_string(text)))?;
    let declared = Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER;
    let validate = |back_end: &str, capabilities: Capabilities| -> Result<ModuleInfo, String> {
        let mut validator = Validator::new(ValidationFlags::all(), capabilities & declared);
        validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .map_err(|e| format!("{}: {back_end}: {}", place(e.location(text)), e.emit_to_string(text)))
    };
    guarded("spirv", || {
        let info = validate("spirv", spv::supported_capabilities())?;
        let options = spv::Options { lang_version: (1, 3), force_loop_bounding: false, ..Default::default() };
        let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: kernel.entry.into() };
        spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|e| format!("spirv: {e}")).map(drop)
    })?;
    guarded("msl", || {
        let info = validate("msl", msl::supported_capabilities())?;
        let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
        let entry = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, kernel.entry.into())),
            ..Default::default()
        };
        msl::write_string(&module, &info, &options, &entry).map_err(|e| format!("msl: {e}")).map(drop)
    })?;
    guarded("hlsl", || {
        let info = validate("hlsl", hlsl::supported_capabilities())?;
        let options =
            hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, fake_missing_bindings: true, ..Default::default() };
        let entry = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, kernel.entry.into())) };
        let mut out = String::new();
        hlsl::Writer::new(&mut out, &options, &entry)
            .write(&module, &info, None)
            .map_err(|e| format!("hlsl: {e}"))
            .map(drop)
    })
}

/// naga's writers panic on some inputs: that is a failure of the kernel, not of the check.
fn guarded(back_end: &str, f: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(format!("{back_end}: the writer panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_kernel_passes_every_back_end() {
        let specs = specs();
        assert!(specs.len() > 500, "{} specs", specs.len());
        let failures: Vec<(&str, String)> = specs
            .iter()
            .filter_map(|(name, kernel)| {
                check(kernel).err().map(|e| (name.as_str(), format!("{e}\n{}", kernel.wgsl(0))))
            })
            .collect();
        let names: Vec<&str> = failures.iter().map(|f| f.0).collect();
        assert!(failures.is_empty(), "of {} kernels these fail: {names:?}; the first: {}", specs.len(), failures[0].1);
    }

    #[test]
    fn an_error_names_the_line_of_the_skeleton() {
        let (_, mut kernel) = specs().into_iter().find(|(name, _)| name.starts_with("matmul/f32/gpu")).unwrap();
        kernel.text = kernel.text.replace("workgroupBarrier();", "workgroupBarier();");
        let source = include_str!("../../../shaders/kernels/contract/staged.wgsl");
        let line = 1 + source.lines().position(|line| line.contains("workgroupBarrier();")).unwrap();
        let error = check(&kernel).unwrap_err();
        assert!(error.starts_with(&format!("shaders/kernels/contract/staged.wgsl:{line}: parse: ")), "{error}");
    }
}
