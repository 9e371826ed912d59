//! What every rule must do, by name: go on where it stopped, compile, skip, go down, and take as few launches as it may.

use thalweg::{
    module::snapshot::{Snapshot, Stateful},
    optim::{Bf16Moments, Penalty, RULES, rule},
    prelude::*,
};
use thalweg_tests::{cpu, own_gpu, strict, test_gpu};

/// Two matrices of one shape, one of another and a kernel: for rules that take no vectors as well.
#[derive(Module)]
struct Net {
    a: Param,
    b: Param,
    c: Param,
    kernel: Param,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let mut rng = Rng::seed(11);
        let mut draw = |shape: &[usize]| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| 0.5 * rng.normal() as f32).collect();
            Param::new(Tensor::from_slice(device, &values, shape))
        };
        Ok(Net { a: draw(&[5, 4])?, b: draw(&[5, 4])?, c: draw(&[4, 9])?, kernel: draw(&[3, 2, 2, 2])? })
    }

    /// A valley with a slope of its own for each batch.
    fn loss(&self, batch: &Tensor) -> Tensor {
        let y = batch.matmul(&self.a.tensor().tanh()).matmul(&self.c.tensor());
        let z = (batch.matmul(&self.b.tensor()) - 1.0).square().mean(..);
        y.square().mean(..) + z + (self.kernel.tensor() - 0.3).square().sum(..)
    }
}

fn batch(device: &Device, seed: u64) -> Tensor {
    let mut rng = Rng::seed(seed);
    Tensor::from_slice(device, &(0..15).map(|_| rng.normal() as f32).collect::<Vec<_>>(), [3, 5])
}

/// The settings with which rules are told from each other: what is off by default is on.
const SETTINGS: &[(&str, &[(&str, f64)])] = &[
    ("Sgd", &[("momentum", 0.9), ("nesterov", 1.0), ("weight_decay", 0.01)]),
    ("Adagrad", &[("initial_accumulator_value", 0.1), ("lr_decay", 0.01)]),
    ("RmsProp", &[("momentum", 0.9), ("centered", 1.0)]),
    ("Adam", &[("amsgrad", 1.0)]),
    ("NAdam", &[("decoupled_weight_decay", 1.0), ("weight_decay", 0.1)]),
    ("RAdam", &[("beta2", 0.7)]),
    ("Asgd", &[("t0", 2.0)]),
    ("Adafactor", &[("beta1", 0.9)]),
    ("Lamb", &[("lr", 0.01)]),
];

