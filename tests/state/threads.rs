//! Several threads: one records while another steps; models are dropped while steps are in flight.

use std::sync::{
    Barrier,
    atomic::{AtomicBool, Ordering},
};

use thalweg::prelude::*;

use super::{Net, Pair, assert_values, devices, down, param, rows, sgd};

/// What one thread reads while another steps is one version's, whole, or an error that says which parameter was written.
#[test]
fn a_reader_sees_whole_versions() -> Result<()> {
    for device in devices() {
        let n = 40_000;
        let p = Param::new(Tensor::zeros(&device, [n]))?;
        let opt = sgd(1.0).init(&p)?;
        let (done, start) = (AtomicBool::new(false), Barrier::new(2));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                start.wait();
                let mut seen = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    // By a run, and straight from its memory.
                    let twice =
                        (p.tensor().detach() * 2.0).to_vec::<f32>().map(|v| v.iter().map(|v| v / 2.0).collect());
                    for read in [twice, p.tensor().to_vec::<f32>()] {
                        match read {
                            Ok(values) => {
                                let values: Vec<f32> = values;
                                let whole = values.iter().all(|v| *v == values[0]);
                                assert!(whole, "a mixture of versions on {device}");
                                seen.push(values[0]);
                            }
                            Err(error) => assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}"),
                        }
                    }
                }
                assert!(seen.windows(2).all(|pair| pair[1] <= pair[0]), "time goes one way on {device}");
            });
            start.wait();
            for _ in 0..60 {
                down(&opt, &[&p]).expect("a step");
            }
            done.store(true, Ordering::Relaxed);
            reader.join().expect("the reader");
        });
        assert_values(&p.tensor().slice(0, ..1), &[-60.0]);
    }
    Ok(())
}

/// A loss recorded on one thread is stepped on another; one that is late is an error and loses nothing.
#[test]
fn one_thread_records_and_another_steps() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[0.0], &[0.0])?;
        let opt = sgd(1.0).init(&net)?;
        let (send, receive) = std::sync::mpsc::sync_channel::<Tensor>(1);
        let taken = std::thread::scope(|scope| {
            let stepper = scope.spawn(|| {
                let mut taken = 0;
                for loss in receive {
                    match opt.step(&loss) {
                        Ok(()) => taken += 1,
                        Err(error) => assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}"),
                    }
                }
                taken
            });
            for _ in 0..40 {
                send.send(net.p.tensor().sum(..)).expect("a listener");
            }
            drop(send);
            stepper.join().expect("the stepper")
        });
        assert!(taken > 0);
        assert_eq!(opt.report()?.steps, taken, "{device}");
        assert_values(&net.p.tensor(), &[-(taken as f64)]);
    }
    Ok(())
}

/// Two threads, each with its own optimizer of the same parameters: no step that was taken is lost.
#[test]
fn two_threads_step_the_same_parameters() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0; 100])?;
        let taken: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let opt = sgd(1.0).init(&p).expect("an optimizer");
                        for _ in 0..30 {
                            match down(&opt, &[&p]) {
                                Ok(()) => {}
                                Err(error) => assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}"),
                            }
                        }
                        opt.report().expect("a report").steps
                    })
                })
                .collect();
            workers.into_iter().map(|w| w.join().expect("a worker")).sum()
        });
        assert!(taken >= 1);
        assert_values(&p.tensor(), &[-(taken as f64); 100]);
    }
    Ok(())
}

