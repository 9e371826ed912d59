//! What can be read never changes: what was computed keeps its value, and what needs an old version is an error that names it.

use thalweg::prelude::*;

use super::{
    Net, Pair, assert_same, assert_values, changed, devices, down, param, refuses, rows, sgd, snapshot, vector,
};

/// Values taken of a variable of two that are its value, a view of it or a function that simplifies to it.
type Way = (&'static str, fn(&Tensor) -> Tensor);

const WAYS: &[Way] = &[
    ("detach", |t| t.detach()),
    ("detach · 1", |t| t.detach() * 1.0),
    ("+ 0", |t| t + 0.0),
    ("0 +", |t| 0.0 + t),
    ("- 0", |t| t - 0.0),
    ("· 1", |t| t * 1.0),
    ("/ 1", |t| t / 1.0),
    ("- - x", |t| -(-t)),
    ("+ zeros_like", |t| t + t.zeros_like()),
    ("· ones_like", |t| t * t.ones_like()),
    ("track", |t| t.track()),
    ("cast to f16 and back", |t| t.cast(DType::F16).cast(DType::F32)),
    ("flip twice", |t| t.flip(0).flip(0)),
    ("where", |t| t.ge(-9.0).where_(t, 0.0)),
    ("clamp", |t| t.clamp(-9.0, 9.0)),
    ("sum of one row", |t| t.reshape([1, 2]).sum(0)),
    ("max of one row", |t| t.reshape([1, 2]).amax(0)),
    ("copy", |t| t.copy().expect("a copy")),
];

/// What gives the tensor itself, which is of the version that it is of.
const ITSELF: &[Way] = &[
    ("cast", |t| t.cast(DType::F32)),
    ("concat of one", |t| Tensor::concat(std::slice::from_ref(t), 0)),
    ("reshape", |t| t.reshape([-1])),
    ("slice", |t| t.slice(0, ..)),
    ("pad by nothing", |t| t.pad(&[(0, 0)], 0.0)),
    ("broadcast", |t| t.broadcast_to([2])),
    ("roll by nothing", |t| t.roll(0, 0)),
    ("powf 1", |t| t.powf(1.0)),
];

#[test]
fn values_computed_before_a_write_keep() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0, 2.0], &[1.0, 2.0])?;
        let opt = sgd(0.5).init(&net)?;
        let of = |ways: &[Way], t: Tensor| ways.iter().map(|(name, way)| (*name, way(&t))).collect::<Vec<_>>();
        let kept = [of(WAYS, net.p.tensor()), of(&WAYS[1..], net.s.tensor())].concat();
        let old = [of(ITSELF, net.p.tensor()), of(ITSELF, net.s.tensor()), of(&WAYS[..1], net.s.tensor())].concat();
        let (together, apart) = kept.split_at(WAYS.len() / 2);
        Tensor::eval_all(&together.iter().map(|(_, t)| t.clone()).collect::<Vec<_>>())?;
        apart.iter().chain(&old).try_for_each(|(_, t)| t.eval())?;
        net.s.set(&(net.s.tensor() + 1.0));
        down(&opt, &[&net.p])?;
        net.p.set(&vector(&device, &[7.0, 8.0]))?;
        net.s.write(&vector(&device, &[7.0, 8.0]))?;
        for (name, held) in &kept {
            match held.to_vec::<f32>() {
                Ok(got) => assert_eq!(got, [1.0, 2.0], "{name} on {device}"),
                Err(error) => panic!("{name} on {device}: {error}"),
            }
        }
        for (name, held) in &old {
            let error = held.to_vec::<f32>().expect_err(name);
            assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{name} on {device}: {error}");
        }
    }
    Ok(())
}

/// The same, not computed before the write: an error that names the variable and a line of the program.
#[test]
fn values_not_computed_before_a_write_are_errors() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0, 2.0], &[1.0, 2.0])?;
        let opt = sgd(0.5).init(&net)?;
        for (name, way) in WAYS.iter().chain(ITSELF).filter(|(name, _)| !["track", "copy"].contains(name)) {
            let held = [(way(&net.p.tensor()) * 2.0, "'p'"), (way(&net.s.tensor()) * 2.0, "'s'")];
            net.s.set(&(net.s.tensor() + 1.0));
            down(&opt, &[&net.p])?;
            for (held, variable) in held {
                let error = held.to_vec::<f32>().expect_err(name);
                assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{name} on {device}: {error}");
                let text = error.to_string();
                assert!(text.contains(variable) && text.contains("held.rs"), "{name} on {device}: {text}");
            }
        }
    }
    Ok(())
}