fn named(name: &str) -> Box<dyn Rule> {
    let settings = SETTINGS.iter().find(|(rule, _)| *rule == name).map_or(&[][..], |(_, settings)| settings);
    rule(name, settings).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every rule, and two in what can be put around a rule.
fn every() -> Vec<(String, Box<dyn Rule>)> {
    let mut rules: Vec<(String, Box<dyn Rule>)> = RULES.iter().map(|name| (name.to_string(), named(name))).collect();
    let sparse = named("Sgd").penalized(Penalty::elastic_net(0.01, 0.01).proximal());
    let narrow: Bf16Moments<_> = named("AdamW").bf16_moments(&mut Rng::seed(2));
    rules.push(("Sgd with a penalty".into(), Box::new(sparse)));
    rules.push(("AdamW in bf16".into(), Box::new(narrow)));
    rules
}

/// The same rule once more.
fn another(name: &str) -> Box<dyn Rule> {
    every().into_iter().find(|(other, _)| other == name).expect("a rule of this name").1
}

/// A run with noise, a schedule and a batch that is skipped.
struct Run {
    net: Net,
    opt: Optimizer,
}

impl Run {
    fn new(device: &Device, rule: Box<dyn Rule>) -> Result<Run> {
        let net = Net::new(device)?;
        let lr = rule.lr();
        let opt = rule.init(&net)?.gradient_noise(1e-3, 0.55, &mut Rng::seed(3)).clip_norm(1.0);
        Ok(Run { net, opt: opt.schedule(move |t| lr / (1.0 + 0.1 * t as f64)) })
    }

    fn step(&self, x: &Tensor) -> Result<()> {
        self.opt.step(&self.net.loss(x))?;
        self.opt.observe(&self.net.loss(&(x * 0.5)))
    }

    fn saved(&self) -> Result<Snapshot> {
        let mut all = Snapshot::new();
        for (prefix, part) in [("net", &self.net as &dyn Stateful), ("opt", &self.opt)] {
            let mut own = Snapshot::new();
            part.save(&mut own)?;
            all.add(prefix, own);
        }
        Ok(all)
    }
}

const STEPS: u64 = 7;
/// A batch that is no number.
const BAD: u64 = 2;

fn batches(device: &Device) -> Vec<Tensor> {
    (0..STEPS).map(|i| if i == BAD { batch(device, i) * f64::NAN } else { batch(device, i) }).collect()
}

fn devices() -> [Device; 3] {
    [strict(), cpu(), test_gpu!()]
}

#[track_caller]
fn same(got: &Snapshot, want: &Snapshot, what: &str) {
    let differ: Vec<&str> = want.iter().filter(|(name, v)| got.get(name) != Some(v)).map(|(name, _)| name).collect();
    assert!(differ.is_empty() && got.len() == want.len(), "{what}: {differ:?} differ");
}

/// Stopped at a step and gone on with from what was saved, in a compiled step, and without either: the same bits.
#[test]
fn stopped_or_compiled_every_rule_gives_the_same_bits() -> Result<()> {
    for device in devices() {
        let batches = batches(&device);
        let mut rng = Rng::seed(17);
        for (name, rule) in every() {
            let stop = 1 + rng.below(STEPS as u32 - 1) as usize;
            let (plain, first) = (Run::new(&device, rule)?, Run::new(&device, another(&name))?);
            batches.iter().try_for_each(|x| plain.step(x))?;
            let want = plain.saved()?;
            assert_eq!(plain.opt.report()?.skipped, 1, "{name} on {device}");

            batches[..stop].iter().try_for_each(|x| first.step(x))?;
            let saved = first.saved()?;
            let second = Run::new(&device, another(&name))?;
            second.net.load(&saved.part("net"))?;
            second.opt.load(&saved.part("opt"))?;
            batches[stop..].iter().try_for_each(|x| second.step(x))?;
            same(&second.saved()?, &want, &format!("{name} on {device}, stopped after step {stop}"));

            let run = Run::new(&device, another(&name))?;
            let mut compiled = compile(|[x]: [Tensor; 1]| {
                run.step(&x)?;
                Ok([x])
            });
            batches.iter().try_for_each(|x| compiled.call([x]).map(drop))?;
            drop(compiled);
            same(&run.saved()?, &want, &format!("{name} on {device}, compiled"));
        }
    }
    Ok(())
}

/// The rules whose momentum a schedule may drive, and what they call it.
const MOMENTA: [(&str, &str); 14] = [
    ("Sgd", "momentum"),
    ("SgdEma", "beta"),
    ("RmsProp", "momentum"),
    ("Lars", "momentum"),
    ("Muon", "momentum"),
    ("Adam", "beta1"),
    ("AdamW", "beta1"),
    ("Adamax", "beta1"),
    ("NAdam", "beta1"),
    ("RAdam", "beta1"),
    ("Adafactor", "beta1"),
    ("Lamb", "beta1"),
    ("Lion", "beta1"),
    ("SophiaG", "beta1"),
];

/// By a schedule that stays at a number a rule moves as with that number of its own; a rule that has no such setting says so.
#[test]
fn a_momentum_comes_by_a_schedule() -> Result<()> {
    let moved = |device: &Device, name: &str, setting: &str, own: f64, scheduled: Option<f64>| -> Result<Vec<f64>> {
        let net = Net::new(device)?;
        let mut opt = rule(name, &[(setting, own)])?.init(&net)?;
        if let Some(momentum) = scheduled {
            opt = opt.schedule_of(setting, momentum);
        }
        for i in 0..4 {
            let loss = net.loss(&batch(device, i));
            opt.step(&loss)?;
            opt.observe(&net.loss(&batch(device, i + 9)))?;
        }
        let all = net.params().into_iter().map(|(_, p)| p.tensor().to_vec::<f64>());
        Ok(all.collect::<Result<Vec<_>>>()?.concat())
    };
    for device in devices() {
        for name in RULES {
            let Some((_, setting)) = MOMENTA.iter().find(|(rule, _)| rule == name) else {
                let error = moved(&device, name, "lr", 0.01, Some(0.5)).expect_err("no rule looks its rate up by name");
                assert!(error.to_string().contains("'lr', which no rule looks up"), "{name}: {error}");
                continue;
            };
            let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let want = moved(&device, name, setting, 0.6, None)?;
            let got = moved(&device, name, setting, 0.9, Some(0.6))?;
            let other = moved(&device, name, setting, 0.9, None)?;
            let (off, effect) = (far(&got, &want), far(&other, &want));
            assert!(off < 1e-3 * effect, "{name} on {device}: {off} off, where another momentum is {effect}");
        }
    }
    Ok(())
}

/// A step that is skipped changes no parameter, no slot and no count.
#[test]
fn a_skipped_step_of_every_rule_changes_nothing() -> Result<()> {
    for device in devices() {
        for (name, rule) in every() {
            let run = Run::new(&device, rule)?;
            run.opt.step(&run.net.loss(&batch(&device, 0)))?;
            let before = run.saved()?;
            run.opt.step(&run.net.loss(&(batch(&device, 1) * f64::INFINITY)))?;
            let (mut before, mut after) = (before, run.saved()?);
            for saved in [&mut before, &mut after] {
                // Which counts it, and has its norm.
                saved.remove("opt.#control").expect("the counts");
            }
            same(&after, &before, &format!("{name} on {device}"));
        }
    }
    Ok(())
}

/// Launches of a step by given gradients, of so many pairs of matrices of two shapes.
fn launches(device: &Device, rule: Box<dyn Rule>, pairs: usize) -> Result<usize> {
    let param = |shape: [usize; 2]| Param::new(Tensor::ones(device, shape));
    let params = (0..pairs).map(|_| Ok((param([40, 30])?, param([30, 70])?))).collect::<Result<Vec<_>>>()?;
    let opt = rule.init(&params)?;
    for _ in 0..2 {
        let mut grads = Grads::new();
        for (a, b) in &params {
            grads.insert(a, &Tensor::ones(device, [40, 30]))?;
            grads.insert(b, &Tensor::ones(device, [30, 70]))?;
        }
        opt.apply(&grads)?;
    }
    Ok(device.last_step().expect("a step was taken").launches)
}

/// One launch for all or one for each op: the same step, to two units in the last place.
#[test]
fn fused_or_op_by_op_every_rule_takes_the_same_step() -> Result<()> {
    for device in [cpu(), test_gpu!()] {
        for (name, rule) in every() {
            let step = |device: &Device, rule: Box<dyn Rule>| -> Result<Vec<f64>> {
                let net = Net::new(device)?;
                let opt = rule.init(&net)?;
                let mut grads = Grads::new();
                for (i, (_, p)) in net.params().iter().enumerate() {
                    grads.insert(p, &(p.tensor().detach() * 0.75 + 0.1 * i as f64))?;
                }
                opt.apply(&grads)?;
                net.params()
                    .iter()
                    .map(|(_, p)| p.tensor().to_vec::<f64>())
                    .collect::<Result<Vec<_>>>()
                    .map(|all| all.concat())
            };
            let (fused, plain) = (step(&device, rule)?, step(&device.op_by_op(), another(&name))?);
            let far = |(a, b): (&f64, &f64)| (a - b).abs() > 2.0 * f64::from(f32::EPSILON) * a.abs().max(0.1);
            let differ: Vec<_> = fused.iter().zip(&plain).filter(|pair| far(*pair)).collect();
            assert!(differ.is_empty(), "{name} on {device}: {differ:?}");
        }
    }
    Ok(())
}

/// What a rule may take beyond gradient descent, which is one launch for all parameters beside those that lay out the gradients and count
/// the step: for numbers that a step computes once, for sums over each tensor, and, of what is done by shape, for two shapes.
const LAUNCHES: &[(&str, usize)] = &[
    ("NAdam", 1),
    ("RAdam", 1),
    ("ScheduleFree", 1),
    ("SparseAdam", 6),
    ("Lars", 6),
    ("Lamb", 7),
    ("Adafactor", 20),
    ("Muon", 36),
];

#[test]
fn launches_do_not_grow_with_the_number_of_tensors() -> Result<()> {
    for device in [cpu(), own_gpu()] {
        let plain = launches(&device, named("Sgd"), 2)?;
        for (name, rule) in every() {
            let (few, many) = (launches(&device, rule, 2)?, launches(&device, another(&name), 20)?);
            let more = LAUNCHES.iter().find(|(known, _)| *known == name).map_or(0, |(_, more)| *more);
            assert_eq!(few, many, "{name} on {device}");
            assert!(few <= plain + more, "{name} on {device}: {few} launches, and gradient descent {plain}");
        }
    }
    Ok(())
}
