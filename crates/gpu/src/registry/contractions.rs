//! Registered contractions: every layout of a product, and a convolution with its adjoints.

use thalweg_ir::{
    DType,
    schedule::ir::{Access, Body, BufferSpec, Contract, ContractKind, Inst, Linear, Operand, Place, Store, Term},
};

/// Buffers 0 and 1 are read, buffer 2 is written, all of `dtype`.
pub fn contractions(dtype: DType) -> Vec<(&'static str, Vec<BufferSpec>, Contract)> {
    let buffers: Vec<BufferSpec> = (0..3).map(|i| BufferSpec { dtype, len: 1 << 24, place: Place::Leaf(i) }).collect();
    let products = [
        ("matmul", [256, 256, 256], false, false),
        ("matmul_nt", [256, 256, 256], false, true),
        ("matmul_tn", [256, 256, 256], true, false),
        ("matmul_odd", [127, 61, 33], false, false),
        ("matmul_odd_nt", [127, 61, 33], false, true),
        ("matmul_skinny", [3, 1000, 64], false, false),
        ("matmul_narrow", [128, 10, 512], false, false),
        // Large enough for tiles of 64 and of 128.
        ("matmul_1024", [1024, 1024, 1024], false, false),
        ("matmul_2048_tn", [2048, 2048, 2048], true, false),
        ("matmul_split", [64, 64, 65_536], true, false),
        ("matmul_split_odd", [7, 9, 40_001], false, false),
    ];
    let mut list: Vec<(&'static str, Contract)> =
        products.into_iter().map(|(name, size, ta, tb)| (name, product(size, ta, tb))).collect();
    // Images of 32 × 32 and of 14 × 14, whose rows are not whole vectors; stride 2 divides in the adjoint.
    for (side, stride) in [(32, 1), (14, 1), (32, 2)] {
        list.push(("conv", conv(side, stride)));
        list.push(("conv_input", conv_input(side, stride)));
        list.push(("conv_weight", conv_weight(side, stride)));
    }
    list.into_iter().map(|(name, c)| (name, buffers.clone(), c)).collect()
}

fn at(coef: &[i64]) -> Linear {
    Linear::new(0, coef)
}

fn plain(coef: &[i64]) -> Access {
    Access { base: at(coef), terms: vec![], fill: 0.0 }
}

/// The sum, stored densely over `batch ++ m ++ n`.
fn contract([m, n, k]: [Vec<usize>; 3], a: Access, b: Access) -> Contract {
    let shape = [&m[..], &n].concat();
    let mut coef = vec![1; shape.len()];
    for d in (0..shape.len() - 1).rev() {
        coef[d] = coef[d + 1] * shape[d + 1] as i64;
    }
    let body = Body {
        insts: vec![Inst::Acc],
        dtypes: vec![DType::F32],
        stores: vec![Store { buf: 2, at: at(&coef), value: 0 }],
        ..Body::default()
    };
    let operand = |buf, at| Operand::load(buf, DType::F32, at);
    Contract { kind: ContractKind::Matmul, batch: vec![], m, n, k, a: operand(0, a), b: operand(1, b), body }
}

fn product([m, n, k]: [usize; 3], ta: bool, tb: bool) -> Contract {
    let a = if ta { [1, m as i64] } else { [k as i64, 1] };
    let b = if tb { [1, k as i64] } else { [n as i64, 1] };
    contract([vec![m], vec![n], vec![k]], plain(&a), plain(&b))
}

/// Windows of square images of extent `bound`. Convolutions here: 64 channels to 64, 3 × 3, padding 1, 8 images.
fn window(along: impl Fn(usize) -> Linear, div: i64, base: [i64; 6], bound: i64) -> Access {
    let term = |d: usize, stride: i64| Term { at: along(d), div, bound, stride };
    Access { base: at(&base), terms: vec![term(0, bound), term(1, 1)], fill: 0.0 }
}

fn conv(side: usize, stride: usize) -> Contract {
    let (s, out) = (side as i64, side / stride);
    // k = c, ky, kx; n = b, y, x
    let along = |d: usize| {
        let mut coef = vec![0; 6];
        coef[1 + d] = 1;
        coef[4 + d] = stride as i64;
        Linear::new(-1, &coef)
    };
    let x = window(along, 1, [s * s, 0, 0, 64 * s * s, 0, 0], s);
    contract([vec![64], vec![8, out, out], vec![64, 3, 3]], plain(&[576, 9, 3, 1]), x)
}

fn conv_input(side: usize, stride: usize) -> Contract {
    let out = (side / stride) as i64;
    // k = o, ky, kx; n = b, y, x
    let along = |d: usize| {
        let mut coef = vec![0; 6];
        coef[1 + d] = -1;
        coef[4 + d] = 1;
        Linear::new(1, &coef)
    };
    let dy = window(along, stride as i64, [out * out, 0, 0, 64 * out * out, 0, 0], out);
    contract([vec![64], vec![8, side, side], vec![64, 3, 3]], plain(&[9, 576, 3, 1]), dy)
}

fn conv_weight(side: usize, stride: usize) -> Contract {
    let (s, out) = (side as i64, (side / stride) as i64);
    // k = b, y, x; n = c, ky, kx
    let along = |d: usize| {
        let mut coef = vec![0; 6];
        coef[1 + d] = stride as i64;
        coef[4 + d] = 1;
        Linear::new(-1, &coef)
    };
    let x = window(along, 1, [64 * s * s, 0, 0, s * s, 0, 0], s);
    let dy = plain(&[out * out, 64 * out * out, out, 1]);
    contract([vec![64], vec![64, 3, 3], vec![8, side / stride, side / stride]], dy, x)
}
