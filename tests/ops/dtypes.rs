//! `docs/dtypes.md`, cell by cell.

use thalweg_graph::{
    DType, Device, Tensor,
    ops::{binary::BinaryOp, unary::UnaryOp},
};
use thalweg_tests::{cpu, strict, test_gpu};

const PAGE: &str = include_str!("../../docs/dtypes.md");
const ALL: [DType; 7] = [DType::Bool, DType::U32, DType::I32, DType::F16, DType::BF16, DType::F32, DType::F64];

/// The cells of the table under a heading, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let part = PAGE.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_else(|| panic!("no {heading}"));
    let rows = part.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn dtype(name: &str) -> DType {
    let name = name.trim_matches('`');
    ALL.into_iter().find(|d| d.to_string() == name).unwrap_or_else(|| panic!("'{name}' is no dtype"))
}

/// The devices that have a dtype.
fn devices(of: DType) -> Vec<Device> {
    if of == DType::F64 { vec![strict()] } else { vec![strict(), cpu(), test_gpu!()] }
}

#[test]
fn promotion() {
    let rows = table("Promotion");
    assert_eq!(rows.len(), ALL.len());
    for row in rows {
        for (column, cell) in ALL.into_iter().zip(&row[1..]) {
            let (a, b) = (dtype(row[0]), column);
            assert_eq!(a.promote(b), dtype(cell), "{a} with {b}");
            for device in devices(a.promote(b)) {
                let x = Tensor::full(&device, 1.0, [2], a);
                assert_eq!(x.eq(Tensor::full(&device, 1.0, [2], b)).to_vec::<bool>().unwrap(), [true, true]);
                let both = x.concat_with(&[Tensor::full(&device, 0.0, [2], b)], 0);
                assert_eq!((both.dtype(), both.to_vec::<f64>().unwrap()), (dtype(cell), vec![1.0, 1.0, 0.0, 0.0]));
            }
        }
    }
}

#[test]
fn numbers() {
    let device = strict();
    for of in ALL {
        let x = Tensor::full(&device, 1.0, [1], of);
        for number in [2.0, 1.5] {
            let want = match of {
                DType::Bool => DType::F32,
                of if of.is_float() || number == 2.0 => of,
                _ => DType::F32,
            };
            let sum = &x + number;
            assert_eq!(sum.dtype(), want, "{of} + {number}");
            assert_eq!(sum.to_vec::<f64>().unwrap(), [1.0 + number]);
        }
    }
}

/// Holds an operation to its row: dtypes, and values that are the same on every device.
fn check(name: &str, row: &[&str], f: &dyn Fn(&Tensor) -> Tensor) {
    for of in ALL {
        let cell = match of {
            DType::I32 => row[2],
            DType::U32 => row[3],
            DType::Bool => row[4],
            _ => row[1],
        };
        let want = match cell {
            "-" => None,
            "same" => Some(of),
            cell => Some(dtype(cell)),
        };
        let mut values: Option<Vec<f64>> = None;
        for device in devices(of) {
            let x = Tensor::from_slice(&device, &[1.0f32, 0.5, 0.25, 1.0], [2, 2]).cast(of);
            let y = f(&x);
            assert_eq!(y.check().ok().map(|()| y.dtype()), want, "{name} of {of} on {device}");
            if want.is_some() {
                let y = y.to_vec::<f64>().unwrap_or_else(|e| panic!("{name} of {of} on {device}: {e}"));
                let first = values.get_or_insert_with(|| y.clone());
                let ulps = if of.size_bytes() == 2 { 8e-3 } else { 2e-6 };
                let close = |a: f64, b: f64| (a - b).abs() <= ulps * (1.0 + a.abs());
                let same = |(a, b): (&f64, &f64)| a == b || close(*a, *b) || (a.is_nan() && b.is_nan());
                assert!(y.iter().zip(first.iter()).all(same), "{name} of {of} on {device}: {y:?}, not {first:?}");
            }
        }
    }
}

/// Each operation of a table by name, and that each of `all` is in it.
fn walk(heading: &str, all: &[&str], f: &dyn Fn(&str, &Tensor) -> Tensor) {
    let mut seen = Vec::new();
    for row in table(heading) {
        for name in row[0].split_whitespace().map(|name| name.trim_matches('`')) {
            check(name, &row, &|x| f(name, x));
            seen.push(name);
        }
    }
    for name in all {
        assert!(seen.contains(name), "{name} is not on the page under '{heading}'");
    }
}

