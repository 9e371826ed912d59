//! Copies that go their own way: target networks, the best weights so far, other devices.

use std::collections::{BTreeMap, HashMap};

use thalweg::prelude::*;

use super::{Net, Pair, assert_same, assert_values, changed, devices, down, param, rows, sgd, snapshot, vector};
use thalweg_tests::cpu;

#[test]
fn a_target_network_stays_behind() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let target = net.fork()?;
        let start = snapshot(&[&net])?;
        assert_eq!(changed(&start, &snapshot(&[&target])?), [""; 0], "{device}");
        let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
        let x = rows(&device, 1);
        let wanted = (target.forward(&x) * 0.9).detach();
        for _ in 0..3 {
            opt.step(&(net.forward(&x) - target.forward(&x) * 0.9).square().mean(..))?;
        }
        assert_eq!(changed(&start, &snapshot(&[&target])?), [""; 0], "{device}");
        assert_eq!(changed(&start, &snapshot(&[&net])?).len(), 4, "{device}");
        assert_same(&wanted, &(target.forward(&x) * 0.9).detach(), "what it says");
        // Followed slowly: t ← 0.9 t + 0.1 θ.
        for ((_, t), (_, p)) in target.params().iter().zip(net.params()) {
            let (old, new) = (t.tensor().to_vec::<f64>()?, p.tensor().to_vec::<f64>()?);
            t.set(&(t.tensor() * 0.9 + p.tensor() * 0.1))?;
            let want: Vec<f64> = old.iter().zip(&new).map(|(o, n)| 0.9 * o + 0.1 * n).collect();
            assert_values(&t.tensor(), &want);
        }
        // The best so far comes back.
        let best = net.fork()?;
        let kept = snapshot(&[&best])?;
        opt.step(&net.loss(&x))?;
        for ((_, p), (_, b)) in net.params().iter().zip(best.params()) {
            p.set(&b.tensor())?;
        }
        assert_eq!(changed(&kept, &snapshot(&[&net])?), [""; 0], "{device}");
        opt.step(&net.loss(&x))?;
        assert_eq!(changed(&kept, &snapshot(&[&best])?), [""; 0], "{device}");
    }
    Ok(())
}

#[derive(Clone, Module)]
struct Everything {
    a: Linear,
    tied: Linear,
    norm: BatchNorm2d,
    same: State,
    drop: Dropout,
    twin: Dropout,
    list: Vec<Param>,
    map: BTreeMap<String, Param>,
    hashed: HashMap<u8, Param>,
    pair: (Param, Option<Param>),
    boxed: Box<Param>,
}

fn everything(device: &Device) -> Result<Everything> {
    let rng = &mut Rng::seed(5);
    let a = Linear::new(2, 2).init(device, rng)?;
    let norm = BatchNorm2d::new(1).init(device, rng)?;
    let drop = Dropout::new(0.5).init(device, rng)?;
    let one = |x: f32| param(device, &[x]);
    let net = Everything {
        tied: a.clone(),
        a,
        same: norm.running_mean.clone().unwrap(),
        norm,
        twin: drop.clone(),
        drop,
        list: vec![one(1.0)?, one(2.0)?],
        map: BTreeMap::from([("x".into(), one(3.0)?)]),
        hashed: HashMap::from([(7, one(4.0)?), (1, one(5.0)?)]),
        pair: (one(6.0)?, Some(one(7.0)?)),
        boxed: Box::new(one(8.0)?),
    };
    Ok(net)
}

