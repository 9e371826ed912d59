use thalweg::nn::*;
use thalweg_graph::Tensor;

use crate::{Case, Draw, cases::floats};

/// The losses. Reductions are left to `Reduction`, which they share.
pub fn loss() -> Vec<Case> {
    let none = Reduction::None;
    let pair = || vec![floats(&[3, 5]), floats(&[3, 5])];
    let classes = || vec![floats(&[4, 5]), Draw::Index(vec![4], 5)];
    // Logits far enough out for the tails, and targets between 0 and 1.
    let soft = || vec![Draw::Uniform(vec![3, 5], -6.0, 6.0), Draw::Uniform(vec![3, 5], 0.1, 0.9)];
    let inside = || vec![Draw::Uniform(vec![3, 5], 0.1, 0.9), Draw::Uniform(vec![3, 5], 0.1, 0.9)];
    let signs = || vec![floats(&[3, 5]), floats(&[3, 5]), Draw::Index(vec![3, 5], 2)];
    // 0 and 1 drawn, -1 and 1 meant.
    let sign = |t: &Tensor| t * 2 - 1;
    let lengths = |x: &Tensor, l: &[i32]| Tensor::from_slice(x.device(), l, [l.len()]);
    let case = |name: &str, inputs, f: fn(&[Tensor], Reduction) -> Tensor| Case::new(name, inputs, move |x| f(x, none));
    vec![
        case("smooth l1", pair(), |x, reduction| SmoothL1 { beta: 0.7, reduction }.loss(&x[0], &x[1])).kinked(),
        case("huber", pair(), |x, reduction| Huber { delta: 0.7, reduction }.loss(&x[0], &x[1])).kinked(),
        case("log cosh", pair(), |x, reduction| LogCosh { reduction }.loss(&(&x[0] * 3.0), &x[1])).kinked(),
        case("nll", classes(), |x, reduction| Nll { reduction, ..Nll::default() }.loss(&x[0], &x[1])),
        case("binary cross-entropy", inside(), |x, reduction| {
            BinaryCrossEntropy { weight: None, reduction }.loss(&x[0], &x[1])
        }),
        case("binary cross-entropy with logits", soft(), |x, reduction| {
            BinaryCrossEntropyWithLogits { weight: None, pos_weight: None, reduction }.loss(&x[0], &x[1])
        }),
        case("multilabel soft margin", soft(), |x, reduction| {
            MultilabelSoftMargin { weight: None, reduction }.loss(&x[0], &x[1])
        })
        .terms(5),
        case("kl", inside(), |x, reduction| KlDivergence { log_target: false, reduction }.loss(&x[0], &x[1])),
        case("kl of logarithms", pair(), |x, reduction| {
            KlDivergence { log_target: true, reduction }.loss(&x[0], &x[1])
        }),
        case("poisson nll", inside(), |x, reduction| {
            PoissonNll { log_input: false, full: true, reduction, ..PoissonNll::default() }.loss(&x[0], &(&x[1] * 4.0))
        })
        .kinked(),
        case("gaussian nll", [pair(), vec![Draw::Uniform(vec![3, 1], 0.3, 2.0)]].concat(), |x, reduction| {
            GaussianNll { full: true, reduction, ..GaussianNll::default() }.loss(&x[0], &x[1], &x[2])
        }),
        case("sigmoid focal", soft(), |x, reduction| {
            SigmoidFocal { gamma: 1.5, reduction, ..SigmoidFocal::default() }.loss(&x[0], &x[1])
        }),
        case("softmax focal", classes(), |x, reduction| SoftmaxFocal { gamma: 1.5, reduction }.loss(&x[0], &x[1]))
            .terms(5),
        case("dice", soft(), |x, reduction| Dice { smooth: 1.0, reduction }.loss(&x[0], &x[1])).terms(15),
        Case::new("hinge embedding", signs(), move |x| {
            HingeEmbedding { margin: 0.4, reduction: none }.loss(&x[0], &sign(&x[2]))
        })
        .kinked(),
        Case::new("margin ranking", signs(), move |x| {
            MarginRanking { margin: 0.4, reduction: none }.loss(&x[0], &x[1], &sign(&x[2]))
        })
        .kinked(),
        Case::new("soft margin", signs(), move |x| SoftMargin { reduction: none }.loss(&x[0], &sign(&x[2]))),
        case("multi margin", classes(), |x, reduction| {
            MultiMargin { p: 2, reduction, ..MultiMargin::default() }.loss(&x[0], &x[1])
        })
        .terms(5)
        .kinked(),
        Case::new("cosine embedding", vec![floats(&[4, 5]), floats(&[4, 5]), Draw::Index(vec![4], 2)], move |x| {
            CosineEmbedding { margin: -0.2, reduction: none }.loss(&x[0], &x[1], &sign(&x[2]))
        })
        .terms(20)
        .kinked(),
        case("triplet", vec![floats(&[4, 5]), floats(&[4, 5]), floats(&[4, 5])], |x, reduction| {
            TripletMargin { p: 1.5, swap: true, reduction, ..TripletMargin::default() }.loss(&x[0], &x[1], &x[2])
        })
        .terms(20)
        .kinked(),
        case("multilabel margin", vec![floats(&[4, 5]), Draw::Index(vec![4, 5], 6)], |x, reduction| {
            MultilabelMargin { reduction }.loss(&x[0], &(&x[1] - 1))
        })
        .terms(25)
        .kinked(),
        Case::new("ctc", vec![floats(&[9, 3, 4]), Draw::Index(vec![3, 3], 3)], move |x| {
            let (input, target) = (lengths(&x[0], &[9, 7, 8]), lengths(&x[0], &[3, 0, 2]));
            let ctc = Ctc { blank: 3, zero_infinity: true, reduction: none };
            ctc.loss(&x[0].log_softmax(-1), &x[1], &input, &target)
        })
        .terms(200),
    ]
}
