//! Losses of pairs, heads with a margin and sums of tasks, against PyTorch's numbers of `w = wave(8, 5)`, whose first four rows are
//! `a` and last four `b`.

use thalweg::{nn::*, prelude::*};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, names, wave};

fn halves(device: &Device) -> (Tensor, Tensor) {
    let w = wave(device, &[8, 5]);
    (w.slice(0, ..4).track(), w.slice(0, 4..).track())
}

fn classes(device: &Device, of: &[i32]) -> Tensor {
    Tensor::from_slice(device, of, [of.len()])
}

/// ```python
/// logits = normalize(a) @ normalize(b).T / 0.2
/// cross_entropy(logits, arange(4), reduction="none"), and the mean with that of logits.T
/// z = normalize(cat([a, b])); logits = (z @ z.T / 0.5).masked_fill(eye(8, dtype=bool), -inf)
/// cross_entropy(logits, tensor([4, 5, 6, 7, 0, 1, 2, 3]), reduction="none")
/// ```
#[test]
fn pairs_find_each_other() -> Result<()> {
    let reduction = Reduction::None;
    for device in [strict(), cpu(), test_gpu!()] {
        let (a, b) = halves(&device);
        let one_way = InfoNce { temperature: 0.2, reduction, ..InfoNce::default() };
        close(&one_way.loss(&a, &b).to_vec::<f64>()?, &[3.181472, 0.519207, 2.825213, 2.951646], 1e-5);
        let both = InfoNce { symmetric: true, ..one_way };
        close(&both.loss(&a, &b).to_vec::<f64>()?, &[3.204624, 1.760793, 1.644586, 2.900909], 1e-5);
        let mean = InfoNce { reduction: Reduction::Mean, ..both };
        let grads = mean.loss(&a, &b).backward()?;
        let first = |x: &Tensor| grads.get(x).expect("it counts").select(0, 0).slice(0, ..3).to_vec::<f64>();
        close(&first(&a)?, &[-0.744486, -0.404549, 0.125653], 1e-5);
        close(&first(&b)?, &[-0.031348, -0.145711, -0.191543], 1e-5);
        let views = NtXent { reduction, ..NtXent::default() }.loss(&a, &b).to_vec::<f64>()?;
        let want = [2.234861, 1.703674, 2.053571, 2.056587, 2.186864, 2.141609, 1.684958, 2.126196];
        close(&views, &want, 1e-5);
        // With nobody to be confused with.
        let (a, b) = (a.slice(0, ..1), b.slice(0, ..1));
        assert_eq!(NtXent::default().loss(&a, &b).item()?.abs(), 0.0, "{device}");
    }
    Ok(())
}

/// ```python
/// d = pairwise_distance(a, b); where(t == 1, d ** 2 / 2, relu(3 - d) ** 2 / 2)
/// kl_div(log_softmax(a / 3, 1), softmax(b / 3, 1), reduction="none").sum(1) * 9
/// ```
#[test]
fn distances_and_divergences() -> Result<()> {
    let reduction = Reduction::None;
    for device in [strict(), cpu(), test_gpu!()] {
        let (a, b) = halves(&device);
        let contrastive = Contrastive { margin: 3.0, reduction, ..Contrastive::default() };
        let losses = contrastive.loss(&a, &b, &classes(&device, &[1, -1, 1, -1]));
        close(&losses.to_vec::<f64>()?, &[2.129735, 0.508328, 1.923163, 0.510823], 1e-5);
        // Twins that should be apart are driven apart.
        let grads = contrastive.loss(&a, &a, &classes(&device, &[-1; 4])).sum(..).backward()?;
        assert!(grads.get(&a).is_some());
        let twin = b.detach().track();
        let grads = contrastive.loss(&b, &twin, &classes(&device, &[-1; 4])).sum(..).backward()?;
        assert!(grads.get(&twin).expect("it counts").abs().amin(..).item()? > 0.1, "{device}");
        let distilled = Distillation { temperature: 3.0, reduction }.loss(&a, &b);
        close(&distilled.to_vec::<f64>()?, &[0.280349, 0.129158, 0.101143, 0.155123], 1e-5);
        assert!(Distillation::default().loss(&a, &a).item()?.abs() < 1e-7);
    }
    Ok(())
}

