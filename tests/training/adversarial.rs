//! Programs in which several optimizers share one graph, a module or a backward pass: their losses over 50 steps are those of
//! PyTorch, which `reference/adversarial.py` computed with the same weights, noise and batches.

use std::{io::Read, sync::LazyLock};

use thalweg::prelude::*;
use thalweg_graph::{Result, functional::grad};
use thalweg_tests::{cpu, strict, test_gpu};

const REFERENCE: &str = include_str!("reference/adversarial.json");
const STEPS: usize = 50;
const BATCH: usize = 32;
const NOISE: usize = 16;
const CRITIC_STEPS: usize = 3;
/// Of max(1, |loss|). Rounding accounts for 6e-6 at most (`spread` in the reference).
const TOLERANCE: f64 = 1e-4;

/// Losses by name, in the order of the steps.
type Curves<const N: usize> = [(&'static str, Vec<Tensor>); N];

/// Runs a program on every device and compares its losses, which are read when all steps are done.
fn agrees_with_pytorch<const N: usize>(name: &str, program: fn(&Device) -> Result<Curves<N>>) {
    let reference: serde_json::Value = serde_json::from_str(REFERENCE).unwrap();
    for device in [strict(), cpu(), test_gpu!()] {
        let losses = program(&device).unwrap_or_else(|e| panic!("{name} on {device}: {e}"));
        for (curve, losses) in losses {
            let expected = reference[name][curve].as_array().unwrap();
            assert_eq!(losses.len(), expected.len(), "{name}.{curve}");
            for (i, (loss, expected)) in losses.iter().zip(expected).enumerate() {
                let (loss, expected) = (loss.item().unwrap(), expected.as_f64().unwrap());
                let error = (loss - expected).abs() / expected.abs().max(1.0);
                assert!(error <= TOLERANCE, "{name}.{curve}[{i}] on {device}: {loss}, not {expected}");
            }
        }
    }
}

/// Numbers from `[-bound, bound)`: MurmurHash3's finalizer of `i + seed · 2654435769`, its upper 24 bits.
fn uniform<const N: usize>(device: &Device, seed: u32, shape: [usize; N], bound: f64) -> Tensor {
    let number = |i: u32| {
        let mut h = i.wrapping_add(seed.wrapping_mul(2_654_435_769));
        h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
        h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
        h ^= h >> 16;
        ((f64::from(h >> 8) / f64::from(1 << 23) - 1.0) * bound) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32).map(number).collect();
    Tensor::from_slice(device, &values, shape)
}

/// Linear layers with an activation between them; layer `i` has the numbers of the seeds `seed + 2 i` and the next.
#[derive(Clone, Module)]
struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
}

impl Mlp {
    fn new(device: &Device, extents: &[usize], activation: fn(&Tensor) -> Tensor, seed: u32) -> Result<Mlp> {
        let layer = |(ends, seed): (&[usize], u32)| {
            let (inputs, outputs) = (ends[0], ends[1]);
            let bound = 1.0 / (inputs as f64).sqrt();
            let weight = Param::new(uniform(device, seed, [outputs, inputs], bound))?;
            let bias = Param::new(uniform(device, seed + 1, [outputs], bound))?;
            Ok(Linear { weight, bias: Some(bias) })
        };
        let layers = extents.windows(2).zip((seed..).step_by(2)).map(layer).collect::<Result<_>>()?;
        Ok(Mlp { layers, activation })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("a layer");
        last.forward(&hidden.iter().fold(x.clone(), |x, layer| (self.activation)(&layer.forward(&x))))
    }
}

fn leaky(x: &Tensor) -> Tensor {
    x.leaky_relu(0.2)
}

/// Batch `step` of images in the order of the file, scaled to 0 … 1, from the start again at the end.
fn digits(device: &Device, step: usize) -> Tensor {
    static PIXELS: LazyLock<Vec<[f32; 64]>> = LazyLock::new(|| {
        let file = include_bytes!("../../crates/data/data/digits.csv.gz");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
        let image = |line: &str| {
            let mut numbers = line.split(',').map(|x| x.parse::<f32>().unwrap() / 16.0);
            std::array::from_fn(|_| numbers.next().unwrap())
        };
        text.lines().map(image).collect()
    });
    let rows = (0..BATCH).flat_map(|i| PIXELS[(step * BATCH + i) % PIXELS.len()]);
    Tensor::from_slice(device, &rows.collect::<Vec<f32>>(), [BATCH, 64])
}

/// Goodfellow et al. 2014, arXiv:1406.2661, with the generator's other loss. The fakes of a step serve both updates: their
/// graph outlives the discriminator's step.
fn gan(device: &Device) -> Result<Curves<2>> {
    let generator = Mlp::new(device, &[NOISE, 64, 64], leaky, 100)?;
    let discriminator = Mlp::new(device, &[64, 64, 1], leaky, 200)?;
    let opt_g = Adam { lr: 2e-3, beta1: 0.5, ..Adam::default() }.init(&generator)?;
    let opt_d = Adam { lr: 1e-3, beta1: 0.5, ..Adam::default() }.init(&discriminator)?;
    let ones = Tensor::ones(device, [BATCH, 1]);
    let zeros = Tensor::zeros(device, [BATCH, 1]);
    let (mut d_losses, mut g_losses) = (Vec::new(), Vec::new());
    for step in 0..STEPS {
        let fake = generator.forward(&uniform(device, 1000 + step as u32, [BATCH, NOISE], 1.0)).sigmoid();
        let d_loss = discriminator.forward(&digits(device, step)).bce_with_logits(&ones)
            + discriminator.forward(&fake.detach()).bce_with_logits(&zeros);
        opt_d.step(&d_loss)?;
        let g_loss = discriminator.forward(&fake).bce_with_logits(&ones);
        opt_g.step(&g_loss)?;
        d_losses.push(d_loss);
        g_losses.push(g_loss);
    }
    Ok([("discriminator", d_losses), ("generator", g_losses)])
}

/// Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1: the critic's loss holds the slope of the critic.
fn wgan_gp(device: &Device) -> Result<Curves<3>> {
    let generator = Mlp::new(device, &[NOISE, 64, 64], leaky, 300)?;
    let critic = Mlp::new(device, &[64, 64, 64, 1], Tensor::silu, 400)?;
    let adam = Adam { lr: 1e-3, beta1: 0.0, beta2: 0.9, ..Adam::default() };
    let opt_g = adam.clone().init(&generator)?;
    let opt_c = adam.init(&critic)?;
    let (mut c_losses, mut penalties, mut g_losses) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..STEPS {
        for inner in step * CRITIC_STEPS..(step + 1) * CRITIC_STEPS {
            let real = digits(device, inner);
            let noise = uniform(device, 2000 + inner as u32, [BATCH, NOISE], 1.0);
            let fake = generator.forward(&noise).sigmoid().detach();
            let alpha = uniform(device, 3000 + inner as u32, [BATCH, 1], 1.0) * 0.5 + 0.5;
            let between = &alpha * &real + (1.0 - &alpha) * &fake;
            let slope = grad(|x| critic.forward(&x[0]).sum(..), &[between])?;
            let penalty = (slope[0].square().sum(1).sqrt() - 1.0).square().mean(..);
            let loss = critic.forward(&fake).mean(..) - critic.forward(&real).mean(..) + &penalty * 10.0;
            opt_c.step(&loss)?;
            c_losses.push(loss);
            penalties.push(penalty);
        }
        let noise = uniform(device, 4000 + step as u32, [BATCH, NOISE], 1.0);
        let loss = -critic.forward(&generator.forward(&noise).sigmoid()).mean(..);
        opt_g.step(&loss)?;
        g_losses.push(loss);
    }
    Ok([("critic", c_losses), ("penalty", penalties), ("generator", g_losses)])
}

/// A policy of four actions and a value, on one trunk: the actor moves the trunk and the policy, the critic the trunk and
/// the value.
struct ActorCritic {
    actor: Headed,
    critic: Headed,
}

#[derive(Module)]
struct Headed {
    trunk: Mlp,
    head: Mlp,
}

impl ActorCritic {
    fn new(device: &Device) -> Result<ActorCritic> {
        let trunk = Mlp::new(device, &[8, 32, 32], Tensor::tanh, 500)?;
        let policy = Mlp::new(device, &[32, 4], Tensor::tanh, 600)?;
        let value = Mlp::new(device, &[32, 1], Tensor::tanh, 700)?;
        let actor = Headed { trunk: trunk.clone(), head: policy };
        Ok(ActorCritic { actor, critic: Headed { trunk, head: value } })
    }

    /// The policy gradient with the value as a baseline and a bonus of 0.01 for entropy; the value's squared error.
    fn losses(&self, Experience { states, actions, returns }: &Experience) -> [Tensor; 2] {
        let features = self.actor.trunk.forward(states).tanh();
        let log_p = self.actor.head.forward(&features).log_softmax(-1);
        let value = self.critic.head.forward(&features).squeeze(-1);
        let advantage = returns - value.detach();
        let entropy = -(log_p.exp() * &log_p).sum(-1).mean(..);
        let taken = log_p.gather(1, actions).squeeze(-1);
        [-(taken * advantage).mean(..) - entropy * 0.01, value.mse_loss(returns)]
    }
}

/// States `[64, 8]`, the actions taken in them `[64, 1]`, and what came back `[64]`: more where action and state go together.
struct Experience {
    states: Tensor,
    actions: Tensor,
    returns: Tensor,
}

impl Experience {
    fn new(device: &Device) -> Experience {
        let states = uniform(device, 800, [64, 8], 1.0);
        let actions = Tensor::from_slice(device, &(0..64).map(|i| i % 4).collect::<Vec<i32>>(), [64, 1]);
        let returns = states.gather(1, &actions).squeeze(-1) * 2.0 + states.select(1, 7);
        Experience { states, actions, returns }
    }
}

const ACTOR: Adam =
    Adam { lr: 3e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, amsgrad: false, maximize: false };
const CRITIC: Sgd =
    Sgd { lr: 2e-2, momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false };

/// Two optimizers that share a trunk, one after the other.
fn actor_critic(device: &Device) -> Result<Curves<2>> {
    let (net, batch) = (ActorCritic::new(device)?, Experience::new(device));
    let opt_a = ACTOR.init(&net.actor)?;
    let opt_c = CRITIC.init(&net.critic)?;
    let (mut actor, mut critic) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let [loss, _] = net.losses(&batch);
        opt_a.step(&loss)?;
        actor.push(loss);
        let [_, loss] = net.losses(&batch);
        opt_c.step(&loss)?;
        critic.push(loss);
    }
    Ok([("actor", actor), ("critic", critic)])
}

