//! Ops of a user's own: the kernel agrees with the reference, the gradient with differences, and what goes wrong says so.

use thalweg_graph::{CustomOp, DType, MultiOp, Operand, Tensor};
use thalweg_tests::{Case, Draw, Seed, assert_agree, check_gradient, cpu, strict, test_gpu};

#[path = "../../examples/custom_op.rs"]
#[expect(dead_code, reason = "its main is for the command line")]
mod example;

/// `y[r] = Σ_c x[r, c] · w[c]^p`.
#[derive(Debug)]
struct PowerSum {
    p: f64,
    text: &'static str,
    grads: bool,
}

const TEXT: &str = "fn custom(i: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < in0_dim(1u); c++) {
        sum += in0(i * in0_dim(1u) + c) * pow(in1(c), P);
    }
    return sum;
}";

impl CustomOp for PowerSum {
    fn name(&self) -> &'static str {
        "power_sum"
    }
    fn result(&self, inputs: &[(&[usize], DType)]) -> Result<(Vec<usize>, DType), String> {
        match inputs {
            [([rows, c], DType::F32 | DType::F64), ([k], _)] if c == k => Ok((vec![*rows], inputs[0].1)),
            _ => Err("wanted [rows, columns] and [columns]".into()),
        }
    }
    fn wgsl(&self) -> String {
        self.text.replace('P', &format!("{:?}", self.p))
    }
    fn reference(&self, inputs: &[Operand<'_>], result: &mut [f64]) {
        let (x, w) = (inputs[0], inputs[1]);
        for (row, y) in x.data.chunks(w.data.len()).zip(result) {
            *y = row.iter().zip(w.data).map(|(x, w)| x * w.powf(self.p)).sum();
        }
    }
    fn vjp(&self, inputs: &[Tensor], _: &Tensor, g: &Tensor) -> Option<Vec<Option<Tensor>>> {
        let (x, w, g) = (&inputs[0], &inputs[1], g.unsqueeze(1));
        let dw = (x * &g).sum(0) * w.pow(self.p - 1.0) * self.p;
        self.grads.then(|| vec![Some(&g * w.pow(self.p)), Some(dw)])
    }
    fn parameters(&self) -> Vec<f64> {
        vec![self.p, self.text.len() as f64]
    }
}

fn op(p: f64) -> PowerSum {
    PowerSum { p, text: TEXT, grads: true }
}

fn case(p: f64, rows: usize, columns: usize) -> Case {
    let inputs = vec![Draw::Uniform(vec![rows, columns], -1.0, 1.0), Draw::Uniform(vec![columns], 0.5, 1.5)];
    // Views and results of other ops as inputs, and an op that reads the result.
    let f = move |x: &[Tensor]| (x[0].flip(1) * 2.0).custom(op(p), &[&x[1].flip(0)]).tanh();
    Case::new(format!("power sum {p} of {rows} by {columns}"), inputs, f)
}

#[test]
fn a_custom_op_agrees_with_its_reference_and_differences() {
    for (p, rows, columns) in [(2.0, 3, 5), (3.0, 3, 5), (1.5, 70, 33), (2.0, 1, 1)] {
        let case = case(p, rows, columns);
        check_gradient(&case, Seed::of(&case.name));
        for device in [cpu(), test_gpu!()] {
            assert_agree(&device, &case, Seed::of(&case.name));
        }
    }
}

#[test]
fn what_is_wrong_with_a_custom_op_is_said() {
    let device = test_gpu!();
    let (x, w) = (Tensor::ones(&device, [2, 3]).track(), Tensor::ones(&device, [4]));
    let text = x.custom(op(2.0), &[&w]).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("power_sum") && text.contains("f32 [2, 3], f32 [4]") && text.contains("custom.rs"), "{text}");
    let w = Tensor::ones(&device, [3]);
    let bad = PowerSum { p: 2.0, text: "fn custom(i: u32) -> f32 { return in0(i) + nothing; }", grads: true };
    let text = x.custom(bad, &[&w]).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("does not compile") && text.contains("power_sum") && text.contains("nothing"), "{text}");
    let none = PowerSum { p: 2.0, text: TEXT, grads: false };
    let text = x.custom(none, &[&w]).sum(..).backward().unwrap_err().to_string();
    assert!(text.contains("power_sum") && text.contains("no gradient"), "{text}");
}

