use thalweg::{nn::*, prelude::*};

use crate::{Case, Draw, cases::floats};

/// Losses with the settings that the family leaves out, and every way to reduce them.
pub fn loss() -> Vec<Case> {
    let mut cases = classes();
    cases.extend(numbers());
    cases.extend(sequences());
    cases.extend(embeddings());
    cases.extend(heads());
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::BatchMean, Reduction::None] {
        cases.push(Case::new(format!("mse {reduction:?}"), pair(), move |x| Mse { reduction }.loss(&x[0], &x[1])));
        cases.push(
            Case::new(format!("l1 {reduction:?}"), pair(), move |x| L1 { reduction }.loss(&x[0], &x[1])).kinked(),
        );
        let classes = vec![floats(&[4, 5]), Draw::Index(vec![4], 5)];
        cases.push(Case::new(format!("cross-entropy, weighted, {reduction:?}"), classes, move |x| {
            let weight = Some(factors(&x[0]));
            CrossEntropy { weight, label_smoothing: 0.2, reduction, ignore_index: Some(1) }.loss(&x[0], &x[1])
        }));
    }
    cases
}

fn pair() -> Vec<Draw> {
    vec![floats(&[3, 5]), floats(&[3, 5])]
}

/// A factor for each class, no input.
fn factors(x: &Tensor) -> Tensor {
    Tensor::arange(x.device(), 5).cast(x.dtype()) * 0.3 + 0.2
}

fn classes() -> Vec<Case> {
    let classes = || vec![floats(&[4, 5]), Draw::Index(vec![4], 5)];
    let shares = || vec![floats(&[2, 5, 3]), Draw::Uniform(vec![2, 5, 3], 0.1, 0.9)];
    let soft = || vec![Draw::Uniform(vec![3, 5], -6.0, 6.0), Draw::Uniform(vec![3, 5], 0.1, 0.9)];
    let inside = || vec![Draw::Uniform(vec![3, 5], 0.1, 0.9), Draw::Uniform(vec![3, 5], 0.1, 0.9)];
    vec![
        Case::new("cross_entropy", classes(), |x| x[0].cross_entropy(&x[1])),
        Case::new("cross-entropy of one row", vec![floats(&[5]), Draw::Index(vec![], 5)], |x| {
            x[0].cross_entropy(&x[1])
        }),
        Case::new("cross-entropy of shares", shares(), |x| x[0].cross_entropy(&x[1])),
        Case::new("cross-entropy of shares, smoothed and weighted", shares(), |x| {
            CrossEntropy { weight: Some(factors(&x[0])), label_smoothing: 0.3, ..CrossEntropy::default() }
                .loss(&x[0], &x[1])
        }),
        Case::new("nll, weighted", classes(), |x| {
            Nll { weight: Some(factors(&x[0])), ignore_index: Some(2), ..Nll::default() }.loss(&x[0], &x[1])
        }),
        Case::new("nll_loss", classes(), |x| x[0].nll_loss(&x[1])),
        Case::new("bce_with_logits", soft(), |x| x[0].bce_with_logits(&x[1])),
        Case::new("binary cross-entropy, weighted", inside(), |x| {
            BinaryCrossEntropy { weight: Some(factors(&x[0])), ..BinaryCrossEntropy::default() }.loss(&x[0], &x[1])
        }),
        Case::new("binary cross-entropy with logits, weighted", soft(), |x| {
            let (weight, pos_weight) = (Some(factors(&x[0])), Some(factors(&x[0]) + 1.0));
            BinaryCrossEntropyWithLogits { weight, pos_weight, ..BinaryCrossEntropyWithLogits::default() }
                .loss(&x[0], &x[1])
        }),
        Case::new("multilabel soft margin, weighted", soft(), |x| {
            MultilabelSoftMargin { weight: Some(factors(&x[0])), ..MultilabelSoftMargin::default() }.loss(&x[0], &x[1])
        }),
        Case::new("sigmoid focal without α", soft(), |x| {
            SigmoidFocal { alpha: -1.0, gamma: 0.5, ..SigmoidFocal::default() }.loss(&x[0], &x[1])
        }),
        Case::new("softmax focal of γ = 0.5", classes(), |x| {
            SoftmaxFocal { gamma: 0.5, ..SoftmaxFocal::default() }.loss(&x[0], &x[1])
        }),
        Case::new("softmax focal of γ = 0", classes(), |x| {
            SoftmaxFocal { gamma: 0.0, ..SoftmaxFocal::default() }.loss(&x[0], &x[1])
        }),
        Case::new("multi margin, weighted", classes(), |x| {
            MultiMargin { weight: Some(factors(&x[0])), margin: 0.5, ..MultiMargin::default() }.loss(&x[0], &x[1])
        })
        .kinked(),
    ]
}

fn numbers() -> Vec<Case> {
    let rates = || vec![floats(&[3, 5]), Draw::Uniform(vec![3, 5], 1.5, 4.0)];
    let three = || vec![floats(&[4, 5]), floats(&[4, 5]), floats(&[4, 5])];
    vec![
        Case::new("mse_loss", pair(), |x| x[0].mse_loss(&x[1])),
        Case::new("l1_loss", pair(), |x| x[0].l1_loss(&x[1])).kinked(),
        Case::new("smooth_l1_loss", pair(), |x| x[0].smooth_l1_loss(&x[1])).kinked(),
        Case::new("huber_loss", pair(), |x| x[0].huber_loss(&x[1])).kinked(),
        Case::new("smooth l1 of β = 0", pair(), |x| SmoothL1 { beta: 0.0, ..SmoothL1::default() }.loss(&x[0], &x[1]))
            .kinked(),
        Case::new("poisson nll of logarithms", rates(), |x| PoissonNll::default().loss(&x[0], &x[1])),
        Case::new("poisson nll in full", rates(), |x| {
            PoissonNll { full: true, ..PoissonNll::default() }.loss(&x[0], &x[1])
        }),
        Case::new("gaussian nll of rows", [pair(), vec![Draw::Uniform(vec![3], 0.3, 2.0)]].concat(), |x| {
            GaussianNll::default().loss(&x[0], &x[1], &x[2])
        }),
        Case::new("triplet of p = 2", three(), |x| TripletMargin::default().loss(&x[0], &x[1], &x[2])).kinked(),
        Case::new("dice of volumes", vec![floats(&[2, 3, 2, 2]), Draw::Uniform(vec![2, 3, 2, 2], 0.1, 0.9)], |x| {
            Dice { smooth: 0.3, ..Dice::default() }.loss(&x[0], &x[1])
        }),
    ]
}

