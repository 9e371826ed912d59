//! Recurrent layers against their equations, one number at a time, and against themselves.

use std::collections::HashMap;

use thalweg::{
    nn::{AttentionPool, GruCell, HierarchicalRnn, LstmCell, LstmState, RnnCell},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

/// Numbers that differ from place to place.
fn wave(device: &Device, shape: &[usize], pace: f64) -> Tensor {
    let n = shape.iter().product();
    (Tensor::arange(device, n).cast(DType::F32) * pace).sin().reshape(shape)
}

#[track_caller]
fn close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    near(&got.to_vec::<f64>().expect("values"), &want.to_vec::<f64>().expect("values"));
}

#[track_caller]
fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{got} is not {want}");
    }
}

fn names(module: &dyn Module) -> Vec<String> {
    module.params().into_iter().map(|(name, _)| name).collect()
}

/// Gives the parameters of one module to those of another, whose names have this suffix more.
fn copy(from: &dyn Module, to: &dyn Module, suffix: &str) -> Result<()> {
    let values: HashMap<String, Param> = from.params().into_iter().collect();
    for (name, param) in to.params() {
        param.set(&values[&format!("{name}{suffix}")].tensor().detach())?;
    }
    Ok(())
}

/// The weights of a module as rows of numbers.
fn rows(module: &dyn Module, name: &str) -> Vec<Vec<f64>> {
    let param = module.params().into_iter().find(|(n, _)| n == name).expect("a parameter of that name").1;
    let columns = param.shape().get(1).copied().unwrap_or(1);
    let values = param.tensor().to_vec::<f64>().expect("values");
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `W_ih x + b_ih` and `W_hh h + b_hh` of a cell, a number for each gate and unit.
fn gates(cell: &dyn Module, x: &[f64], h: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let product = |weight: &str, bias: &str, x: &[f64]| -> Vec<f64> {
        let bias = rows(cell, bias);
        let weight = rows(cell, weight);
        weight.iter().zip(&bias).map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b[0]).collect()
    };
    (product("weight_ih", "bias_ih", x), product("weight_hh", "bias_hh", h))
}

#[test]
fn cells_are_their_equations() -> Result<()> {
    for device in [strict(), cpu()] {
        let rng = &mut Rng::seed(1);
        let (x, h, c) = (wave(&device, &[3], 0.7), wave(&device, &[2], 1.9), wave(&device, &[2], 2.3));
        let [xs, hs, cs] = [&x, &h, &c].map(|t| t.to_vec::<f64>().expect("values"));

        let rnn = RnnCell::new(3, 2).activation(Tensor::relu).init(&device, rng)?;
        let (of_x, of_h) = gates(&rnn, &xs, &hs);
        let want: Vec<f64> = (0..2).map(|u| (of_x[u] + of_h[u]).max(0.0)).collect();
        near(&rnn.forward(&x, Some(&h)).to_vec::<f64>()?, &want);

        let lstm = LstmCell::new(3, 2).init(&device, rng)?;
        let (of_x, of_h) = gates(&lstm, &xs, &hs);
        let gate = |k: usize, u: usize| of_x[2 * k + u] + of_h[2 * k + u];
        let cells: Vec<f64> =
            (0..2).map(|u| sigmoid(gate(1, u)) * cs[u] + sigmoid(gate(0, u)) * gate(2, u).tanh()).collect();
        let out: Vec<f64> = (0..2).map(|u| sigmoid(gate(3, u)) * cells[u].tanh()).collect();
        let next = lstm.forward(&x, Some(&LstmState { h: h.clone(), c: c.clone() }));
        near(&next.h.to_vec::<f64>()?, &out);
        near(&next.c.to_vec::<f64>()?, &cells);

        let gru = GruCell::new(3, 2).init(&device, rng)?;
        let (of_x, of_h) = gates(&gru, &xs, &hs);
        let want: Vec<f64> = (0..2)
            .map(|u| {
                let [r, z] = [0, 2].map(|k| sigmoid(of_x[k + u] + of_h[k + u]));
                let n = (of_x[4 + u] + r * of_h[4 + u]).tanh();
                (1.0 - z) * n + z * hs[u]
            })
            .collect();
        near(&gru.forward(&x, Some(&h)).to_vec::<f64>()?, &want);
        // From zeros, and a batch of one and the same.
        close(&gru.forward(&x, None), &gru.forward(&x, Some(&Tensor::zeros(&device, [2]))));
        close(&gru.forward(&x.broadcast_to([4, 3]), None).select(0, 3), &gru.forward(&x, None));
    }
    Ok(())
}

