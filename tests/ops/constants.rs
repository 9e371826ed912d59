//! Operands that no upload made: numbers repeated, positions, draws, nothing at all. What reads its operands from a buffer must
//! be given one.

use thalweg_graph::{ConvConfig, DType, Device, Rng, Tensor, shape::count};
use thalweg_tests::{Case, Draw, Seed, assert_agree, cases, cpu, strict, test_gpu};

/// Ways to have an operand without a buffer.
const WAYS: [(&str, fn(&Draw, &Tensor) -> Tensor); 4] =
    [("a number", number), ("a view of a number", view), ("positions", positions), ("a draw", random)];

/// A draw's numbers from ones that are uniform in `[0, 1)`.
fn spread(draw: &Draw, unit: &Tensor, like: &Tensor) -> Tensor {
    match draw {
        Draw::Uniform(_, low, high) => unit.cast(like.dtype()) * (high - low) + *low,
        // What happens at these numbers is the case's point.
        Draw::Given(..) => like.clone(),
        Draw::Index(_, below) => (unit * f64::from(*below)).floor().cast(DType::I32),
        Draw::Bools(_) => unit.lt(0.5),
    }
}

fn number(draw: &Draw, like: &Tensor) -> Tensor {
    let full = |x: f64, dtype| Tensor::full(like.device(), x, like.shape(), dtype);
    match draw {
        Draw::Uniform(_, low, high) => full(low + 0.4 * (high - low), like.dtype()),
        Draw::Given(..) => like.clone(),
        Draw::Index(_, below) => full(f64::from(below - 1), DType::I32),
        Draw::Bools(_) => full(1.0, DType::Bool),
    }
}

fn view(draw: &Draw, like: &Tensor) -> Tensor {
    let mut larger: Vec<usize> = like.shape().to_vec();
    larger.iter_mut().for_each(|n| *n += 1);
    let one = Tensor::full(like.device(), 0.6, larger, DType::F32);
    spread(draw, &(0..like.rank()).fold(one, |x, d| x.slice(d, 1..)), like)
}

fn positions(draw: &Draw, like: &Tensor) -> Tensor {
    let n = count(like.shape());
    let at = Tensor::arange(like.device(), n).cast(DType::F32) + 0.5;
    spread(draw, &(at * (1.0 / n.max(1) as f64)).reshape(like.shape()), like)
}

fn random(draw: &Draw, like: &Tensor) -> Tensor {
    spread(draw, &Rng::seed(5).stream().uniform(like.device(), like.shape()), like)
}

/// A case with some of its operands made so.
fn with(case: &Case, which: impl Fn(usize) -> bool, way: usize) -> Case {
    let (what, make) = WAYS[way];
    let made: Vec<Option<Draw>> =
        case.inputs.iter().enumerate().map(|(i, draw)| which(i).then(|| draw.clone())).collect();
    let names: Vec<String> = (0..made.len()).filter(|i| which(*i)).map(|i| i.to_string()).collect();
    let f = case.f.clone();
    Case {
        name: format!("{}, operand {} {what}", case.name, names.join(" and ")),
        inputs: case.inputs.clone(),
        f: std::sync::Arc::new(move |x: &[Tensor]| {
            let of = |(x, made): (&Tensor, &Option<Draw>)| made.as_ref().map_or(x.clone(), |draw| make(draw, x));
            f(&x.iter().zip(&made).map(of).collect::<Vec<_>>())
        }),
        ..*case
    }
}

/// Each operand of each case in turn, and all of them, in these ways.
fn all(of: &[Case], ways: std::ops::Range<usize>) -> Vec<Case> {
    let mut found = Vec::new();
    for (case, way) in of.iter().flat_map(|case| ways.clone().map(move |way| (case, way))) {
        found.extend((0..case.inputs.len()).map(|operand| with(case, |i| i == operand, way)));
        if case.inputs.len() > 1 {
            found.push(with(case, |_| true, way));
        }
    }
    found
}

fn agree(device: &Device, cases: &[Case]) {
    cases.iter().for_each(|case| assert_agree(device, case, Seed::of(&case.name)));
}

/// Norms of equal elements divide what rounding leaves by ε; the angle between vectors of equal elements is 0, and its sine the root of
/// what rounding leaves; and of numbers alone there is no gradient.
fn is_sound(case: &Case) -> bool {
    let of_equals = case.name.ends_with("a number")
        && (case.name.starts_with("layer norm")
            || (case.name.starts_with("ArcFace") && case.name.contains("operand 0 and 1")));
    !of_equals && !case.name.starts_with("a gradient, operand 0 and 1")
}