fn sequences() -> Vec<Case> {
    let lengths = |x: &Tensor, l: &[i32]| Tensor::from_slice(x.device(), l, [l.len()]);
    let inputs = || vec![floats(&[7, 2, 4]), Draw::Index(vec![2, 3], 3)];
    let mut cases = Vec::new();
    for reduction in [Reduction::Mean, Reduction::Sum] {
        cases.push(Case::new(format!("ctc {reduction:?}"), inputs(), move |x| {
            let (input, target) = (lengths(&x[0], &[7, 6]), lengths(&x[0], &[3, 2]));
            Ctc { blank: 3, reduction, ..Ctc::default() }.loss(&x[0].log_softmax(-1), &x[1], &input, &target)
        }));
    }
    cases.push(Case::new("ctc of targets in a row", inputs(), move |x| {
        let (input, target) = (lengths(&x[0], &[7, 7]), lengths(&x[0], &[1, 5]));
        let ctc = Ctc { blank: 3, zero_infinity: true, ..Ctc::default() };
        ctc.loss(&x[0].log_softmax(-1), &x[1].reshape([6]), &input, &target)
    }));
    cases.push(Case::new("ctc of one sequence", vec![floats(&[6, 4]), Draw::Index(vec![2], 3)], move |x| {
        let (input, target) = (lengths(&x[0], &[6]), lengths(&x[0], &[2]));
        Ctc { blank: 3, ..Ctc::default() }.loss(&x[0].log_softmax(-1), &x[1], &input, &target)
    }));
    cases
}

fn embeddings() -> Vec<Case> {
    let rows = || vec![floats(&[4, 5]), floats(&[4, 5])];
    let none = Reduction::None;
    vec![
        Case::new("contrastive", [rows(), vec![Draw::Index(vec![4], 2)]].concat(), move |x| {
            Contrastive { margin: 3.0, reduction: none, ..Contrastive::default() }.loss(&x[0], &x[1], &(&x[2] * 2 - 1))
        })
        .terms(20)
        .kinked(),
        Case::new("info nce", rows(), move |x| {
            InfoNce { temperature: 0.5, reduction: none, ..InfoNce::default() }.loss(&x[0], &x[1])
        })
        .terms(20),
        Case::new("info nce both ways", rows(), |x| {
            InfoNce { temperature: 0.5, symmetric: true, ..InfoNce::default() }.loss(&x[0], &x[1])
        }),
        Case::new("nt-xent", rows(), move |x| NtXent { reduction: none, ..NtXent::default() }.loss(&x[0], &x[1]))
            .terms(20),
        Case::new("distillation", rows(), move |x| {
            Distillation { temperature: 3.0, reduction: none }.loss(&x[0], &x[1])
        })
        .terms(5),
        Case::new("distillation of pictures", vec![floats(&[2, 5, 3]), floats(&[2, 5, 3])], |x| {
            Distillation::default().loss(&x[0], &x[1])
        }),
    ]
}

/// Heads as functions of their input and of their parameter, in whose place another tensor is put.
fn heads() -> Vec<Case> {
    fn of<L: Module>(layer: Result<L>, x: &[Tensor], forward: impl Fn(&L) -> Tensor) -> Tensor {
        let layer = layer.and_then(|layer| layer.cast(x[0].dtype())).unwrap_or_else(|e| panic!("{e}"));
        let param = layer.params().remove(0).1;
        overlay(&[(&param, x[1].clone())], || forward(&layer)).unwrap_or_else(|e| panic!("{e}"))
    }
    let inputs = || vec![floats(&[4, 5]), floats(&[3, 5]), Draw::Index(vec![4], 3)];
    let mut cases = vec![
        Case::new("CosFace", inputs(), |x| {
            let head = CosFace::new(5, 3).scale(2.0).init(x[0].device(), &mut Rng::seed(1));
            of(head, x, |head| head.forward(&x[0], &x[2]))
        })
        .terms(20),
        Case::new("UncertaintyWeights", vec![floats(&[2]), floats(&[2])], |x| {
            let tasks = UncertaintyWeights::new(&[Likelihood::Gaussian, Likelihood::Softmax]);
            of(tasks.init(x[0].device(), &mut Rng::seed(1)), x, |weights| {
                weights.forward(&[&x[0].select(0, 0), &x[0].select(0, 1).square()])
            })
        }),
    ];
    for (margin, easy) in [(0.5, false), (0.5, true), (1.5, false)] {
        let name = format!("ArcFace with a margin of {margin}{}", if easy { ", easy" } else { "" });
        cases.push(
            Case::new(name, inputs(), move |x| {
                let head = ArcFace::new(5, 3).scale(2.0).margin(margin).easy(easy);
                of(head.init(x[0].device(), &mut Rng::seed(1)), x, |head| head.forward(&x[0], &x[2]))
            })
            .terms(20)
            .kinked(),
        );
    }
    cases
}