/// The variable's own tensor, wherever it goes.
#[test]
fn an_old_version_is_refused_at_the_line_that_reads_it() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[1.0])?;
        let opt = sgd(0.5).init(&net)?;
        let (p, s) = (net.p.tensor(), net.s.tensor());
        p.eval()?;
        assert_values(&s, &[1.0]);
        net.s.set(&(net.s.tensor() + 1.0));
        down(&opt, &[&net.p])?;
        refuses(p.to_vec::<f32>(), line!(), &["version 0 of parameter 'p'", "version 1", "copy()"]);
        refuses(s.to_vec::<f32>(), line!(), &["version 0", "'s'", "copy()"]);
        refuses(s.item(), line!(), &["'s'"]);
        refuses(p.copy(), line!(), &["'p'"]);
        refuses(Param::new(p.clone()), line!(), &["'p'"]);
        refuses(State::new(s.clone()), line!(), &["'s'"]);
        refuses(net.p.set(&p), line!(), &["'p'"]);
        refuses(net.s.write(&s), line!(), &["'s'"]);
        refuses(Tensor::eval_all(&[&p * 2.0]), line!(), &["'p'"]);
        refuses(p.track().check(), line!(), &["'p'"]);
        refuses(p.to(&net.p.tensor().device().op_by_op()).to_vec::<f32>(), line!(), &["'p'"]);
        let (sum, line) = (&s + 1.0, line!());
        refuses(sum.to_vec::<f32>(), line, &["'s'"]);
        // Set to it, a state makes one step fail, and not the next.
        let line = line!() + 1;
        net.s.set(&s);
        refuses(down(&opt, &[&net.p]), line, &["'s'"]);
        assert_values(&net.p.tensor(), &[0.5]);
        assert_values(&net.s.tensor(), &[2.0]);
        down(&opt, &[&net.p])?;
        assert_values(&net.p.tensor(), &[0.0]);
        assert_values(&net.s.tensor(), &[2.0]);
    }
    Ok(())
}

#[derive(Module)]
struct Normed {
    norm: BatchNorm2d,
    p: Param,
}

impl Normed {
    fn new(device: &Device) -> Result<Normed> {
        let norm = BatchNorm2d::new(1).affine(false).init(device, &mut Rng::seed(0))?;
        Ok(Normed { norm, p: param(device, &[1.0])? })
    }
}

/// By the running statistics of before a step: computed before, it keeps; not computed, it is an error.
#[test]
fn a_prediction_of_before_a_step() -> Result<()> {
    for device in devices() {
        let net = Normed::new(&device)?;
        let opt = sgd(0.1).init(&net)?;
        let x = Tensor::full(&device, 5.0, [2, 1, 1, 1], DType::F32);
        net.eval();
        let (computed, lazy) = (net.norm.forward(&x), net.norm.forward(&x));
        computed.eval()?;
        let mean = net.norm.running_mean.as_ref().unwrap().tensor();
        let kept = mean.copy()?;
        net.train();
        opt.step(&(net.norm.forward(&(&x * 10.0)) * net.p.tensor()).sum(..))?;
        let five = 5.0 / (1.0f64 + 1e-5).sqrt();
        assert_values(&computed, &[five, five]);
        assert_values(&kept, &[0.0]);
        assert_values(&net.norm.running_mean.as_ref().unwrap().tensor(), &[5.0]);
        let error = lazy.to_vec::<f32>().expect_err("an old prediction");
        assert!(error.to_string().contains("'norm.running_"), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}");
        refuses(mean.to_vec::<f32>(), line!(), &["'norm.running_mean'"]);
    }
    Ok(())
}