/// The same while one of them replays a compiled step, and the other's steps move the parameters to another buffer and back.
#[test]
fn a_compiled_step_shares_its_parameters_with_another_thread() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[0.0; 100])?;
        let (compiled, plain) = (sgd(1.0).init(&p)?, sgd(1.0).init(&p)?);
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            let replays = scope.spawn(|| {
                let one = super::vector(&device, &[1.0]);
                let mut step = compile(|[x]: [Tensor; 1]| {
                    compiled.step(&(p.tensor() * &x).sum(..))?;
                    Ok([x + 1.0])
                });
                start.wait();
                for _ in 0..40 {
                    if let Err(error) = step.call([&one]) {
                        assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}");
                    }
                }
            });
            start.wait();
            for _ in 0..40 {
                if let Err(error) = down(&plain, &[&p]) {
                    assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{error}");
                }
            }
            replays.join().expect("the replays");
        });
        let taken = compiled.report()?.steps + plain.report()?.steps;
        assert_values(&p.tensor(), &[-(taken as f64); 100]);
    }
    Ok(())
}

/// Each thread trains a model of its own on one device.
#[test]
fn threads_with_models_of_their_own_do_not_meet() -> Result<()> {
    for device in devices() {
        let train = |seed: u64| {
            let net = Net::new(&device)?;
            let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
            for i in 0..6 {
                opt.step(&net.loss(&rows(&device, seed + i)))?;
            }
            super::snapshot(&[&net, &opt])
        };
        let wanted = [train(0)?, train(100)?];
        std::thread::scope(|scope| {
            let workers = [0, 100].map(|seed| scope.spawn(move || train(seed)));
            for (worker, want) in workers.into_iter().zip(&wanted) {
                let got = worker.join().expect("a worker")?;
                assert_eq!(super::changed(want, &got), [""; 0], "{device}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Model, optimizer and batch go while their steps are in flight; what was kept can be read.
#[test]
fn what_is_dropped_in_flight_does_no_harm() -> Result<()> {
    for device in devices() {
        for _ in 0..4 {
            let net = Net::new(&device)?;
            let opt = AdamW { lr: 0.1, ..AdamW::default() }.init(&net)?;
            let (mut losses, weight) = (Vec::new(), net.head.weight.tensor().copy()?);
            for i in 0..3 {
                let loss = net.loss(&rows(&device, i));
                opt.step(&loss)?;
                losses.push(loss);
            }
            let (last, lazy) = (net.head.weight.tensor(), net.head.weight.tensor() * 2.0);
            let kept = net.head.clone();
            drop(opt);
            drop(net);
            let fresh = Net::new(&device)?;
            down(&sgd(0.1).init(&fresh)?, &[&fresh.head.weight])?;
            assert!(losses.iter().all(|l| l.item().is_ok_and(f64::is_finite)), "{device}");
            let read = last.to_vec::<f64>()?;
            assert_eq!(kept.weight.tensor().to_vec::<f64>()?, read);
            assert_values(&lazy, &read.iter().map(|v| v * 2.0).collect::<Vec<_>>());
            assert!(weight.to_vec::<f64>()? != read);
            // Of what was kept, training goes on.
            drop(losses);
            down(&sgd(1.0).init(&kept)?, &[&kept.weight])?;
            assert_values(&kept.weight.tensor(), &read.iter().map(|v| v - 1.0).collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// Averages, compiled functions and gradients outlive the model that they were made of.
#[test]
fn what_outlives_a_model_keeps_it_or_its_values() -> Result<()> {
    for device in devices() {
        let (grads, average, mut forward, x) = {
            let net = Net::new(&device)?;
            let x = rows(&device, 1);
            let grads = net.loss(&x).backward()?;
            let average = thalweg::optim::Average::exponential(&net, 0.5)?;
            let mut forward = compile(move |[x]: [Tensor; 1]| Ok([net.forward(&x)]));
            forward.call([&x]).map(drop)?;
            (grads, average, forward, x)
        };
        let first = forward.call([&x])?[0].to_vec::<f32>()?;
        average.update()?;
        assert_eq!(forward.call([&x])?[0].to_vec::<f32>()?, first);
        grads.eval()?;
        assert!(grads.iter().all(|g| g.to_vec::<f32>().is_ok()));
        average.write()?;
        assert_eq!(forward.call([&x])?[0].to_vec::<f32>()?.len(), 12);
    }
    Ok(())
}