/// What a layer gives is what its cell gives step by step, in each direction.
#[test]
fn layers_are_cells_walked_along() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let rng = &mut Rng::seed(2);
        let x = wave(&device, &[5, 2, 3], 0.7);
        let at = |t: usize| x.select(0, t as isize);

        let layer = Gru::new(3, 4).bidirectional(true).init(&device, rng)?;
        let start = wave(&device, &[2, 2, 4], 1.1);
        let (y, end) = layer.forward(&x, Some(&start));
        let walk = |order: Vec<usize>, suffix: &str, start: Tensor| -> Result<(Vec<Tensor>, Tensor)> {
            let cell = GruCell::new(3, 4).init(&device, &mut Rng::seed(9))?;
            copy(&layer, &cell, suffix)?;
            let (mut h, mut ys) = (start, Vec::new());
            for t in order {
                h = cell.forward(&at(t), Some(&h));
                ys.push(h.clone());
            }
            Ok((ys, h))
        };
        let (forwards, last) = walk((0..5).collect(), "_l0", start.select(0, 0))?;
        let (mut backwards, first) = walk((0..5).rev().collect(), "_l0_reverse", start.select(0, 1))?;
        backwards.reverse();
        close(&y, &Tensor::concat([Tensor::stack(&forwards, 0), Tensor::stack(&backwards, 0)], -1));
        close(&end, &Tensor::stack([last, first], 0));

        // Of two layers the second reads the first.
        let layer = Lstm::new(3, 4).layers(2).init(&device, rng)?;
        let cells = [LstmCell::new(3, 4).init(&device, rng)?, LstmCell::new(4, 4).init(&device, rng)?];
        copy(&layer, &cells[0], "_l0")?;
        copy(&layer, &cells[1], "_l1")?;
        let (mut below, mut above) = (None, None);
        let mut ys = Vec::new();
        for t in 0..5 {
            let first = cells[0].forward(&at(t), below.as_ref());
            let second = cells[1].forward(&first.h, above.as_ref());
            ys.push(second.h.clone());
            (below, above) = (Some(first), Some(second));
        }
        let (y, end) = layer.forward(&x, None);
        close(&y, &Tensor::stack(&ys, 0));
        let (below, above) = (below.expect("five steps"), above.expect("five steps"));
        close(&end.h, &Tensor::stack([below.h, above.h], 0));
        close(&end.c, &Tensor::stack([below.c, above.c], 0));
    }
    Ok(())
}