/// With `centres = a[:3]` and the classes 2, 0, 1, 0:
///
/// ```python
/// cos = normalize(a) @ normalize(centres).T; sin = (1 - cos ** 2).clamp_min(1e-7).sqrt()
/// phi = cos * math.cos(m) - sin * math.sin(m)
/// phi = where(cos > math.cos(math.pi - m), phi, cos - math.sin(math.pi - m) * m)  # easy: where(cos > 0, phi, cos)
/// 16 * where(one_hot(classes, 3) == 1, phi, cos)                                  # CosFace: 16 * (cos - 0.35 * one_hot)
/// ```
#[test]
fn margins_are_those_of_the_papers() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let (x, t) = (halves(&device).0, classes(&device, &[2, 0, 1, 0]));
        let rng = &mut Rng::seed(0);
        // What is not the row's class is as it was.
        let plain = [16.0, -14.796841, -14.796841, 16.0, -14.942513, 11.642618, 16.0, 12.182664, -15.085705];
        let holds = |logits: Tensor, of_classes: [f64; 4]| -> Result<()> {
            let [c0, c1, c2, c3] = of_classes;
            let p = plain;
            let want = [p[0], p[1], c0, c1, p[3], p[4], p[5], c2, p[6], c3, p[7], p[8]];
            close(&logits.to_vec::<f64>()?, &want, 2e-5);
            Ok(())
        };
        let arc = |margin: f64, easy: bool| -> Result<ArcFace> {
            let head = ArcFace::new(5, 3).scale(16.0).margin(margin).easy(easy).init(&device, &mut Rng::seed(0))?;
            head.weight.set(&wave(&device, &[3, 5]))?;
            Ok(head)
        };
        holds(arc(0.5, false)?.forward(&x, &t), [4.955689, -18.632245, -18.777917, -13.245163])?;
        holds(arc(0.5, true)?.forward(&x, &t), [4.955689, -14.796841, -14.942513, -7.320478])?;
        holds(arc(1.5, false)?.forward(&x, &t), [-10.123887, -38.73672, -38.882393, -31.260358])?;
        let grads = arc(0.5, false)?.forward(&x, &t).cross_entropy(&t).backward()?;
        let first = grads.get(&x).expect("it counts").select(0, 0).slice(0, ..3).to_vec::<f64>()?;
        close(&first, &[-1.447977, -0.786822, 0.244388], 2e-5);
        let cos = CosFace::new(5, 3).scale(16.0).init(&device, rng)?;
        cos.weight.set(&wave(&device, &[3, 5]))?;
        holds(cos.forward(&x, &t), [6.042618, -20.396841, -20.542513, -12.920478])?;
        let p = plain.map(|p| p / 16.0);
        close(&cos.cosines(&x.slice(0, 2..3)).to_vec::<f64>()?, &[0.727664, p[4], p[6]], 1e-5);
        assert_eq!(names(&cos), ["weight"]);
    }
    Ok(())
}

/// The logit of a row's class falls all the way from its centre to the other side, and has a gradient at both ends.
#[test]
fn the_angle_always_counts() -> Result<()> {
    let steps = 64;
    let angle = |i: usize| std::f64::consts::PI * i as f64 / steps as f64;
    let around: Vec<f32> = (0..=steps).flat_map(|i| [angle(i).cos() as f32, angle(i).sin() as f32]).collect();
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::from_slice(&device, &around, [steps + 1, 2]).track();
        let t = Tensor::full(&device, 0.0, [steps + 1], DType::I32);
        for margin in [0.1, 0.5, 1.0, 1.57] {
            let head = ArcFace::new(2, 2).margin(margin).init(&device, &mut Rng::seed(0))?;
            head.weight.set(&Tensor::from_slice(&device, &[3.0f32, 0.0, 0.0, 2.0], [2, 2]))?;
            let logits = head.forward(&x, &t);
            let own = logits.select(1, 0).to_vec::<f64>()?;
            assert!(own.windows(2).all(|w| w[1] < w[0] + 1e-4), "{device}, a margin of {margin}: {own:?}");
            let grads = logits.cross_entropy(&t).backward()?;
            for of in [grads.get(&x), grads.get(&head.weight.tensor())] {
                let of = of.expect("it counts").to_vec::<f64>()?;
                assert!(of.iter().all(|g| g.is_finite() && g.abs() < 1e3), "{device}, a margin of {margin}: {of:?}");
            }
        }
    }
    Ok(())
}

/// Variances learn to be what the losses are: `σ² = L` for numbers, `σ² = 2L` for classes.
#[test]
fn what_is_uncertain_counts_little() -> Result<()> {
    let device = cpu();
    let weights =
        UncertaintyWeights::new(&[Likelihood::Gaussian, Likelihood::Softmax]).init(&device, &mut Rng::seed(0))?;
    assert_eq!(names(&weights), ["log_variance"]);
    let losses = [4.0, 0.25].map(|loss| Tensor::scalar(&device, loss, DType::F32));
    let total = || weights.forward(&[&losses[0], &losses[1]]);
    close(&[total().item()?], &[2.25], 1e-6);
    let opt = Sgd { lr: 0.5, ..Sgd::default() }.init(&weights)?;
    for _ in 0..100 {
        opt.step(&total())?;
    }
    close(&weights.log_variance.tensor().exp().to_vec::<f64>()?, &[4.0, 0.5], 1e-4);
    Ok(())
}
