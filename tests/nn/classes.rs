//! Classes that there are not, classes that are ignored, and batches of nothing, as in PyTorch.

use thalweg::{nn::*, prelude::*};
use thalweg_tests::{cpu, own_gpu, strict, test_gpu};

fn logits(device: &Device) -> Tensor {
    Tensor::from_slice(device, &[0.5f32, -1.0, 2.0, 0.25, 1.5, -0.5], [2, 3]).track()
}

fn classes(device: &Device, of: &[i32]) -> Tensor {
    Tensor::from_slice(device, of, [of.len()])
}

type Loss = (&'static str, fn(&Tensor, &Tensor) -> Tensor);

/// The losses of classes, without a reduction where one could hide a row.
fn losses() -> Vec<Loss> {
    vec![
        ("cross_entropy", |x, t| x.cross_entropy(t)),
        ("cross_entropy", |x, t| CrossEntropy { label_smoothing: 0.3, ..CrossEntropy::default() }.loss(x, t)),
        ("cross_entropy", |x, t| {
            let weight = Some(Tensor::ones(x.device(), [3]) * 2.0);
            CrossEntropy { weight, reduction: Reduction::Sum, ..CrossEntropy::default() }.loss(x, t)
        }),
        ("nll_loss", |x, t| x.log_softmax(1).nll_loss(t)),
        ("softmax_focal_loss", |x, t| SoftmaxFocal::default().loss(x, t)),
        ("multi_margin_loss", |x, t| MultiMargin::default().loss(x, t)),
        ("multilabel_margin_loss", |x, t| {
            let none = t.zeros_like() - 1;
            let target = Tensor::stack([t, &none, &none], 1);
            MultilabelMargin::default().loss(x, &target)
        }),
    ]
}

#[test]
fn a_class_that_there_is_not() {
    for (name, loss) in losses() {
        for bad in [3, 7, i32::MAX] {
            let want = format!("{name}: index {bad} is out of range for axis 1 of extent 3");
            for device in [strict(), cpu()] {
                let (x, t) = (logits(&device), classes(&device, &[1, bad]));
                let text = loss(&x, &t).item().unwrap_err().to_string();
                assert!(text.contains(&want) && text.contains("classes.rs"), "{device}: {text}");
                assert_eq!(x.to_vec::<f32>().unwrap().len(), 6, "{device}: an innocent read");
            }
            // A GPU computes on, and what it computes is no number: no step is taken.
            let device = own_gpu();
            let (x, t) = (logits(&device), classes(&device, &[1, bad]));
            let y = loss(&x, &t);
            y.eval().unwrap();
            let text = device.synchronize().unwrap_err().to_string();
            assert!(text.contains(&want), "{text}");
            assert!(y.item().unwrap().is_nan(), "{name} of class {bad}");
            assert!((loss(&x, &classes(&device, &[1, 2])).item().unwrap()).is_finite());
        }
    }
}

/// PyTorch: `F.cross_entropy(x, t)` with x = [[0.5, -1, 2], [0.25, 1.5, -0.5]].
#[test]
fn what_is_ignored_counts_nothing() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = logits(&device);
        let near = |y: Tensor, want: f64, what: &str| {
            let got = y.item().unwrap();
            assert!(
                (got - want).abs() < 1e-6 || (got.is_nan() && want.is_nan()),
                "{what} on {device}: {got}, not {want}"
            );
        };
        let first = (0.5f64.exp() + (-1f64).exp() + 2f64.exp()).ln() + 1.0;
        let second = (0.25f64.exp() + 1.5f64.exp() + (-0.5f64).exp()).ln() - 1.5;
        near(x.cross_entropy(&classes(&device, &[1, 1])), (first + second) / 2.0, "both");
        let ignoring = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
        let of_log = Nll { ignore_index: Some(-100), ..Nll::default() };
        near(ignoring.loss(&x, &classes(&device, &[1, -100])), first, "one of two");
        near(of_log.loss(&x.log_softmax(1), &classes(&device, &[-100, 1])), second, "the other");
        let all = classes(&device, &[-100, -100]);
        near(ignoring.loss(&x, &all), f64::NAN, "none");
        near(of_log.loss(&x.log_softmax(1), &all), f64::NAN, "none");
        for reduction in [Reduction::Sum, Reduction::Mean] {
            let loss = CrossEntropy { reduction, ignore_index: Some(2), ..CrossEntropy::default() };
            near(loss.loss(&x, &classes(&device, &[2, 1])), second, "2 ignored");
        }
        let none = CrossEntropy { reduction: Reduction::None, ..ignoring.clone() };
        let rows = none.loss(&x, &classes(&device, &[1, -100])).to_vec::<f64>().unwrap();
        assert!((rows[0] - first).abs() < 1e-6 && rows[1] == 0.0, "{device}: {rows:?}");
        // An ignored row gets no gradient.
        let grads = ignoring.loss(&x, &classes(&device, &[1, -100])).backward().unwrap();
        let g = grads.get(&x).unwrap().to_vec::<f64>().unwrap();
        assert!(g[..3].iter().all(|v| v.abs() > 1e-3) && g[3..] == [0.0; 3], "{device}: {g:?}");
    }
}

