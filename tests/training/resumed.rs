//! A run that is stopped and gone on with gives the bits of one that was never stopped.

use std::{fs, path::PathBuf};

use thalweg::{prelude::*, train::Checkpoint};
use thalweg_graph::compile;
use thalweg_tests::{Everything, cpu, strict, test_gpu};

/// A file that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("thalweg-{name}-{}.safetensors", std::process::id())))
    }

    /// What a checkpoint is in a file.
    fn bytes(&self, run: &Checkpoint) -> Vec<u8> {
        run.save(&self.0).unwrap();
        fs::read(&self.0).unwrap()
    }

    /// Brings a run to it.
    fn load(&self, bytes: &[u8], run: &Checkpoint) {
        fs::write(&self.0, bytes).unwrap();
        run.load(&self.0).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Stops after every step of a run, and goes on in new objects.
fn stops_anywhere(device: &Device, kinds: &[usize], name: &str) {
    const STEPS: usize = 14;
    let file = Scratch::new(name);
    for kind in kinds {
        let start = || Everything::new(device, *kind, 7).unwrap();
        let go_on = |run: &Everything| {
            while run.steps() < STEPS {
                run.step().unwrap();
            }
        };
        let never = start();
        go_on(&never);
        let want = file.bytes(&never.checkpoint());
        let often = start();
        let mut kept = Vec::new();
        for _ in 0..STEPS {
            kept.push(file.bytes(&often.checkpoint()));
            often.step().unwrap();
        }
        assert!(file.bytes(&often.checkpoint()) == want, "{device}, kind {kind}: saving changed something");
        for (step, bytes) in kept.iter().enumerate() {
            let run = start();
            file.load(bytes, &run.checkpoint());
            assert_eq!(run.steps(), step);
            assert!(
                file.bytes(&run.checkpoint()) == *bytes,
                "{device}, kind {kind}: not all of step {step} was loaded"
            );
            go_on(&run);
            assert!(file.bytes(&run.checkpoint()) == want, "{device}, kind {kind}: stopped after step {step}");
        }
        // Back into a run that has gone on.
        file.load(&kept[3], &often.checkpoint());
        go_on(&often);
        assert!(file.bytes(&often.checkpoint()) == want, "{device}, kind {kind}: gone back");
    }
}

#[test]
fn on_the_reference() {
    stops_anywhere(&strict(), &[0, 1, 2], "resumed-strict");
    stops_anywhere(&strict().with_precision(Precision::MixedF16), &[0], "resumed-strict-f16");
}

#[test]
fn on_the_cpu() {
    stops_anywhere(&cpu(), &[0, 1, 2], "resumed-cpu");
    stops_anywhere(&cpu().with_precision(Precision::MixedF16), &[0, 1, 2], "resumed-cpu-f16");
}

#[test]
fn on_a_gpu() {
    let gpu = test_gpu!();
    stops_anywhere(&gpu, &[0, 1], "resumed-gpu");
    stops_anywhere(&gpu.with_precision(Precision::MixedF16), &[2], "resumed-gpu-f16");
}

/// Another seed, other room in the optimizer, other flags: a compiled step that was recorded before meets what is loaded.
#[test]
fn compiled_steps_meet_what_is_loaded() {
    #[derive(Module)]
    struct Net {
        dropout: Dropout,
        body: Linear,
        head: Linear,
    }
    for device in [strict(), cpu(), test_gpu!()] {
        let file = Scratch::new("resumed-compiled");
        let make = |seed: u64, frozen: bool| {
            let rng = &mut Rng::seed(seed);
            let (dropout, body) =
                (Dropout::new(0.5).init(&device, rng).unwrap(), Linear::new(6, 5).init(&device, rng).unwrap());
            let net = Net { dropout, body, head: Linear::new(5, 3).init(&device, rng).unwrap() };
            net.body.freeze(frozen);
            let opt = Adam { lr: 0.1, ..Adam::default() }.init(&net).unwrap().clip_norm(0.1);
            net.body.freeze(false);
            (net, opt)
        };
        let batch = |step: usize| {
            let x: Vec<f32> = (0..24).map(|i| ((i * 7 + step * 5) % 11) as f32 / 5.0 - 1.0).collect();
            let y: Vec<i32> = (0..4).map(|i| ((i + step) % 3) as i32).collect();
            [Tensor::from_slice(&device, &x, [4, 6]), Tensor::from_slice(&device, &y, [4])]
        };
        let plain = |net: &Net, opt: &Optimizer, [x, y]: [Tensor; 2]| {
            let loss = net.head.forward(&net.body.forward(&net.dropout.forward(&x)).relu()).cross_entropy(&y);
            opt.step(&loss).map(|()| [loss])
        };
        fn part<'a>(net: &'a Net, opt: &'a Optimizer) -> Checkpoint<'a> {
            Checkpoint::new().part("model", net).part("optimizer", opt)
        }
        let (net, opt) = make(1, true);
        (0..2).for_each(|step| drop(plain(&net, &opt, batch(step)).unwrap()));
        let kept = file.bytes(&part(&net, &opt));
        (2..6).for_each(|step| drop(plain(&net, &opt, batch(step)).unwrap()));
        let want = file.bytes(&part(&net, &opt));

        let (net, opt) = make(2, false);
        let mut step = compile(|inputs: [Tensor; 2]| plain(&net, &opt, inputs));
        let mut call = |i: usize| drop(step.call(batch(i).each_ref()).unwrap());
        (0..3).for_each(&mut call);
        file.load(&kept, &part(&net, &opt));
        (2..6).for_each(&mut call);
        assert!(file.bytes(&part(&net, &opt)) == want, "{device}");
    }
}

/// Rates are looked up in a ring of 64, refilled every 32 steps: wherever a run is gone on with, and however many steps were skipped
/// before, they are those of its count.
#[test]
fn schedules_go_on() {
    const STEPS: usize = 110;
    for device in [strict(), cpu(), test_gpu!()] {
        let file = Scratch::new("resumed-schedule");
        let start = || {
            let net = Param::new(Tensor::zeros(&device, [1])).unwrap();
            let opt = Sgd::default().init(&net).unwrap().schedule(|step| 0.1 / (1.0 + step as f64));
            (net, opt)
        };
        // What a step takes from the parameter is its rate. Every ninth is skipped.
        let step = |(net, opt): &(Param, Optimizer), i: usize| {
            let x = if i % 9 == 4 { f64::NAN } else { 1.0 };
            opt.step(&(net.tensor() * x).sum(..)).unwrap();
        };
        fn part((net, opt): &(Param, Optimizer)) -> Checkpoint<'_> {
            Checkpoint::new().part("net", net).part("opt", opt)
        }
        let never = start();
        let mut kept = Vec::new();
        for i in 0..STEPS {
            if [0, 1, 10, 31, 32, 33, 40, 63, 64, 65, 70, 100].contains(&i) {
                kept.push((i, file.bytes(&part(&never))));
            }
            step(&never, i);
        }
        let want = file.bytes(&part(&never));
        let taken = (0..STEPS).filter(|i| i % 9 != 4).count();
        assert_eq!(never.1.report().unwrap().steps, taken as u64);
        let sum: f64 = (0..taken).map(|step| 0.1 / (1.0 + step as f64)).sum();
        assert!((never.0.tensor().item().unwrap() + sum).abs() < 1e-5, "{device}");
        for (at, bytes) in kept {
            let again = start();
            file.load(&bytes, &part(&again));
            (at..STEPS).for_each(|i| step(&again, i));
            assert!(file.bytes(&part(&again)) == want, "{device}: stopped after step {at}");
        }
    }
}