/// The same two optimizers, with the gradients of one backward pass.
fn actor_critic_joint(device: &Device) -> Result<Curves<2>> {
    let (net, batch) = (ActorCritic::new(device)?, Experience::new(device));
    let opt_a = ACTOR.init(&net.actor)?;
    let opt_c = CRITIC.init(&net.critic)?;
    let (mut actor, mut critic) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let [actor_loss, critic_loss] = net.losses(&batch);
        let grads = (&actor_loss + &critic_loss * 0.5).backward()?;
        opt_a.apply(&grads)?;
        opt_c.apply(&grads)?;
        actor.push(actor_loss);
        critic.push(critic_loss);
    }
    Ok([("actor", actor), ("critic", critic)])
}

#[test]
fn a_gan_trains_as_in_pytorch() {
    agrees_with_pytorch("gan", gan);
}

#[test]
fn a_gan_with_gradient_penalty_trains_as_in_pytorch() {
    agrees_with_pytorch("wgan_gp", wgan_gp);
}

#[test]
fn optimizers_that_share_a_trunk_train_it_as_in_pytorch() {
    agrees_with_pytorch("actor_critic", actor_critic);
}

#[test]
fn optimizers_that_share_gradients_train_as_in_pytorch() {
    agrees_with_pytorch("actor_critic_joint", actor_critic_joint);
}