#[test]
fn functions_of_one_element() {
    let all: Vec<&str> = UnaryOp::ALL.iter().map(|op| op.name()).collect();
    walk("Functions of one element", &all, &|name, x| {
        let row = UnaryOp::ALL.iter().find(|op| op.name() == name);
        match (row, name) {
            (Some(op), _) => x.unary(*op),
            (None, "bit_not") => x.bit_not(),
            (None, name) => panic!("no {name}"),
        }
    });
}

#[test]
fn functions_of_two_elements() {
    let all: Vec<&str> = BinaryOp::ALL.iter().map(|op| op.name()).collect();
    walk("Functions of two elements", &all, &|name, x| {
        let op = BinaryOp::ALL.iter().find(|op| op.name() == name).unwrap_or_else(|| panic!("no {name}"));
        x.binary(*op, &x.t())
    });
}

#[test]
fn along_axes() {
    walk("Along axes", &[], &|name, x| match name {
        "sum" => x.sum(0),
        "prod" => x.prod(0),
        "cumsum" => x.cumsum(0),
        "cumprod" => x.cumprod(0),
        "mean" => x.mean(0),
        "var" => x.var(0, 1),
        "std" => x.std(0, 1),
        "logsumexp" => x.logsumexp(0),
        "logcumsumexp" => x.logcumsumexp(0),
        "amax" => x.amax(0),
        "amin" => x.amin(0),
        "cummax" => x.cummax(0).0,
        "cummin" => x.cummin(0).0,
        "argmax" => x.argmax(0),
        "argmin" => x.argmin(0),
        "any" => x.any(0),
        "all" => x.all(0),
        "count_nonzero" => x.count_nonzero(0),
        "argsort" => x.argsort(0, true),
        "sort" => x.sort(0, true).0,
        "gather" => x.gather(0, &Tensor::arange(x.device(), 2).reshape([1, 2])),
        "flip" => x.flip(0),
        "pad" => x.pad(&[(1, 0)], 1.0),
        "where" => x.ne(0.0).where_(x.t(), x),
        "concat" => x.concat_with(&[x.t()], 1),
        "matmul" => x.matmul(x),
        name => panic!("no {name}"),
    });
}

#[test]
fn extents_of_0_and_eight_axes() {
    for device in [strict(), cpu(), test_gpu!()] {
        let empty = Tensor::zeros(&device, [3, 0, 2]);
        let nothing: [Tensor; 9] = [
            empty.exp() + &empty,
            empty.sum(0),
            empty.t(),
            empty.reshape([0, 6]),
            empty.concat_with(std::slice::from_ref(&empty), 1),
            empty.slice(0, 1..),
            empty.cumsum(1),
            empty.argsort(1, false),
            empty.softmax(-1),
        ];
        for (i, y) in nothing.iter().enumerate() {
            assert!(y.to_vec::<f64>().unwrap_or_else(|e| panic!("{i} on {device}: {e}")).is_empty());
        }
        // The sum of nothing is 0 and its product 1.
        assert_eq!(empty.sum(1).to_vec::<f32>().unwrap(), [0.0; 6]);
        assert_eq!(empty.prod(1).to_vec::<f32>().unwrap(), [1.0; 6]);
        let product = Tensor::zeros(&device, [2, 0]).matmul(&Tensor::zeros(&device, [0, 3]));
        assert_eq!(product.to_vec::<f32>().unwrap(), [0.0; 6]);

        let count: Vec<f32> = (0..256).map(|i| i as f32).collect();
        let x = Tensor::from_slice(&device, &count, [2; 8]);
        let back = x.permute([7, 6, 5, 4, 3, 2, 1, 0]).flip([0, 3]) * 2.0;
        let again = (back * 0.5).flip([3, 0]).permute([7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(again.to_vec::<f32>().unwrap(), count);
        let sums = x.sum([0, 2, 4, 6]).to_vec::<f32>().unwrap();
        assert_eq!((sums.len(), sums.iter().sum::<f32>()), (16, 255.0 * 128.0));
        let text = x.unsqueeze(0).to_vec::<f32>().unwrap_err().to_string();
        assert!(text.contains("more than 8 axes"), "{text}");
    }
}
