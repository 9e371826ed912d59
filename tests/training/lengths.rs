//! Graphs of another length each time: episodes, recurrent nets. What two of them have in common is planned once.

use thalweg::prelude::*;
use thalweg_tests::{cpu, own_gpu, strict};

#[derive(Module)]
struct Policy {
    hidden: Linear,
    head: Linear,
}

impl Policy {
    fn new(device: &Device) -> Result<Policy> {
        let mut rng = Rng::seed(1);
        let (hidden, head) = (Linear::new(4, 16).init(device, &mut rng)?, Linear::new(16, 2).init(device, &mut rng)?);
        Ok(Policy { hidden, head })
    }

    /// `[B, 4] → [B, 2]`
    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.hidden.forward(x).relu()).log_softmax(-1)
    }
}

/// REINFORCE on made-up states, in episodes of these lengths; calls `watch` after each step. Gives losses and weights.
fn reinforce(device: &Device, lengths: &[usize], mut watch: impl FnMut(usize)) -> Result<Vec<f64>> {
    let policy = Policy::new(device)?;
    let opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&policy)?;
    let (mut rng, mut found) = (Rng::seed(2), Vec::new());
    for (episode, length) in lengths.iter().enumerate() {
        let frame = |rng: &mut Rng| -> Result<Tensor> {
            let state: Vec<f32> = (0..4).map(|_| rng.normal() as f32).collect();
            let logp = policy.forward(&Tensor::from_slice(device, &state, [1, 4]));
            let _ = logp.exp().to_vec::<f32>()?;
            Ok(logp.narrow(1, rng.below(2) as usize, 1).reshape([1]))
        };
        let logps = (0..*length).map(|_| frame(&mut rng)).collect::<Result<Vec<Tensor>>>()?;
        let returns: Vec<f32> = (0..*length).map(|t| (length - t) as f32 / *length as f32).collect();
        let loss = -(Tensor::concat(&logps, 0) * Tensor::from_slice(device, &returns, [*length])).sum(..);
        drop(logps);
        opt.step(&loss)?;
        found.push(loss.item()?);
        watch(episode);
    }
    for (_, param) in policy.params() {
        found.extend(param.tensor().to_vec::<f64>()?);
    }
    Ok(found)
}

/// A recurrent net on one sequence `[B, T, 4]`, step by step.
fn recurrent(device: &Device, lengths: &[usize], mut watch: impl FnMut(usize)) -> Result<Vec<f64>> {
    let mut rng = Rng::seed(3);
    let net = Policy {
        hidden: Linear::new(4 + 8, 8).init(device, &mut rng)?,
        head: Linear::new(8, 2).init(device, &mut rng)?,
    };
    let opt = AdamW { lr: 1e-2, ..AdamW::default() }.init(&net)?;
    let mut found = Vec::new();
    for (i, length) in lengths.iter().enumerate() {
        let values: Vec<f32> = (0..3 * length * 4).map(|_| rng.normal() as f32).collect();
        let x = Tensor::from_slice(device, &values, [3, *length, 4]);
        let mut h = Tensor::zeros(device, [3, 8]);
        for t in 0..*length {
            let now = x.narrow(1, t, 1).reshape([3, 4]);
            h = net.hidden.forward(&Tensor::concat(&[now, h], 1)).tanh();
        }
        let loss = net.head.forward(&h).square().mean(..);
        opt.step(&loss)?;
        found.push(loss.item()?);
        watch(i);
    }
    for (_, param) in net.params() {
        found.extend(param.tensor().to_vec::<f64>()?);
    }
    Ok(found)
}

type Train = fn(&Device, &[usize], &mut dyn FnMut(usize)) -> Result<Vec<f64>>;

const PROGRAMS: [(&str, Train, [usize; 6]); 2] = [
    ("reinforce", |device, lengths, watch| reinforce(device, lengths, watch), [60, 75, 66, 80, 71, 90]),
    ("recurrent", |device, lengths, watch| recurrent(device, lengths, watch), [90, 101, 97, 120, 103, 140]),
];

#[test]
fn a_new_length_plans_what_is_new() -> Result<()> {
    // On a GPU one of them says it.
    let devices = [(cpu as fn() -> Device, &PROGRAMS[..]), (own_gpu, &PROGRAMS[..1])];
    for (device, programs) in devices {
        for (name, train, lengths) in programs {
            let device = device();
            let mut nodes = vec![device.stats().nodes_grouped];
            train(&device, lengths, &mut |_| nodes.push(device.stats().nodes_grouped))?;
            let new: Vec<u64> = nodes.windows(2).map(|w| w[1] - w[0]).collect();
            assert_eq!(new[..2], [0, 0], "{device}, {name}: planned as a whole, for they may come again");
            assert!(new[2] > 0, "{device}, {name}: a long program is cut: {new:?}");
            // A turn is about fifty nodes. What joins all turns reads another choice of each.
            let most = |i: usize| 12 * lengths[i] as u64;
            assert!((4..new.len()).all(|i| new[i] <= most(i)), "{device}, {name}: planned again: {new:?}");
        }
    }
    Ok(())
}

#[test]
fn what_was_planned_before_changes_no_bit() -> Result<()> {
    for (name, train, lengths) in PROGRAMS {
        let (warm, fresh) = (cpu(), cpu());
        train(&warm, &lengths, &mut |_| {})?;
        let last = &lengths[5..];
        assert_eq!(train(&warm, last, &mut |_| {})?, train(&fresh, last, &mut |_| {})?, "{name}");
    }
    Ok(())
}

#[test]
fn pieces_compute_what_the_graph_says() -> Result<()> {
    for (name, train, lengths) in PROGRAMS {
        let (fast, exact) = (train(&cpu(), &lengths[..4], &mut |_| {})?, train(&strict(), &lengths[..4], &mut |_| {})?);
        for (i, (a, b)) in fast.iter().zip(&exact).enumerate() {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{name}, {i}: {a} is not {b}");
        }
    }
    Ok(())
}

/// Which order the steps before wrote their variables in makes no other program.
#[test]
fn the_second_step_has_the_plan_of_the_first() -> Result<()> {
    let device = cpu();
    let mut plans = Vec::new();
    let net = Policy::new(&device)?;
    let opt = AdamW::default().init(&net)?;
    let x = Tensor::from_slice(&device, &[0.5f32; 12], [3, 4]);
    for _ in 0..4 {
        opt.step(&net.forward(&x).square().mean(..))?;
        plans.push(device.stats().plans_built);
    }
    assert!(plans.iter().all(|p| *p == plans[0]), "{plans:?}");
    Ok(())
}