/// Of each row the largest element, where it is, and whether it is positive; of all of them `x^p`. What `vjp` gives is up to a test.
#[derive(Debug)]
struct Peaks {
    p: f64,
    vjp: fn(&Peaks, &[Tensor], &[Tensor; 4], &[Tensor; 4]) -> Option<Vec<Option<Tensor>>>,
    last: (usize, DType),
}

/// `dx = g · (x = max) + h · p · x^(p-1)`.
fn gradient(op: &Peaks, inputs: &[Tensor], y: &[Tensor; 4], g: &[Tensor; 4]) -> Option<Vec<Option<Tensor>>> {
    let (x, [_, place, ..]) = (&inputs[0], y);
    let peak = place.one_hot(x.shape()[1]).cast(x.dtype()) * g[0].unsqueeze(1);
    Some(vec![Some(peak + &g[3] * op.p * x.pow(op.p - 1.0))])
}

fn peaks(p: f64) -> Peaks {
    Peaks { p, vjp: gradient, last: (2, DType::F32) }
}

impl MultiOp<4> for Peaks {
    fn name(&self) -> &'static str {
        "peaks"
    }
    fn results(&self, inputs: &[(&[usize], DType)]) -> Result<[(Vec<usize>, DType); 4], String> {
        let [([rows, columns], dtype)] = inputs else { return Err("wanted [rows, columns]".into()) };
        let powers = if self.last.0 == 2 { vec![*rows, *columns] } else { vec![1; self.last.0] };
        // In f64 to hold gradients against differences.
        let [float, last] = if *dtype == DType::F64 { [*dtype; 2] } else { [DType::F16, self.last.1] };
        Ok([(vec![*rows], float), (vec![*rows], DType::I32), (vec![*rows], DType::Bool), (powers, last)])
    }
    fn wgsl(&self) -> String {
        let text = "fn custom_multi(i: u32) {
            let n = in0_dim(1u);
            set3(i, pow(in0(i), P));
            if i >= out0_len() { return; }
            var at = 0u;
            for (var c = 1u; c < n; c++) { if in0(i * n + c) > in0(i * n + at) { at = c; } }
            set0(i, in0(i * n + at));
            set1(i, i32(at));
            set2(i, in0(i * n + at) > 0.0);
        }";
        text.replace('P', &format!("{:?}", self.p))
    }
    fn reference(&self, inputs: &[Operand<'_>], [values, places, signs, powers]: [&mut [f64]; 4]) {
        let x = inputs[0];
        for (r, row) in x.data.chunks(x.shape[1]).enumerate() {
            places[r] = (1..row.len()).fold(0, |at, c| if row[c] > row[at] { c } else { at }) as f64;
            values[r] = row[places[r] as usize];
            signs[r] = f64::from(values[r] > 0.0);
        }
        powers.iter_mut().zip(x.data).for_each(|(y, x)| *y = x.powf(self.p));
    }
    fn vjp(&self, inputs: &[Tensor], y: &[Tensor; 4], g: &[Tensor; 4]) -> Option<Vec<Option<Tensor>>> {
        (self.vjp)(self, inputs, y, g)
    }
    fn parameters(&self) -> Vec<f64> {
        vec![self.p]
    }
}

