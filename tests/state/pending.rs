//! States that were set and not written yet: who writes them, when, and from which values.

use thalweg::prelude::*;

use super::{Pair, assert_values, devices, down, param, refuses, sgd, snapshot, state, vector};

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let rng = &mut Rng::seed(0);
        let conv = Conv2d::new(1, 2, 3).init(device, rng)?;
        let norm = BatchNorm2d::new(2).init(device, rng)?;
        Ok(Net { conv, norm, head: Linear::new(8, 2).init(device, rng)? })
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.norm.forward(&self.conv.forward(x)).flatten(1..)).square().mean(..)
    }
}

/// A look at a shape in training mode, before whatever writes parameters or moves them.
#[test]
fn an_unread_forward_pass_harms_nothing_that_follows() -> Result<()> {
    for device in devices() {
        let x = Tensor::ones(&device, [4, 1, 4, 4]);
        let look = |net: &Net| net.norm.forward(&net.conv.forward(&x)).flatten(1..).shape()[1];
        let net = Net::new(&device)?;
        assert_eq!(look(&net), 8);
        let opt = sgd(0.1).init(&net)?;
        opt.step(&net.loss(&x))?;
        look(&net);
        let weight = &net.conv.weight;
        weight.set(&(weight.tensor() * 0.5))?;
        opt.step(&net.loss(&x))?;
        look(&net);
        let again = AdamW::default().init(&net)?;
        look(&net);
        again.step(&net.loss(&x))?;
        look(&net);
        let saved = snapshot(&[&net, &again])?;
        look(&net);
        super::load(&saved, &[&net, &again])?;
        opt.step(&net.loss(&x))?;
        look(&net);
        let file = std::env::temp_dir().join(format!("thalweg-pending-{}.safetensors", std::process::id()));
        thalweg::train::save(&file, &net)?;
        look(&net);
        thalweg::train::load(&file, &net)?;
        let _ = std::fs::remove_file(file);
        opt.step(&net.loss(&x))?;
        look(&net);
        let fork = net.norm.fork()?;
        assert_eq!(
            fork.running_mean.as_ref().unwrap().tensor().to_vec::<f32>()?,
            net.norm.running_mean.as_ref().unwrap().tensor().to_vec::<f32>()?
        );
        opt.step(&net.loss(&x))?;
        assert!(net.loss(&x).item()?.is_finite());
    }
    Ok(())
}

/// Its values are those of the parameters at the time.
#[test]
fn a_pending_state_is_computed_before_what_it_reads_is_written() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[0.0])?;
        let other = state(&device, &[5.0])?;
        let read = || net.s.set(&(net.s.tensor() + net.p.tensor() + other.tensor()));
        read();
        net.p.set(&vector(&device, &[10.0]))?;
        assert_values(&net.s.tensor(), &[6.0]);
        read();
        other.write(&vector(&device, &[100.0]))?;
        assert_values(&net.s.tensor(), &[21.0]);
        read();
        let opt = sgd(1.0).init(&net.p)?;
        read();
        down(&opt, &[&net.p])?;
        assert_values(&net.s.tensor(), &[241.0]);
        assert_values(&net.p.tensor(), &[9.0]);
        // By what is set itself: the state is overwritten unseen, and others still read what it was.
        net.s.set(&vector(&device, &[1.0]));
        other.set(&(net.s.tensor() + 1.0));
        net.s.write(&vector(&device, &[7.0]))?;
        assert_values(&net.s.tensor(), &[7.0]);
        assert_values(&other.tensor(), &[2.0]);
    }
    Ok(())
}

#[test]
fn the_last_value_set_counts_and_shows_at_once() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[1.0])?;
        let opt = sgd(1.0).init(&net)?;
        for factor in [2.0, 3.0, 4.0] {
            net.s.set(&(net.s.tensor() * factor));
        }
        assert_eq!(net.s.version(), 0);
        assert_values(&net.s.tensor(), &[24.0]);
        assert_eq!(net.s.version(), 0, "a read writes nothing");
        net.s.set(&(net.s.tensor() + 1.0));
        down(&opt, &[&net.p])?;
        assert_eq!(net.s.version(), 1);
        assert_values(&net.s.tensor(), &[25.0]);
        down(&opt, &[&net.p])?;
        assert_eq!(net.s.version(), 1, "what is not set is not written");
    }
    Ok(())
}

