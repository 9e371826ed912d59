//! Positions, gated nets and mixtures of experts against their formulas.

use thalweg::{
    nn::{Alibi, GatedFeedForward, LearnedPosition, MixtureOfExperts, RotaryEmbedding, SinusoidalPosition},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

/// Numbers that differ from place to place.
fn wave(device: &Device, shape: &[usize], pace: f64) -> Tensor {
    let n = shape.iter().product();
    (Tensor::arange(device, n).cast(DType::F32) * pace).sin().reshape(shape)
}

#[track_caller]
fn near(got: &[f64], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tol * want.abs().max(1.0), "{got} is not {want}");
    }
}

#[track_caller]
fn close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    near(&got.to_vec::<f64>().expect("values"), &want.to_vec::<f64>().expect("values"), 2e-5);
}

/// Far positions too: the angle of the first pair is the position itself.
#[test]
fn pairs_are_turned_by_their_angles() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        for (interleaved, first, base) in [(false, 0, 10_000.0), (true, 3, 500.0), (false, 4096, 10_000.0)] {
            let rope = RotaryEmbedding::new(6).base(base).interleaved(interleaved).init(&device, &mut Rng::seed(0))?;
            let x = wave(&device, &[2, 4, 8], 0.7);
            let (rows, mut want) = (x.to_vec::<f64>()?, x.to_vec::<f64>()?);
            for row in 0..8 {
                for i in 0..3 {
                    let angle = (first + row % 4) as f64 * base.powf(-2.0 * i as f64 / 6.0);
                    let [a, b] = if interleaved { [2 * i, 2 * i + 1] } else { [i, i + 3] }.map(|c| row * 8 + c);
                    want[a] = rows[a] * angle.cos() - rows[b] * angle.sin();
                    want[b] = rows[b] * angle.cos() + rows[a] * angle.sin();
                }
            }
            near(&rope.forward(&x, first).to_vec::<f64>()?, &want, if first > 100 { 1e-3 } else { 1e-5 });
            let at = Tensor::arange(&device, 4) + first as f64;
            close(&rope.forward_at(&x, &at.unsqueeze(0).broadcast_to([2, 4])), &rope.forward(&x, first));
        }
    }
    Ok(())
}

/// Queries and keys that are as far apart have the same product, wherever they stand.
#[test]
fn only_distances_count() -> Result<()> {
    let device = cpu();
    let rope = RotaryEmbedding::new(8).init(&device, &mut Rng::seed(0))?;
    let (q, k) = (wave(&device, &[1, 5, 8], 0.7), wave(&device, &[1, 5, 8], 0.3));
    let scores = |first: usize| rope.forward(&q, first).matmul(&rope.forward(&k, first).t());
    close(&scores(0), &scores(17));
    // A query that comes alone, behind keys that are there.
    let last = rope.forward(&q.narrow(1, 4, 1), 4);
    close(&last, &rope.forward(&q, 0).narrow(1, 4, 1));
    Ok(())
}

#[test]
fn biases_fall_with_the_distance() -> Result<()> {
    for device in [strict(), cpu()] {
        let alibi = Alibi::new(4).init(&device, &mut Rng::seed(0))?;
        let (q, k) = (wave(&device, &[1, 4, 2, 3], 0.7), wave(&device, &[1, 4, 5, 3], 0.3));
        let want: Vec<f64> = [0.25, 0.0625, 0.015625, 0.00390625]
            .into_iter()
            .flat_map(|slope| (0..2).flat_map(move |i| (0..5).map(move |j| slope * (j as f64 - (i + 3) as f64))))
            .collect();
        let bias = alibi.bias(&q, &k, 3);
        assert_eq!(bias.shape(), [4, 2, 5]);
        near(&bias.to_vec::<f64>()?, &want, 1e-7);
    }
    Ok(())
}

#[test]
fn sines_and_learned_vectors_are_added() -> Result<()> {
    for device in [strict(), cpu()] {
        for width in [6, 5] {
            let layer = SinusoidalPosition::new(width).base(100.0).init(&device, &mut Rng::seed(0))?;
            let want: Vec<f64> = (2..5)
                .flat_map(|at| {
                    (0..width).map(move |c| {
                        let angle = f64::from(at) * 100f64.powf(-2.0 * (c / 2) as f64 / width as f64);
                        1.0 + if c % 2 == 0 { angle.sin() } else { angle.cos() }
                    })
                })
                .collect();
            near(&layer.forward(&Tensor::ones(&device, [3, width]), 2).to_vec::<f64>()?, &want, 1e-6);
        }
        let layer = LearnedPosition::new(7, 4).init(&device, &mut Rng::seed(0))?;
        let x = wave(&device, &[2, 3, 4], 0.7);
        close(&layer.forward(&x, 2), &(&x + layer.weight.tensor().narrow(0, 2, 3)));
        let grads = layer.forward(&x, 2).sum(..).backward()?;
        let grad = grads.get(&layer.weight.tensor()).expect("it counts").sum(1).to_vec::<f64>()?;
        assert_eq!(grad, [0.0, 0.0, 8.0, 8.0, 8.0, 0.0, 0.0]);
    }
    Ok(())
}