#[test]
fn names_and_shapes_are_pytorchs() -> Result<()> {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let lstm = Lstm::new(3, 8).layers(2).bidirectional(true).projection(5).init(&device, rng)?;
    let parts = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"];
    let suffixes = ["l0", "l0_reverse", "l1", "l1_reverse"];
    let want: Vec<String> = suffixes.iter().flat_map(|s| parts.iter().map(move |p| format!("{p}_{s}"))).collect();
    assert_eq!(names(&lstm), want);
    let shapes: HashMap<String, Vec<usize>> = lstm.params().into_iter().map(|(n, p)| (n, p.shape())).collect();
    assert_eq!(shapes["weight_ih_l0"], [32, 3]);
    assert_eq!(shapes["weight_ih_l1_reverse"], [32, 10]);
    assert_eq!(shapes["weight_hh_l1"], [32, 5]);
    assert_eq!(shapes["weight_hr_l0"], [5, 8]);
    let bound = 1.0 / 8f64.sqrt();
    for (name, param) in lstm.params() {
        let largest = param.tensor().abs().amax(..).item()?;
        assert!(largest <= bound && largest > 0.7 * bound, "{name}: {largest} of {bound}");
    }
    let (y, end) = lstm.forward(&Tensor::ones(&device, [7, 2, 3]), None);
    assert_eq!((y.shape(), end.h.shape(), end.c.shape()), (&[7, 2, 10][..], &[4, 2, 5][..], &[4, 2, 8][..]));
    assert_eq!(names(&Rnn::new(3, 4).bias(false).init(&device, rng)?), ["weight_ih_l0", "weight_hh_l0"]);
    assert_eq!(names(&GruCell::new(3, 4).init(&device, rng)?), ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]);
    // Inside of another module, and put back from what was saved.
    #[derive(Module)]
    struct Net {
        rnn: Gru,
    }
    let net = Net { rnn: Gru::new(3, 4).init(&device, rng)? };
    assert_eq!(names(&net)[0], "rnn.weight_ih_l0");
    let other = Net { rnn: Gru::new(3, 4).init(&device, rng)? };
    copy(&net, &other, "")?;
    let x = wave(&device, &[4, 2, 3], 0.3);
    assert_eq!(net.rnn.forward(&x, None).0.to_vec::<f32>(), other.rnn.forward(&x, None).0.to_vec::<f32>());
    let forked = other.rnn.fork()?;
    net.rnn.params()[0].1.set(&Tensor::zeros(&device, [12, 3]))?;
    close(&forked.forward(&x, None).0, &other.rnn.forward(&x, None).0);
    Ok(())
}

#[test]
fn first_weights_are_what_is_asked_for() -> Result<()> {
    let (device, rng) = (strict(), &mut Rng::seed(0));
    let lstm = Lstm::new(3, 8).forget_bias(1.0).recurrent_weights(Init::Orthogonal { gain: 1.0 }).init(&device, rng)?;
    let sum: Vec<f64> =
        rows(&lstm, "bias_ih_l0").concat().iter().zip(rows(&lstm, "bias_hh_l0").concat()).map(|(a, b)| a + b).collect();
    assert_eq!(sum[8..16], [1.0; 8]);
    assert!(sum[..8].iter().chain(&sum[16..]).all(|b| *b != 1.0 && b.abs() < 0.8));
    let weight = lstm.params()[1].1.tensor();
    let gate = weight.narrow(0, 16, 8);
    close(&gate.matmul(&gate.t()), &Tensor::ones(&device, [8]).diag_embed(0, 0, 1));
    let rnn = RnnCell::new(3, 8).weights(Init::Constant(0.25)).init(&device, rng)?;
    assert_eq!(rows(&rnn, "weight_ih").concat(), [0.25; 24]);
    Ok(())
}

/// Sequences of a batch, filled up with what is no number, are as each of them alone.
#[test]
fn what_stands_behind_a_sequence_has_no_say() -> Result<()> {
    let lengths = [3usize, 6, 0, 1];
    for device in [strict(), cpu(), test_gpu!()] {
        let lstm = Lstm::new(2, 3).layers(2).bidirectional(true).init(&device, &mut Rng::seed(3))?;
        let x = wave(&device, &[6, 4, 2], 0.9);
        let ids = Tensor::from_slice(&device, &lengths.map(|l| l as i32), [4]);
        let behind = Tensor::arange(&device, 6).unsqueeze(1).ge(&ids).unsqueeze(-1);
        let filled = behind.where_(f64::NAN, &x).track();
        let start = LstmState { h: wave(&device, &[4, 4, 3], 0.4), c: wave(&device, &[4, 4, 3], 0.6) };
        let (y, end) = lstm.forward_packed(&filled, &ids, Some(&start));
        for (b, length) in lengths.into_iter().enumerate() {
            let of = |t: &Tensor| t.narrow(1, b, 1);
            let own = LstmState { h: of(&start.h), c: of(&start.c) };
            close(&of(&y).narrow(0, length, 6 - length), &Tensor::zeros(&device, [6 - length, 1, 6]));
            if length == 0 {
                close(&of(&end.h), &own.h);
                continue;
            }
            let (alone, last) = lstm.forward(&of(&x).narrow(0, 0, length), Some(&own));
            close(&of(&y).narrow(0, 0, length), &alone);
            close(&of(&end.h), &last.h);
            close(&of(&end.c), &last.c);
        }
        let grads = (y.square().sum(..) + end.c.sum(..)).backward()?;
        let of_x = grads.get(&filled).expect("the input counts");
        assert_eq!(behind.where_(of_x, 0.0).abs().sum(..).item()?, 0.0);
        for (name, param) in lstm.params() {
            let grad = grads.get(&param.tensor()).expect("every parameter counts").abs().sum(..).item()?;
            assert!(grad.is_finite() && grad > 0.0, "{name}: {grad} on {device}");
        }
    }
    Ok(())
}