/// A head that is trained alone over a body in training mode: its statistics are written by each step, and memory is constant.
#[test]
fn states_outside_the_optimizer_are_written_and_do_not_grow() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(0.01).init(&net.head)?;
        let x = Tensor::arange(&device, 64).cast(DType::F32).reshape([4, 1, 4, 4]);
        let mut bytes = Vec::new();
        for i in 1..=12 {
            opt.step(&net.loss(&x))?;
            assert_eq!(
                (net.norm.running_mean.as_ref().unwrap().version(), net.norm.running_var.as_ref().unwrap().version()),
                (i, i),
                "{device}"
            );
            device.synchronize()?;
            bytes.push(device.stats().device_bytes);
        }
        // Other tests allocate on the shared GPU.
        if device.properties().name.contains("cpu") {
            assert_eq!(bytes[5], bytes[11], "{device}");
        }
        let want = net.norm.forward(&net.conv.forward(&x)).shape().to_vec();
        assert_eq!(want, [4, 2, 2, 2]);
    }
    Ok(())
}

/// Each thread writes what it has set; an optimizer also what its own module has, whoever set it.
#[test]
fn what_another_thread_has_set_is_written_by_the_step_of_its_module() -> Result<()> {
    for device in devices() {
        let (net, foreign) = (Pair::new(&device, &[1.0], &[1.0])?, Pair::new(&device, &[1.0], &[1.0])?);
        let (of_net, of_foreign) = (sgd(1.0).init(&net)?, sgd(1.0).init(&foreign)?);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                net.s.set(&(net.s.tensor() + 1.0));
                foreign.s.set(&(foreign.s.tensor() + 1.0));
            });
        });
        // It shows everywhere.
        assert_values(&foreign.s.tensor(), &[2.0]);
        down(&of_net, &[&net.p])?;
        assert_eq!((net.s.version(), foreign.s.version()), (1, 0), "{device}");
        down(&of_foreign, &[&foreign.p])?;
        assert_eq!((net.s.version(), foreign.s.version()), (1, 1), "{device}");
        assert_values(&net.s.tensor(), &[2.0]);
        assert_values(&foreign.s.tensor(), &[2.0]);
    }
    Ok(())
}

/// A state whose value cannot be had makes one step fail, with the reason; the step after is none the worse.
#[test]
fn a_value_that_cannot_be_had_fails_one_step() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[1.0])?;
        let opt = sgd(0.5).init(&net)?;
        let line = line!() + 1;
        net.s.set(&Tensor::ones(&device, [3]));
        refuses(down(&opt, &[&net.p]), line, &["set", "[1]", "[3]", "'s'"]);
        assert_values(&net.p.tensor(), &[1.0]);
        down(&opt, &[&net.p])?;
        assert_values(&net.p.tensor(), &[0.5]);
        assert_values(&net.s.tensor(), &[1.0]);
        let (bad, line) =
            (net.s.tensor() + Tensor::ones(&device, [2, 2]).matmul(&Tensor::ones(&device, [3, 1])), line!());
        net.s.set(&bad);
        refuses(down(&opt, &[&net.p]), line, &["matmul", "[2, 2]", "[3, 1]"]);
        down(&opt, &[&net.p])?;
        assert_values(&net.p.tensor(), &[0.0]);
        assert_values(&net.s.tensor(), &[1.0]);
        // Also where it is seen before: by whoever reads it.
        net.s.set(&bad);
        refuses(net.s.tensor().to_vec::<f32>(), line, &["matmul"]);
        net.s.set(&vector(&device, &[4.0]));
        down(&opt, &[&net.p])?;
        assert_values(&net.s.tensor(), &[4.0]);
    }
    Ok(())
}

/// A module that is dropped takes what was set with it, and a device's steps write that device's states alone.
#[test]
fn dropped_modules_and_other_devices_are_left_alone() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0], &[1.0])?;
        let opt = sgd(0.5).init(&net)?;
        let elsewhere = state(&Device::strict(), &[1.0])?;
        elsewhere.set(&(elsewhere.tensor() + 1.0));
        {
            let gone = Pair::new(&device, &[1.0], &[1.0])?;
            gone.s.set(&(gone.s.tensor() + net.p.tensor()));
            net.s.set(&(gone.s.tensor() * 10.0));
        }
        down(&opt, &[&net.p])?;
        assert_values(&net.s.tensor(), &[20.0]);
        assert_eq!(elsewhere.version(), 0);
        assert_values(&elsewhere.tensor(), &[2.0]);
        let there = param(&elsewhere.tensor().device().clone(), &[1.0])?;
        down(&sgd(0.5).init(&there)?, &[&there])?;
        assert_eq!(elsewhere.version(), 1);
    }
    Ok(())
}
