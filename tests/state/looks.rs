//! Looking at a model changes nothing, also between a forward pass and its step.

use thalweg::{optim::Average, prelude::*, train};

use super::{Net, assert_same, assert_values, changed, devices, down, param, rows, sgd, snapshot, sum};

#[derive(Module)]
struct Wrapped<'a> {
    inner: &'a Net,
}

/// Whatever looks at a model; the second part of a step follows.
type Look = (&'static str, fn(&Net) -> Result<()>);

/// A look whose result nobody wants.
fn done<T>(_: T) -> Result<()> {
    Ok(())
}

const LOOKS: &[Look] = &[
    ("params", |n| done(n.params())),
    ("states", |n| done(n.states())),
    ("params of a part", |n| done(n.head.params())),
    ("params of a parameter", |n| done(n.head.weight.params())),
    ("count of a part", |n| {
        assert_eq!(n.head.count(), 10);
        Ok(())
    }),
    ("missing of a part", |n| done(Grads::new().missing(&n.head))),
    ("a wrapper's params", |n| done(Wrapped { inner: n }.params())),
    ("eval and train", |n| {
        n.eval();
        n.train();
        Ok(())
    }),
    ("eval", |n| {
        n.eval();
        Ok(())
    }),
    ("freeze(false)", |n| {
        n.freeze(false);
        Ok(())
    }),
    ("freeze and unfreeze", |n| {
        n.freeze(true);
        n.freeze(false);
        Ok(())
    }),
    ("save", |n| train::save(file("whole"), n)),
    ("save of a part", |n| train::save(file("part"), &n.body)),
    ("snapshot", |n| snapshot(&[n]).map(drop)),
    ("print", |n| done(format!("{:?} {:?} {:?}", n.head, n.params(), n.head.weight.name()))),
    ("read", |n| n.head.weight.tensor().to_vec::<f32>().map(drop)),
    ("evaluate", |n| n.forward(&rows(n.head.weight.tensor().device(), 3)).eval()),
    ("verify", |n| verify(n, |n| n.loss(&rows(n.head.weight.tensor().device(), 3))).map(drop)),
    ("fork", |n| n.fork().map(drop)),
    ("average", |n| Average::exponential(n, 0.9)?.update()),
    ("another optimizer", |n| sgd(1.0).init(&n.head).map(drop)),
    ("another step", |n| {
        let q = param(n.head.weight.tensor().device(), &[1.0])?;
        down(&sgd(1.0).init(&(n, &q))?, &[&q])
    }),
    ("clones", |n| done((n.clone(), n.head.clone()))),
];

fn file(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("thalweg-looks-{}-{name}.safetensors", std::process::id()))
}

/// The bits of the model after a step of each kind, with a look at two places of it.
fn trained(
    device: &Device,
    how: usize,
    look: impl Fn(&Net) -> Result<()>,
) -> Result<thalweg::module::snapshot::Snapshot> {
    let net = Net::new(device)?;
    let opt = Sgd { lr: 0.5, momentum: 0.9, weight_decay: 0.1, ..Sgd::default() }.init(&net)?;
    for seed in [1, 2] {
        net.train();
        let loss = net.loss(&rows(device, seed));
        look(&net)?;
        match how {
            0 => opt.step(&loss)?,
            1 => {
                let grads = loss.backward()?;
                look(&net)?;
                assert_eq!(grads.missing(&net), [""; 0]);
                opt.apply(&grads)?;
            }
            _ => {
                opt.accumulate(&loss)?;
                look(&net)?;
                opt.step_accumulated()?;
            }
        }
    }
    net.train();
    snapshot(&[&net, &opt])
}

#[test]
fn a_look_between_forward_and_step_changes_nothing() -> Result<()> {
    for device in devices() {
        for how in 0..3 {
            let want = trained(&device, how, |_| Ok(()))?;
            for (name, look) in LOOKS {
                let got = trained(&device, how, look)?;
                assert_eq!(changed(&want, &got), [""; 0], "{name}, way {how}, on {device}");
            }
        }
    }
    let _ = (std::fs::remove_file(file("whole")), std::fs::remove_file(file("part")));
    Ok(())
}