#[test]
fn verify_and_rehearsals_move_no_statistics() -> Result<()> {
    for device in devices() {
        let net = Normed::new(&device)?;
        let before = snapshot(&[&net])?;
        let x = Tensor::full(&device, 5.0, [2, 1, 1, 1], DType::F32);
        let verdict = verify(&net, |n| (n.norm.forward(&x) * n.p.tensor()).sum(..))?;
        assert!(verdict.disagreement.is_none(), "{verdict}");
        let y = thalweg::module::discarding(|| net.norm.forward(&(&x * 3.0)));
        y.eval()?;
        assert_eq!(changed(&before, &snapshot(&[&net])?), [""; 0], "{device}");
        // What was set before is kept, and what is set in it forgotten.
        net.norm.running_mean.as_ref().unwrap().set(&vector(&device, &[2.0]));
        thalweg::module::discarding(|| net.norm.forward(&x)).eval()?;
        down(&sgd(0.1).init(&net)?, &[&net.p])?;
        assert_values(&net.norm.running_mean.as_ref().unwrap().tensor(), &[2.0]);
        assert_values(&net.norm.running_var.as_ref().unwrap().tensor(), &[1.0]);
    }
    Ok(())
}

/// Whatever of a step's graph is held shows what it was before the step, and has no gradient any more.
#[test]
fn what_is_held_of_a_steps_graph_is_of_before_it() -> Result<()> {
    for device in devices() {
        let (net, x) = (Net::new(&device)?, rows(&device, 1));
        let opt = sgd(0.5).init(&net)?;
        let hidden = net.body.forward(&x).tanh();
        let out = net.head.forward(&hidden);
        let view = out.slice(0, 1..3).t();
        let loss = out.square().mean(..);
        let twice = &loss * 2.0;
        // What they will show, of parameters that do not move.
        let still = net.fork()?;
        opt.step(&loss)?;
        let hidden0 = still.body.forward(&x).tanh();
        let out0 = still.head.forward(&hidden0);
        let near = |a: &Tensor, b: &Tensor| {
            let far = (a.detach() - b.detach()).abs().amax(..).item().expect("a number");
            assert!(far < 1e-5, "{device}: {far}");
        };
        near(&hidden, &hidden0);
        near(&out, &out0);
        near(&view, &out0.slice(0, 1..3).t());
        near(&loss, &out0.square().mean(..));
        let want = 2.0 * loss.item()?;
        // Not a part of the step's run, but of what it kept.
        if let Ok(got) = twice.item() {
            assert!((got - want).abs() < 1e-6 * want, "{device}: {got}, not {want}");
        }
        refuses(loss.backward(), line!(), &["backward", "version"]);
        refuses(out.sum(..).backward(), line!(), &["backward", "version"]);
    }
    Ok(())
}

/// The results of compiled calls are of their calls.
#[test]
fn results_of_compiled_steps_keep() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[10.0])?;
        let opt = sgd(0.5).init(&net)?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            let (p, s) = (net.p.tensor(), net.s.tensor());
            let held = [p.detach() + 0.0, &s + 0.0, p.copy()?, s.copy()?];
            Tensor::eval_all(&held)?;
            net.s.set(&(&s + &x));
            opt.step(&(p * &x).sum(..))?;
            let [a, b, c, d] = held;
            Ok([a, b, c, d, net.s.tensor() + 0.0, net.s.tensor()])
        });
        let x = vector(&device, &[1.0]);
        let calls = (0..4).map(|_| step.call([&x])).collect::<Result<Vec<_>>>()?;
        for (i, [a, b, c, d, e, _]) in calls.iter().enumerate() {
            let i = i as f64;
            for (held, want) in [(a, 1.0 - 0.5 * i), (b, 10.0 + i), (c, 1.0 - 0.5 * i), (d, 10.0 + i), (e, 11.0 + i)] {
                assert_values(held, &[want]);
            }
        }
        // The last one's tensor of the state is the state.
        let [.., last] = &calls[3];
        assert_same(last, &net.s.tensor(), "the last result");
    }
    Ok(())
}

/// Losses that are kept hold no batches.
#[test]
fn a_loss_that_is_held_holds_no_batch() -> Result<()> {
    let device = thalweg_tests::cpu();
    let net = Net::new(&device)?;
    let opt = sgd(0.1).init(&net)?;
    let (mut losses, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..16 {
        let x = Tensor::ones(&device, [4096, 3]).copy()?;
        let loss = net.loss(&x);
        opt.step(&loss)?;
        losses.push(loss);
        bytes.push(device.stats().device_bytes);
    }
    assert!(bytes[15] - bytes[7] < 4096, "{bytes:?}");
    assert!(losses.windows(2).all(|pair| pair[1].item().unwrap() <= pair[0].item().unwrap()));
    Ok(())
}