#[test]
fn the_order_of_axes_is_a_matter_of_writing() -> Result<()> {
    let device = cpu();
    let first = Gru::new(3, 4).layers(2).batch_first(true).init(&device, &mut Rng::seed(4))?;
    let second = Gru::new(3, 4).layers(2).init(&device, &mut Rng::seed(4))?;
    let x = wave(&device, &[2, 5, 3], 0.7);
    let (y, end) = first.forward(&x, None);
    let (other, same) = second.forward(&x.transpose(0, 1), None);
    close(&y, &other.transpose(0, 1));
    close(&end, &same);
    let lengths = Tensor::from_slice(&device, &[2, 5], [2]);
    close(
        &first.forward_packed(&x, &lengths, None).0,
        &second.forward_packed(&x.transpose(0, 1), &lengths, None).0.transpose(0, 1),
    );
    // One sequence without an axis of samples.
    let (alone, last) = second.forward(&x.select(0, 1), Some(&Tensor::zeros(&device, [2, 4])));
    close(&alone, &y.select(0, 1));
    close(&last, &end.select(1, 1));
    Ok(())
}

/// A sequence in two stretches is the same sequence; the gradient stays in the second where the state is detached.
#[test]
fn a_state_goes_on_and_its_gradient_need_not() -> Result<()> {
    for device in [strict(), cpu()] {
        let lstm = Lstm::new(3, 4).layers(2).init(&device, &mut Rng::seed(5))?;
        let x = wave(&device, &[8, 2, 3], 0.7).track();
        let (whole, end) = lstm.forward(&x, None);
        let (first, state) = lstm.forward(&x.narrow(0, 0, 3), None);
        let (second, last) = lstm.forward(&x.narrow(0, 3, 5), Some(&state));
        close(&Tensor::concat([&first, &second], 0), &whole);
        close(&last.c, &end.c);
        let (cut, _) = lstm.forward(&x.narrow(0, 3, 5), Some(&state.detach()));
        close(&cut, &second);
        let of_x = |y: &Tensor| y.square().sum(..).backward().map(|g| g.get(&x).expect("it counts").narrow(0, 0, 3));
        assert!(of_x(&second)?.abs().sum(..).item()? > 1e-3);
        assert_eq!(of_x(&cut)?.abs().sum(..).item()?, 0.0);
    }
    Ok(())
}

#[test]
fn dropout_stands_between_layers_alone() -> Result<()> {
    let device = cpu();
    let one = Gru::new(3, 8).dropout(0.5).init(&device, &mut Rng::seed(6))?;
    let two = Gru::new(3, 8).layers(2).dropout(0.5).init(&device, &mut Rng::seed(6))?;
    let x = wave(&device, &[6, 2, 3], 0.7);
    let run = |layer: &Gru| layer.forward(&x, None).0.to_vec::<f32>();
    assert_eq!(run(&one)?, run(&one)?);
    assert_ne!(run(&two)?, run(&two)?);
    two.eval();
    let still = run(&two)?;
    assert_eq!(still, run(&two)?);
    let plain = Gru::new(3, 8).layers(2).init(&device, &mut Rng::seed(6))?;
    assert_eq!(still, run(&plain)?);
    Ok(())
}