#[test]
fn gradients_are_found_in_a_model_that_nothing_visited() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let grads = net.loss(&rows(&device, 1)).backward()?;
        assert_eq!(grads.missing(&net), [""; 0]);
        for (name, p) in net.params() {
            let (by_param, by_tensor) = (grads.get(&p), grads.get(&p.tensor()));
            assert_eq!(by_param.map(|g| g.shape().to_vec()), Some(p.shape()), "{name}");
            assert_same(by_tensor.expect("a gradient"), by_param.expect("a gradient"), &name);
        }
    }
    Ok(())
}

#[derive(Clone, Module)]
struct Tied {
    encoder: Linear,
    decoder: Linear,
}

#[test]
fn tied_weights_get_both_gradients_whatever_is_looked_at() -> Result<()> {
    for device in devices() {
        let moved = |look: fn(&Tied)| {
            let encoder = Linear::new(3, 3).bias(false).init(&device, &mut Rng::seed(3))?;
            let net = Tied { decoder: encoder.clone(), encoder };
            let opt = sgd(0.5).init(&net)?;
            let loss = net.decoder.forward(&net.encoder.forward(&rows(&device, 1)).tanh()).square().mean(..);
            look(&net);
            opt.step(&loss)?;
            assert!(net.encoder.weight.same(&net.decoder.weight));
            net.encoder.weight.tensor().copy()
        };
        let want = moved(|_| ())?;
        for look in [
            |n: &Tied| drop(n.params()),
            |n: &Tied| drop(n.decoder.params()),
            |n: &Tied| drop((n.count(), n.decoder.count(), n.states())),
            |n: &Tied| (n.eval(), n.train()).1,
            |n: &Tied| n.decoder.weight.freeze(false),
        ] {
            assert_same(&moved(look)?, &want, "a tied weight");
        }
    }
    Ok(())
}

#[derive(Module)]
struct Actor {
    trunk: Param,
    head: Param,
}

#[derive(Module)]
struct Critic {
    encoder: Param,
    head: Param,
}

/// Both modules name the shared parameter differently, and each optimizer's visit renames it.
#[test]
fn a_step_of_another_module_takes_no_gradients_away() -> Result<()> {
    for device in devices() {
        let one = || param(&device, &[1.0]);
        let actor = Actor { trunk: one()?, head: one()? };
        let critic = Critic { encoder: actor.trunk.clone(), head: one()? };
        let (of_actor, of_head) = (sgd(0.5).init(&actor)?, sgd(0.5).init(&critic.head)?);
        let actors = sum(&[&actor.trunk, &actor.head]);
        let critics = sum(&[&critic.encoder, &critic.head]);
        assert_eq!((critic.count(), actor.trunk.name().get().as_deref()), (2, Some("encoder")), "the latest visit's");
        of_head.step(&critics)?;
        of_actor.step(&actors)?;
        assert_values(&actor.trunk.tensor(), &[0.5]);
        assert_values(&actor.head.tensor(), &[0.5]);
        assert_values(&critic.head.tensor(), &[0.5]);
    }
    Ok(())
}

/// Optimizers of two parts of one model, of gradients of one backward pass, with the whole visited in between.
#[test]
fn parts_find_their_gradients_under_the_names_of_the_whole() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let before = snapshot(&[&net])?;
        let (body, head) = (sgd(0.5).init(&net.body)?, sgd(0.5).init(&net.head)?);
        let grads = net.loss(&rows(&device, 1)).backward()?;
        assert!(net.params().iter().all(|(_, p)| grads.get(p).is_some()));
        body.apply(&grads)?;
        assert!(net.params().iter().all(|(_, p)| grads.get(&p.tensor()).is_some()));
        head.apply(&grads)?;
        assert_eq!(grads.missing(&net), [""; 0]);
        assert_eq!(changed(&before, &snapshot(&[&net])?).len(), 4, "{device}");
    }
    Ok(())
}