/// In a copy everything is new and as it was: values, names, flags, modes, draws, and who is tied to whom.
#[test]
fn a_fork_is_tied_within_itself_alone() -> Result<()> {
    for device in devices() {
        let net = everything(&device)?;
        net.list[0].freeze(true);
        net.norm.eval();
        net.norm.running_var.as_ref().unwrap().set(&vector(&device, &[9.0]));
        net.drop.forward(&Tensor::ones(&device, [3])).eval()?;
        let start = snapshot(&[&net])?;
        let fork = net.fork()?;
        assert_eq!(changed(&start, &snapshot(&[&fork])?), [""; 0], "{device}");
        assert_eq!(net.params().len(), fork.params().len());
        assert!(fork.a.weight.same(&fork.tied.weight) && fork.same.same(fork.norm.running_mean.as_ref().unwrap()));
        for ((name, p), (other, q)) in net.params().iter().zip(fork.params()) {
            assert!(!p.same(&q) && *name == other && q.name().get().as_deref() == Some(name.as_str()), "{name}");
        }
        assert!(fork.list[0].is_frozen() && !fork.list[1].is_frozen());
        // Modes and streams: its own, shared by those that shared them.
        let x = Tensor::ones(&device, [64]);
        let (first, of_fork) = (net.drop.forward(&x), fork.drop.forward(&x));
        assert_same(&first, &of_fork, "the next draw");
        assert_same(&net.twin.forward(&x), &fork.twin.forward(&x), "the draw after it");
        fork.twin.eval();
        assert_same(&fork.drop.forward(&x), &x, "a shared mode");
        assert!(net.drop.forward(&x).sum(..).item()? != 64.0 || net.drop.forward(&x).sum(..).item()? != 64.0);
        // Training one leaves the other.
        let before = snapshot(&[&fork])?;
        net.train();
        let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
        let all: Vec<Param> = net.params().into_iter().map(|(_, p)| p).collect();
        down(&opt, &all.iter().collect::<Vec<_>>())?;
        net.same.write(&vector(&device, &[3.0]))?;
        assert_eq!(changed(&before, &snapshot(&[&fork])?), [""; 0], "{device}");
    }
    Ok(())
}

/// What was set and not written is in the copy; what is set afterwards is not.
#[test]
fn a_fork_has_what_was_set() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[1.0])?;
        net.s.set(&(net.s.tensor() + net.p.tensor()));
        let fork = net.fork()?;
        net.s.set(&(net.s.tensor() * 10.0));
        net.p.set(&vector(&device, &[5.0]))?;
        assert_values(&fork.s.tensor(), &[2.0]);
        assert_values(&fork.p.tensor(), &[1.0]);
        assert_values(&net.s.tensor(), &[20.0]);
        // Each is trained by its own optimizer, in one loop.
        let (a, b) = (sgd(1.0).init(&net)?, sgd(0.5).init(&fork)?);
        for _ in 0..2 {
            down(&a, &[&net.p])?;
            down(&b, &[&fork.p])?;
        }
        assert_values(&net.p.tensor(), &[3.0]);
        assert_values(&fork.p.tensor(), &[0.0]);
    }
    Ok(())
}

/// A model that is partly somebody else's cannot be copied; it says which part.
#[test]
fn a_reference_is_not_copied() -> Result<()> {
    #[derive(Clone, Module)]
    struct Borrowing<'a> {
        mine: Param,
        theirs: &'a Net,
    }
    for device in devices() {
        let net = Net::new(&device)?;
        let both = Borrowing { mine: param(&device, &[1.0])?, theirs: &net };
        super::refuses(both.fork(), line!(), &["fork", "'theirs", "reference"]);
        super::refuses(both.clone().cast(DType::BF16), line!(), &["'theirs", "reference"]);
        assert_eq!(both.count(), 1 + net.count());
        assert_values(&both.mine.tensor(), &[1.0]);
    }
    Ok(())
}

/// Moved to another device and back: the same bits, tied ones tied, and trained there.
#[test]
fn a_model_moves_between_devices() -> Result<()> {
    for device in devices() {
        let there = cpu();
        let net = everything(&device)?;
        net.list[1].freeze(true);
        net.norm.running_var.as_ref().unwrap().set(&vector(&device, &[9.0]));
        let start = snapshot(&[&net])?;
        let moved = net.to(&there)?;
        assert_eq!(changed(&start, &snapshot(&[&moved])?), [""; 0], "{device}");
        assert!(moved.params().iter().all(|(_, p)| p.tensor().device().same(&there)));
        assert!(moved.a.weight.same(&moved.tied.weight) && moved.same.same(moved.norm.running_mean.as_ref().unwrap()));
        assert!(moved.list[1].is_frozen());
        let opt = sgd(0.5).init(&moved)?;
        down(&opt, &[&moved.boxed])?;
        assert_values(&moved.boxed.tensor(), &[7.5]);
        let back = moved.to(&device)?;
        assert_values(&back.boxed.tensor(), &[7.5]);
        assert_values(&back.norm.running_var.as_ref().unwrap().tensor(), &[9.0]);
        // What lives elsewhere is refused by name.
        let here = param(&there, &[1.0])?;
        if !device.same(&there) {
            let mixed = (here, back.boxed);
            super::refuses(sgd(0.1).init(&mixed), line!(), &["init", "devices", "'1'"]);
        }
    }
    Ok(())
}