#[test]
fn a_gate_has_the_width_of_its_rule() -> Result<()> {
    let widths = [(4096, 256, 11_008), (5120, 256, 13_824), (6656, 256, 17_920), (64, 1, 170), (3, 8, 8)];
    for (width, multiple, inner) in widths {
        assert_eq!(GatedFeedForward::inner_width(width, multiple), inner);
    }
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(0);
        let x = wave(&device, &[2, 3, 6], 0.7);
        let net = GatedFeedForward::swiglu(6).multiple_of(8).init(&device, rng)?;
        let names: Vec<String> = net.params().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["w1.weight", "w2.weight", "w3.weight"]);
        assert_eq!(net.w1.weight.shape(), [16, 6]);
        let want = |net: &GatedFeedForward, gate: Tensor| net.w2.forward(&(gate * net.w3.forward(&x)));
        close(&net.forward(&x), &want(&net, net.w1.forward(&x).silu()));
        let net = GatedFeedForward::geglu(6).hidden(5).bias(true).init(&device, rng)?;
        close(&net.forward(&x), &want(&net, net.w1.forward(&x).gelu()));
    }
    Ok(())
}

/// Vector by vector, expert by expert.
#[test]
fn experts_are_mixed_by_the_gate() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let layer = MixtureOfExperts::new(4, 5, 6).top_k(2).init(&device, &mut Rng::seed(1))?;
        let x = wave(&device, &[2, 7, 4], 0.7);
        let rows = x.reshape([14, 4]);
        let p = layer.gate.forward(&rows).softmax(-1).to_vec::<f64>()?;
        let of = |e: usize| {
            let [w1, w2] = [&layer.w1, &layer.w2].map(|w| w.tensor().select(0, e as isize).t());
            rows.matmul(&w1).relu().matmul(&w2).to_vec::<f64>()
        };
        let given: Vec<Vec<f64>> = (0..6).map(of).collect::<Result<_>>()?;
        let (mut want, mut used) = (vec![0.0; 14 * 4], [0.0; 6]);
        for n in 0..14 {
            let p = &p[n * 6..][..6];
            let mut order: Vec<usize> = (0..6).collect();
            order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
            for e in &order[..2] {
                used[*e] += 1.0 / 28.0;
                for c in 0..4 {
                    want[n * 4 + c] += p[*e] / (p[order[0]] + p[order[1]]) * given[*e][n * 4 + c];
                }
            }
        }
        let mixed = layer.forward(&x);
        assert_eq!(mixed.y.shape(), x.shape());
        near(&mixed.y.to_vec::<f64>()?, &want, 2e-5);
        let mean = |e: usize| (0..14).map(|n| p[n * 6 + e]).sum::<f64>() / 14.0;
        let balance: f64 = (0..6).map(|e| 6.0 * used[e] * mean(e)).sum();
        near(&[mixed.balance.item()?], &[balance], 1e-5);

        // With room for all of them nothing changes, and neither do the gradients.
        let roomy = MixtureOfExperts::new(4, 5, 6).top_k(2).capacity(6.0).init(&device, &mut Rng::seed(1))?;
        let other = roomy.forward(&x);
        close(&other.y, &mixed.y);
        let grads = |layer: &MixtureOfExperts, y: &Tensor| -> Result<Vec<Tensor>> {
            let grads = (y * wave(&device, &[2, 7, 4], 0.9)).sum(..).backward()?;
            Ok(layer.params().iter().map(|(_, p)| grads.get(&p.tensor()).expect("all count").clone()).collect())
        };
        for (a, b) in grads(&roomy, &other.y)?.iter().zip(&grads(&layer, &mixed.y)?) {
            close(a, b);
        }
    }
    Ok(())
}

/// Experts with one place each serve the first vectors that choose them; a second choice waits for all first ones.
#[test]
fn who_comes_too_late_gets_nothing() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let layer = MixtureOfExperts::new(2, 3, 2).top_k(1).capacity(0.5).init(&device, &mut Rng::seed(1))?;
        layer.gate.weight.set(&Tensor::from_slice(&device, &[9.0f32, 0.0, 0.0, 9.0], [2, 2]))?;
        layer.w1.set(&Tensor::ones(&device, [2, 3, 2]))?;
        layer.w2.set(&Tensor::ones(&device, [2, 2, 3]))?;
        // The first expert is chosen by the first, second and last, the other by the third; there is one place each.
        let x = Tensor::from_slice(&device, &[1.0f32, 0.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0], [4, 2]);
        let y = layer.forward(&x).y.to_vec::<f64>()?;
        near(&y, &[3.0, 3.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0], 1e-6);
        let even = Tensor::from_slice(&device, &[1.0f32, 0.0, 0.0, 1.0], [2, 2]);
        near(&[layer.forward(&even).balance.item()?], &[1.0], 1e-6);
        // All alike: both are the best two of everybody, and first choices go first.
        let both = MixtureOfExperts::new(2, 3, 2).capacity(0.5).init(&device, &mut Rng::seed(1))?;
        both.gate.weight.set(&Tensor::from_slice(&device, &[1.0f32, 0.0, 0.0, 1.0], [2, 2]))?;
        let hits = both.forward(&even).y.to_vec::<f64>()?;
        let own = |e: isize, row: usize| -> Result<Vec<f64>> {
            let [w1, w2] = [&both.w1, &both.w2].map(|w| w.tensor().select(0, e).t());
            let p = 1.0 / (1.0 + (-1.0f64).exp());
            (even.narrow(0, row, 1).matmul(&w1).relu().matmul(&w2) * p).to_vec()
        };
        near(&hits, &[own(0, 0)?, own(1, 1)?].concat(), 1e-5);
    }
    Ok(())
}