/// The mean of no losses is not a number, and their sum is 0.
#[test]
fn batches_of_nothing() {
    type Of = fn(&Tensor, Reduction) -> Tensor;
    let all: [(&str, Of); 20] = [
        ("cross_entropy", |x, reduction| {
            let t = Tensor::zeros(x.device(), [0]).cast(DType::I32);
            CrossEntropy { reduction, ..CrossEntropy::default() }.loss(x, &t)
        }),
        ("cross_entropy of probabilities", |x, reduction| {
            CrossEntropy { reduction, ..CrossEntropy::default() }.loss(x, x)
        }),
        ("nll", |x, reduction| {
            let t = Tensor::zeros(x.device(), [0]).cast(DType::I32);
            Nll { reduction, ..Nll::default() }.loss(x, &t)
        }),
        ("softmax focal", |x, reduction| {
            let t = Tensor::zeros(x.device(), [0]).cast(DType::I32);
            SoftmaxFocal { reduction, ..SoftmaxFocal::default() }.loss(x, &t)
        }),
        ("multi margin", |x, reduction| {
            let t = Tensor::zeros(x.device(), [0]).cast(DType::I32);
            MultiMargin { reduction, ..MultiMargin::default() }.loss(x, &t)
        }),
        ("multilabel margin", |x, reduction| MultilabelMargin { reduction }.loss(x, &x.cast(DType::I32))),
        ("multilabel soft margin", |x, reduction| MultilabelSoftMargin { weight: None, reduction }.loss(x, x)),
        ("mse", |x, reduction| Mse { reduction }.loss(x, x)),
        ("l1", |x, reduction| L1 { reduction }.loss(x, x)),
        ("smooth l1", |x, reduction| SmoothL1 { reduction, ..SmoothL1::default() }.loss(x, x)),
        ("huber", |x, reduction| Huber { reduction, ..Huber::default() }.loss(x, x)),
        ("log cosh", |x, reduction| LogCosh { reduction }.loss(x, x)),
        ("bce", |x, reduction| BinaryCrossEntropy { weight: None, reduction }.loss(x, x)),
        ("bce with logits", |x, reduction| {
            BinaryCrossEntropyWithLogits { reduction, ..BinaryCrossEntropyWithLogits::default() }.loss(x, x)
        }),
        ("kl", |x, reduction| KlDivergence { reduction, ..KlDivergence::default() }.loss(x, x)),
        ("poisson", |x, reduction| PoissonNll { reduction, ..PoissonNll::default() }.loss(x, x)),
        ("gaussian", |x, reduction| GaussianNll { reduction, ..GaussianNll::default() }.loss(x, x, x)),
        ("hinge embedding", |x, reduction| HingeEmbedding { reduction, ..HingeEmbedding::default() }.loss(x, x)),
        ("triplet margin", |x, reduction| TripletMargin { reduction, ..TripletMargin::default() }.loss(x, x, x)),
        ("dice", |x, reduction| Dice { reduction, ..Dice::default() }.loss(x, x)),
    ];
    for device in [strict(), cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()] {
        for (name, loss) in all {
            let x = Tensor::zeros(&device, [0, 3]);
            let of = |reduction| loss(&x, reduction).item().unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
            assert!(of(Reduction::Mean).is_nan(), "the mean of no {name} on {device} is {}", of(Reduction::Mean));
            assert_eq!(of(Reduction::Sum), 0.0, "the sum of no {name} on {device}");
            assert!(loss(&x, Reduction::None).to_vec::<f32>().unwrap().is_empty());
        }
    }
}
