//! A variable shares memory with nothing but its clones.

use thalweg::prelude::*;

use super::{assert_same, assert_values, devices, down, param, refuses, sgd, state, vector};

/// A view or a value that is not a copy in memory, of a tensor of four.
type View = (&'static str, fn(&Tensor) -> Tensor);

const VIEWS: &[View] = &[
    ("itself", |t| t.clone()),
    ("detach", |t| t.detach()),
    ("reshape", |t| t.reshape([2, 2]).reshape([4])),
    ("a whole slice", |t| t.slice(0, ..)),
    ("· 1", |t| t * 1.0),
    ("+ 0", |t| t + 0.0),
    ("cast", |t| t.cast(DType::F32)),
    ("concat of one", |t| Tensor::concat(std::slice::from_ref(t), 0)),
    ("track", |t| t.track()),
    ("broadcast", |t| t.broadcast_to([4])),
    ("permute twice", |t| t.reshape([2, 2]).t().t().reshape([4])),
];

/// Of a parameter, of a state, and of a plain tensor: what is made of them keeps its value, and so do they.
#[test]
fn what_is_made_of_a_tensor_goes_its_own_way() -> Result<()> {
    for device in devices() {
        for (name, view) in VIEWS {
            let (online, kept, plain) =
                (param(&device, &[1.0; 4])?, state(&device, &[1.0; 4])?, vector(&device, &[1.0; 4]));
            let opt = sgd(0.5).init(&online)?;
            let of = [online.tensor(), kept.tensor(), plain.clone()].map(|t| view(&t));
            if *name != "track" {
                Tensor::eval_all(&of)?;
            }
            let params = of.iter().map(|t| Param::new(t.clone())).collect::<Result<Vec<_>>>()?;
            let states = of.iter().map(|t| State::new(t.clone())).collect::<Result<Vec<_>>>()?;
            drop(of);
            down(&opt, &[&online])?;
            kept.write(&vector(&device, &[7.0; 4]))?;
            for made in params.iter().map(Param::tensor).chain(states.iter().map(State::tensor)) {
                let got = made.to_vec::<f32>()?;
                assert_eq!(got, [1.0; 4], "{name} on {device}");
            }
            params[0].set(&vector(&device, &[5.0; 4]))?;
            states[1].write(&vector(&device, &[6.0; 4]))?;
            params[2].set(&vector(&device, &[8.0; 4]))?;
            assert_values(&online.tensor(), &[0.5; 4]);
            assert_values(&kept.tensor(), &[7.0; 4]);
            assert_values(&plain, &[1.0; 4]);
            assert_values(&params[1].tensor(), &[1.0; 4]);
            assert_values(&states[2].tensor(), &[1.0; 4]);
        }
    }
    Ok(())
}

#[test]
fn one_first_value_serves_many() -> Result<()> {
    for device in devices() {
        let one = vector(&device, &[1.0, 2.0]);
        let params = [(); 3].map(|()| Param::new(one.clone()).expect("a parameter"));
        let states = [(); 3].map(|()| State::new(one.clone()).expect("a state"));
        let opt = sgd(1.0).init(&params[0])?;
        down(&opt, &[&params[0]])?;
        params[1].set(&vector(&device, &[7.0, 7.0]))?;
        states[0].write(&vector(&device, &[8.0, 8.0]))?;
        states[1].set(&(states[1].tensor() * 3.0));
        let (wanted_p, wanted_s) = ([[0.0, 1.0], [7.0, 7.0], [1.0, 2.0]], [[8.0, 8.0], [3.0, 6.0], [1.0, 2.0]]);
        down(&opt, &[&params[0]])?;
        assert_values(&params[0].tensor(), &[-1.0, 0.0]);
        for (p, want) in params.iter().zip(wanted_p).skip(1) {
            assert_values(&p.tensor(), &want);
        }
        for (s, want) in states.iter().zip(wanted_s) {
            assert_values(&s.tensor(), &want);
        }
        assert_values(&one, &[1.0, 2.0]);
    }
    Ok(())
}

/// Parts of one buffer, and a number repeated.
#[test]
fn slices_of_one_tensor_are_parted() -> Result<()> {
    for device in devices() {
        let whole = vector(&device, &[1.0, 2.0, 3.0, 4.0]);
        whole.eval()?;
        let parts =
            [whole.slice(0, ..2), whole.slice(0, 1..3), whole.slice(0, 2..), whole.select(0, 0).broadcast_to([2])];
        let params = parts.map(|t| Param::new(t).expect("a parameter"));
        let opt = sgd(1.0).init(&params[..].iter().collect::<Vec<_>>())?;
        down(&opt, &params.iter().collect::<Vec<_>>())?;
        for (p, want) in params.iter().zip([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [0.0, 0.0]]) {
            assert_values(&p.tensor(), &want);
        }
        assert_values(&whole, &[1.0, 2.0, 3.0, 4.0]);
    }
    Ok(())
}

#[test]
fn set_and_write_copy() -> Result<()> {
    for device in devices() {
        let (a, b, s) = (param(&device, &[1.0])?, param(&device, &[2.0])?, state(&device, &[3.0])?);
        let opt = sgd(0.5).init(&(&a, &s))?;
        let value = vector(&device, &[9.0]);
        a.set(&value)?;
        s.write(&value)?;
        down(&opt, &[&a])?;
        s.write(&vector(&device, &[4.0]))?;
        assert_values(&value, &[9.0]);
        assert_values(&a.tensor(), &[8.5]);
        // Of one another, in both ways of writing.
        b.set(&a.tensor())?;
        s.set(&a.tensor());
        down(&opt, &[&a])?;
        assert_values(&b.tensor(), &[8.5]);
        assert_values(&s.tensor(), &[8.5]);
        a.set(&s.tensor())?;
        s.write(&(s.tensor() + 1.0))?;
        assert_values(&a.tensor(), &[8.5]);
        assert_values(&s.tensor(), &[9.5]);
        // Of itself.
        a.set(&a.tensor())?;
        s.write(&s.tensor())?;
        s.set(&s.tensor());
        down(&opt, &[&a])?;
        assert_values(&a.tensor(), &[8.0]);
        assert_values(&s.tensor(), &[9.5]);
    }
    Ok(())
}

#[derive(Module)]
struct Averaged {
    p: Param,
    mean: State,
}

/// A running mean that starts as the weight, and reads it before it is written.
#[test]
fn a_running_mean_of_weights_starts_as_them() -> Result<()> {
    for device in devices() {
        let p = param(&device, &[1.0])?;
        let opt = sgd(0.5).init(&p)?;
        let net = Averaged { mean: State::new(p.tensor())?, p };
        for _ in 0..2 {
            let loss = net.p.tensor().sum(..);
            net.mean.set(&(net.mean.tensor() * 0.9 + net.p.tensor() * 0.1));
            opt.step(&loss)?;
        }
        assert_values(&net.p.tensor(), &[0.0]);
        assert_values(&net.mean.tensor(), &[0.95]);
    }
    Ok(())
}

#[test]
fn an_input_of_a_compiled_step_may_be_what_the_step_writes() -> Result<()> {
    for device in devices() {
        let (p, s) = (param(&device, &[1.0])?, state(&device, &[2.0])?);
        let opt = sgd(0.5).init(&(&p, &s))?;
        let mut step = compile(|[x, y]: [Tensor; 2]| {
            s.set(&(s.tensor() + &x + &y));
            opt.step(&(p.tensor() * &x).sum(..))?;
            Ok([&x + &y, x])
        });
        let (mut theta, mut kept) = (1.0, 2.0);
        for _ in 0..4 {
            let [sum, x] = step.call([&p.tensor(), &s.tensor()])?;
            assert_values(&sum, &[theta + kept]);
            assert_values(&x, &[theta]);
            (theta, kept) = (theta - 0.5 * theta, kept + theta + kept);
            assert_values(&p.tensor(), &[theta]);
            assert_values(&s.tensor(), &[kept]);
        }
    }
    Ok(())
}

#[test]
fn clones_are_tied() -> Result<()> {
    for device in devices() {
        let (p, s) = (param(&device, &[1.0])?, state(&device, &[1.0])?);
        let (q, t) = (p.clone(), s.clone());
        let opt = sgd(0.5).init(&(&q, &t))?;
        t.set(&(s.tensor() + 1.0));
        down(&opt, &[&p])?;
        assert!(p.same(&q) && s.same(&t));
        for got in [&p, &q] {
            assert_values(&got.tensor(), &[0.5]);
        }
        for got in [&s, &t] {
            assert_values(&got.tensor(), &[2.0]);
        }
    }
    Ok(())
}

#[test]
fn what_is_no_value_for_a_variable_is_refused_by_its_name() -> Result<()> {
    for device in devices() {
        let net = super::Net::new(&device)?;
        net.count();
        let (wide, ints) = (Tensor::zeros(&device, [5]), Tensor::zeros(&device, [2]).cast(DType::I32));
        let bias = net.head.bias.clone().expect("a bias");
        let before = bias.tensor().copy()?;
        refuses(bias.set(&wide), line!(), &["set", "[2]", "[5]", "'head.bias'"]);
        refuses(bias.set(&ints), line!(), &["set", "f32", "i32", "'head.bias'"]);
        refuses(Param::new(ints.clone()), line!(), &["param", "i32", "State"]);
        let s = state(&device, &[1.0])?;
        refuses(s.write(&wide), line!(), &["set", "[1]", "[5]"]);
        assert_values(&s.tensor(), &[1.0]);
        assert_same(&bias.tensor().detach(), &before, "the bias");
    }
    Ok(())
}