#[test]
fn every_operand_of_every_op() {
    let mut cases = all(&cases::small(), 0..WAYS.len());
    cases.retain(is_sound);
    agree(&cpu(), &cases);
}

/// The families whose operands are read from buffers.
fn buffered() -> Vec<Case> {
    let mut buffered = cases::matmul(&[(&[3, 5], &[5, 2]), (&[2, 3, 4], &[4, 3])]);
    buffered.extend(cases::conv());
    buffered.extend(cases::einsum());
    buffered.extend(cases::index());
    buffered.extend(cases::scatter());
    buffered.extend(cases::attention());
    buffered
}

#[test]
fn what_is_read_from_buffers_on_a_gpu() {
    agree(&test_gpu!(), &all(&buffered(), 0..2));
}

#[test]
fn one_op_at_a_time() {
    agree(&cpu().op_by_op(), &all(&buffered(), 0..WAYS.len()));
}

/// The same values and shapes on every device, and the inputs as they were.
fn same(f: impl Fn(&Device) -> Vec<Tensor>) {
    let values = |device: &Device| -> Vec<(Vec<usize>, Vec<f64>)> {
        let read = |t: &Tensor| t.to_vec::<f64>().unwrap_or_else(|e| panic!("on {device}: {e}"));
        f(device).iter().map(|t| (t.shape().to_vec(), read(t))).collect()
    };
    let want = values(&strict());
    for device in [cpu(), cpu().op_by_op(), test_gpu!()] {
        assert_eq!(values(&device), want, "on {device}");
    }
}

#[test]
fn nothing_as_an_operand() {
    same(|device| {
        let none = |shape: &[usize]| Tensor::zeros(device, shape);
        let x = Tensor::from_slice(device, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
        let ids = none(&[0]).cast(DType::I32);
        let image = x.reshape([1, 1, 2, 3]);
        let no_bias = |x: &Tensor, w: &Tensor| x.conv2d(w, &ConvConfig::default());
        vec![
            x.matmul(&none(&[3, 0])),
            none(&[0, 2]).matmul(&x),
            none(&[2, 0]).matmul(&none(&[0, 2])) + 1.0,
            no_bias(&none(&[0, 1, 2, 3]), &Tensor::full(device, 0.5, [1, 1, 2, 2], DType::F32)),
            no_bias(&image, &none(&[0, 1, 1, 1])),
            x.embedding(&ids),
            x.gather(1, &none(&[2, 0]).cast(DType::I32)),
            x.scatter_add(1, &none(&[2, 0]).cast(DType::I32), &none(&[2, 0])),
            x.concat_with(&[none(&[0, 3])], 0),
            none(&[0, 3]).concat_with(std::slice::from_ref(&x), 0),
            none(&[0, 3]).sum(0),
            x.clone(),
        ]
    });
}

/// What is computed from numbers alone has no input to take the place of.
#[test]
fn nothing_but_numbers() {
    same(|device| {
        let full = |x: f64, shape: &[usize]| Tensor::full(device, x, shape, DType::F32);
        let count = Tensor::arange(device, 6).cast(DType::F32).reshape([2, 3]);
        vec![
            full(0.5, &[1, 2]).matmul(&full(3.0, &[2, 1])),
            full(0.5, &[4, 2, 3]).matmul(&full(3.0, &[3, 2])),
            count.matmul(&count.t()),
            count.matmul(&full(3.0, &[3, 2])) + 0.25,
            full(0.5, &[1, 1, 4, 4]).conv2d(&full(0.25, &[1, 1, 3, 3]), &ConvConfig::default()),
            full(0.3125, &[5, 2]).embedding(&Tensor::arange(device, 3)),
            full(7.0, &[3]).concat_with(&[full(5.0, &[2])], 0),
            count.gather(1, &full(2.0, &[2, 1]).cast(DType::I32)),
        ]
    });
}

/// A slope of a mean is a number that feeds a product: what else the product reads stays as it was.
#[test]
fn what_a_product_reads_stays() {
    same(|device| {
        let x = Tensor::from_slice(device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2]);
        let w = Tensor::from_slice(device, &[0.5f32, 0.25], [2, 1]).track();
        let grads = x.matmul(&w).mean(..).backward().unwrap();
        let g = grads.get(&w).unwrap().clone();
        g.eval().unwrap();
        vec![g, x.clone(), w.clone(), x.matmul(&Tensor::full(device, 3.0, [2, 1], DType::F32)), x]
    });
}