#[test]
fn an_op_with_several_results_agrees_with_its_reference_and_differences() {
    type Use = fn([Tensor; 4]) -> Tensor;
    // All results, some, one: what nobody asks for is not there.
    let uses: [(&str, Use); 4] = [
        ("all", |[a, b, c, d]| (a.unsqueeze(1) * d).sum(1) + b.cast(a.dtype()) + c.cast(a.dtype())),
        ("the first and the last", |[a, _, _, d]| a.square() + d.sum(1).tanh()),
        ("the first", |[a, ..]| a.exp()),
        ("the last", |[.., d]| d.sum(1)),
    ];
    for (what, of) in uses {
        for (rows, columns) in [(3, 5), (70, 33), (1, 1)] {
            let inputs = vec![Draw::Uniform(vec![rows, columns], 0.5, 1.5)];
            let f = move |x: &[Tensor]| of(x[0].flip(1).custom_multi(peaks(2.0), &[]));
            let case = Case::new(format!("peaks of {rows} by {columns}, {what}"), inputs, f);
            check_gradient(&case, Seed::of(&case.name));
            for device in [cpu(), test_gpu!()] {
                assert_agree(&device, &case, Seed::of(&case.name));
            }
        }
    }
}

#[test]
fn results_have_their_own_dtypes_and_one_launch() -> thalweg_graph::Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::from_slice(&device, &[1.0f32, 3.0, 2.0, -1.0, -2.0, -0.5], [2, 3]);
        let results = x.custom_multi(peaks(2.0), &[]);
        assert_eq!(results.each_ref().map(Tensor::dtype), [DType::F16, DType::I32, DType::Bool, DType::F32]);
        let (ran, profile) = device.profile(|| Tensor::eval_all(&results));
        ran?;
        assert_eq!(profile.spans().len(), 1, "{device}: {profile}");
        let [values, places, signs, _] = &results;
        assert_eq!(values.to_vec::<f64>()?, [3.0, -0.5], "{device}");
        assert_eq!(places.to_vec::<i32>()?, [1, 2], "{device}");
        assert_eq!(signs.to_vec::<bool>()?, [true, false], "{device}");
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_an_op_of_several_results_is_said() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::ones(&device, [2, 3]).track();
        let all_say = |results: [Tensor; 4], words: &[&str]| {
            for result in results {
                let text = result.eval().unwrap_err().to_string();
                assert!(
                    words.iter().chain(&["peaks", "custom.rs"]).all(|word| text.contains(word)),
                    "{device}: {text}"
                );
            }
        };
        all_say(x.sum(1).custom_multi(peaks(2.0), &[]), &["f32 [2]", "wanted [rows, columns]"]);
        all_say(x.custom_multi(Peaks { last: (9, DType::F32), ..peaks(2.0) }, &[]), &["[1, 1, 1, 1, 1, 1, 1, 1, 1]"]);
        if !device.properties().f64 {
            all_say(x.custom_multi(Peaks { last: (2, DType::F64), ..peaks(2.0) }, &[]), &["f64", "does not exist"]);
        }
        let backward_says = |vjp, words: &[&str]| {
            let [y, ..] = x.custom_multi(Peaks { vjp, ..peaks(2.0) }, &[]);
            let text = y.sum(..).backward().map(drop).unwrap_err().to_string();
            assert!(words.iter().chain(&["peaks", "custom.rs"]).all(|word| text.contains(word)), "{device}: {text}");
        };
        backward_says(|_, _, _, _| None, &["no gradient"]);
        backward_says(|_, x, _, _| Some(vec![Some(x[0].clone()); 2]), &["1 inputs", "2 gradients"]);
        backward_says(|_, x, _, _| Some(vec![Some(x[0].sum(0))]), &["input 0", "[2, 3]", "[3]"]);
        backward_says(|_, x, _, _| Some(vec![Some(x[0].cast(DType::I32))]), &["input 0", "f32", "i32"]);
    }
}

#[test]
fn the_example_trains() {
    for device in [cpu(), test_gpu!()] {
        let accuracy = example::train(&device, 0).unwrap();
        assert!(accuracy > 0.9, "{accuracy} on {device}");
    }
}
