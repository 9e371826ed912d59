//! Ops of a user's own: the kernel agrees with the reference, the gradient with differences, and what goes wrong says so.

use thalweg_graph::{CustomOp, DType, Operand, Tensor};
use thalweg_tests::{Case, Draw, Seed, assert_agree, check_gradient, cpu, test_gpu};

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
    assert!(text.contains("power_sum") && text.contains("[[2, 3], [4]]") && text.contains("custom.rs"), "{text}");
    let w = Tensor::ones(&device, [3]);
    let bad = PowerSum { p: 2.0, text: "fn custom(i: u32) -> f32 { return in0(i) + nothing; }", grads: true };
    let text = x.custom(bad, &[&w]).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("does not compile") && text.contains("power_sum") && text.contains("nothing"), "{text}");
    let none = PowerSum { p: 2.0, text: TEXT, grads: false };
    let text = x.custom(none, &[&w]).sum(..).backward().unwrap_err().to_string();
    assert!(text.contains("power_sum") && text.contains("no gradient"), "{text}");
}

#[test]
fn the_example_trains() {
    for device in [cpu(), test_gpu!()] {
        let accuracy = example::train(&device).unwrap();
        assert!(accuracy > 0.9, "{accuracy} on {device}");
    }
}
