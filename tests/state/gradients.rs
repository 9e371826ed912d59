//! Gradients are values: looked up, added, changed, made.

use thalweg::{functional, prelude::*};

use super::{Net, Pair, assert_same, assert_values, devices, param, refuses, rows, sgd, vector};

#[test]
fn they_are_found_whatever_happens_to_the_parameter() -> Result<()> {
    for device in devices() {
        let net = Pair::new(&device, &[1.0, 2.0], &[0.0])?;
        let grads = net.p.tensor().square().sum(..).backward()?;
        let want = [2.0, 4.0];
        assert_values(grads.get(&net.p).expect("by the parameter"), &want);
        assert_values(grads.get(&net.p.tensor()).expect("by its tensor"), &want);
        net.freeze(true);
        net.eval();
        (&net, &net).count();
        let opt = sgd(0.5).init(&(net.p.clone(), param(&device, &[1.0])?));
        assert!(opt.is_ok());
        assert_values(grads.get(&net.p).expect("after all that"), &want);
        assert_values(grads.get(&net.p.tensor()).expect("after all that"), &want);
        assert_eq!(grads.missing(&net), [""; 0]);
        let other = param(&device, &[1.0])?;
        assert!(grads.get(&other).is_none());
        assert_eq!(grads.missing(&(&net, &other)), ["1"]);
    }
    Ok(())
}

#[test]
fn they_are_added_and_changed() -> Result<()> {
    for device in devices() {
        let (p, q) = (param(&device, &[1.0])?, param(&device, &[2.0])?);
        let a = (p.tensor() * q.tensor()).sum(..).backward()?;
        let b = p.tensor().square().sum(..).backward()?;
        let sum = a.clone() + b;
        assert_eq!((sum.len(), a.len()), (2, 2));
        assert_values(sum.get(&p).expect("a gradient"), &[2.0 + 2.0]);
        assert_values(sum.get(&q).expect("a gradient"), &[1.0]);
        let mut changed = sum.map(|g| g * 0.5);
        assert_values(changed.get(&p).expect("a gradient"), &[2.0]);
        assert_values(&changed.remove(&q).expect("a gradient"), &[0.5]);
        assert_eq!((changed.len(), changed.iter().count(), changed.is_empty()), (1, 1, false));
        changed.insert(&q, &vector(&device, &[8.0]))?;
        changed.eval()?;
        assert!(changed.iter().all(Tensor::is_evaluated));
        let opt = sgd(0.25).init(&(&p, &q))?;
        opt.apply(&changed)?;
        assert_values(&p.tensor(), &[0.5]);
        assert_values(&q.tensor(), &[0.0]);
        // The sum of two passes is a pass of its own, and as old as the older one.
        let (first, x) = (p.tensor().sum(..).backward()?, vector(&device, &[1.0]));
        opt.step(&(p.tensor() * &x).sum(..))?;
        let second = p.tensor().sum(..).backward()?;
        refuses(opt.apply(&(first.clone() + second.clone())), line!(), &["version 1", "version 2"]);
        refuses(opt.apply(&(second.clone() + first)), line!(), &["version 1", "version 2"]);
        opt.apply(&(second.clone() + second))?;
        assert_values(&p.tensor(), &[0.25 - 0.5]);
    }
    Ok(())
}

/// Gradients from elsewhere: evolution strategies, a file, another process.
#[test]
fn they_are_made_by_hand() -> Result<()> {
    for device in devices() {
        let net = Net::new(&device)?;
        let opt = sgd(1.0).init(&net)?;
        let before = net.head.weight.tensor().copy()?;
        for _ in 0..2 {
            let mut grads = Grads::new();
            grads.insert(&net.head.weight, &Tensor::full(&device, 0.25, [2, 4], DType::F32))?;
            assert_eq!(grads.missing(&net), ["body.weight", "body.bias", "head.bias"]);
            opt.apply(&grads)?;
        }
        assert_same(&net.head.weight.tensor().detach(), &(before - 0.25 - 0.25), "the weight");
        // They belong to the version of when they were inserted.
        let mut grads = Grads::new();
        grads.insert(&net.head.weight, &Tensor::zeros(&device, [2, 4]))?;
        net.head.weight.set(&Tensor::zeros(&device, [2, 4]))?;
        refuses(opt.apply(&grads), line!(), &["'head.weight'", "version 2", "version 3"]);
        // Of a tracked tensor, by the tensor.
        let x = rows(&device, 1).track();
        let mut grads = net.loss(&x).backward()?;
        assert_eq!(grads.get(&x).expect("a gradient").shape(), [6, 3]);
        grads.insert(&x, &Tensor::zeros(&device, [6, 3]))?;
        assert_values(grads.get(&x).expect("a gradient"), &[0.0; 18]);
    }
    Ok(())
}

/// Held over the step that applied them, they are of before it; a gradient of a gradient is of its own graph.
#[test]
fn they_keep_over_the_step() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[2.0])?;
        let opt = sgd(1.0).init(&p)?;
        let grads = (p.tensor().square() * p.tensor()).sum(..).backward()?;
        let first = grads.get(&p).expect("a gradient").clone();
        let second = first.sum(..).backward()?;
        opt.apply(&grads)?;
        assert_values(&first, &[12.0]);
        assert_values(&p.tensor(), &[-10.0]);
        let error = second.get(&p).expect("a gradient").to_vec::<f32>();
        match error {
            Ok(got) => assert_eq!(got, [12.0], "{device}"),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::Stale { .. }), "{device}: {error}"),
        }
        // Computed in time, it keeps.
        let grads = (p.tensor().square() * p.tensor()).sum(..).backward()?;
        let second = grads.get(&p).expect("a gradient").sum(..).backward()?;
        second.eval()?;
        opt.apply(&grads)?;
        assert_values(second.get(&p).expect("a gradient"), &[-60.0]);
    }
    Ok(())
}

/// A penalty on the gradient: the step goes through two passes.
#[test]
fn a_penalty_on_a_gradient_is_stepped() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[2.0])?;
        let opt = sgd(0.01).init(&p)?;
        let x = vector(&device, &[3.0]).track();
        let y = (p.tensor() * x.square()).sum(..);
        let slope = y.backward()?.get(&x).expect("a slope").clone();
        // (2 p x - 1)², whose slope in p is 2 (2 p x - 1) 2 x.
        opt.step(&(slope - 1.0).square().sum(..))?;
        assert_values(&p.tensor(), &[2.0 - 0.01 * 2.0 * 11.0 * 6.0]);
        let hvp = functional::hvp(
            |w| (p.tensor() * w[0].square()).sum(..),
            &[vector(&device, &[1.0])],
            &[vector(&device, &[1.0])],
        )?;
        assert_values(&hvp[0], &[2.0 * (2.0 - 1.32)]);
    }
    Ok(())
}

/// Of all parameters, also of those that the step leaves alone.
#[test]
fn they_can_be_read_after_they_were_applied() -> Result<()> {
    for device in devices() {
        for frozen in [false, true] {
            let net = (param(&device, &[3.0])?, param(&device, &[2.0])?);
            let opt = sgd(0.5).init(&net)?;
            let grads = (net.0.tensor() * net.1.tensor()).sum(..).backward()?;
            net.1.freeze(frozen);
            opt.apply(&grads)?;
            assert_values(&net.0.tensor(), &[2.0]);
            assert_values(grads.get(&net.0).expect("a gradient"), &[2.0]);
            assert_values(grads.get(&net.1).expect("a gradient"), &[3.0]);
        }
    }
    Ok(())
}