/// A few launches for each step, and no kernel more for more steps.
#[test]
fn a_longer_sequence_needs_no_other_kernels() -> Result<()> {
    // A device of its own: others count along on a shared one.
    let device = Device::cpu()?;
    let lstm = Lstm::new(8, 16).layers(2).init(&device, &mut Rng::seed(7))?;
    let run = |steps: usize| -> Result<(u64, u64)> {
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&lstm)?;
        let before = device.stats();
        let loss = lstm.forward(&wave(&device, &[steps, 4, 8], 0.3), None).0.square().mean(..);
        opt.step(&loss)?;
        loss.item()?;
        let after = device.stats();
        Ok((after.launches - before.launches, after.kernels - before.kernels))
    };
    let (few, kernels) = run(8)?;
    let (many, more) = run(72)?;
    assert!(kernels <= 40 && more <= kernels, "{kernels} kernels of 8 steps, {more} of 72");
    let each = (many - few) as f64 / 64.0;
    assert!(each <= 10.0, "{each} launches a step of two layers, forwards and back");
    Ok(())
}

/// In mixed precision products read 16 bits, and states keep their digits.
#[test]
fn sixteen_bits_are_close_to_thirty_two() -> Result<()> {
    for device in [cpu(), test_gpu!()] {
        let run = |device: &Device| -> Result<Vec<f64>> {
            let lstm = Lstm::new(3, 8).layers(2).bidirectional(true).init(device, &mut Rng::seed(8))?;
            let (y, _) = lstm.forward(&wave(device, &[20, 2, 3], 0.7), None);
            assert_eq!(y.dtype(), DType::F32);
            y.to_vec()
        };
        let want = run(&device)?;
        let got = run(&device.with_precision(Precision::MixedF16))?;
        let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off > 0.0 && off < 3e-3, "off by {off} on {device}");
        // A model of 16 bits gives 16 bits.
        let half = Gru::new(3, 8).init(&device, &mut Rng::seed(8))?;
        let x = wave(&device, &[20, 2, 3], 0.7);
        let wide = half.forward(&x, None).0.to_vec::<f64>()?;
        let half = half.cast(DType::F16)?;
        let (y, h) = half.forward(&x.cast(DType::F16), None);
        assert_eq!((y.dtype(), h.dtype()), (DType::F16, DType::F16));
        let off = y.to_vec::<f64>()?.iter().zip(&wide).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off > 0.0 && off < 3e-3, "off by {off} on {device}");
    }
    Ok(())
}

#[test]
fn pooling_is_a_weighted_mean() -> Result<()> {
    for device in [strict(), cpu()] {
        let pool = AttentionPool::new(3, 5).init(&device, &mut Rng::seed(9))?;
        assert_eq!(names(&pool), ["projection.weight", "projection.bias", "context"]);
        let states = wave(&device, &[2, 4, 3], 0.7);
        let scores = pool.projection.forward(&states).tanh().matmul(&pool.context.tensor().unsqueeze(1)).squeeze(-1);
        close(&pool.weights(&states, None), &scores.softmax(-1));
        close(&pool.forward(&states, None), &(scores.softmax(-1).unsqueeze(-1) * &states).sum(1));
        // The first two of one, none of the other.
        let mask = Tensor::from_slice(&device, &[true, true, false, false, false, false, false, false], [2, 4]);
        let pooled = pool.forward(&states, Some(&mask));
        close(&pooled.narrow(0, 0, 1), &pool.forward(&states.narrow(0, 0, 1).narrow(1, 0, 2), None));
        close(&pooled.narrow(0, 1, 1), &Tensor::zeros(&device, [1, 3]));
    }
    Ok(())
}

#[test]
fn segments_that_there_are_not_change_nothing() -> Result<()> {
    for device in [strict(), cpu()] {
        let net = HierarchicalRnn::new(3, 4).init(&device, &mut Rng::seed(10))?;
        let x = wave(&device, &[2, 3, 5, 3], 0.7);
        let y = net.forward(&x, None);
        assert_eq!(y.shape(), [2, 8]);
        let full = Tensor::full(&device, 5.0, [2, 3], DType::I32);
        close(&net.forward(&x, Some(&full)), &y);
        // Two segments of four steps, however many there is room for.
        let lengths = Tensor::from_slice(&device, &[4, 4, 0, 4, 4, 0], [2, 3]);
        close(&net.forward(&x, Some(&lengths)), &net.forward(&x.narrow(1, 0, 2).narrow(2, 0, 4), None));
        let grads = net.forward(&x, Some(&lengths)).square().sum(..).backward()?;
        assert!(grads.missing(&net).is_empty());
    }
    Ok(())
}
