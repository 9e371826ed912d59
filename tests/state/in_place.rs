//! A variable's next value may be any function of the old one, of itself at other places, and of other variables: everything is
//! read before anything is written.

use thalweg::{optim::Step as RuleStep, prelude::*};

use super::{assert_same, assert_values, devices, down, param, sgd, state, vector};

/// A new value of the same shape.
type Next = (&'static str, fn(&Tensor) -> Tensor);

const OF_A_VECTOR: &[Next] = &[
    ("flip", |x| x.flip(0)),
    ("roll", |x| x.roll(1, 0)),
    ("roll back", |x| x.roll(-1, 0)),
    ("queue in front", |x| joined(x, x.slice(0, ..-4), true)),
    ("queue at the end", |x| joined(x, x.slice(0, 4..), false)),
    ("sort", |x| x.sort(0, true).0),
    ("gather", |x| x.gather(0, &places(x))),
    ("index_select", |x| x.index_select(0, &places(x))),
    ("scatter", |x| x.scatter(0, &places(x), x)),
    ("diff", |x| x.diff(1, 0).pad(&[(1, 0)], 0.0)),
    ("sum of neighbours", |x| x + x.roll(1, 0) + x.roll(-1, 0)),
    ("x + flip", |x| x + x.flip(0) * 0.5),
    ("where", |x| x.lt(0.0).where_(x.flip(0), x)),
    ("softmax", |x| x.softmax(0)),
    ("minus mean", |x| x - x.mean(..)),
    ("times the first", |x| x * x.select(0, 0)),
    ("times the last", |x| x * x.select(0, -1)),
    ("cumsum", |x| x.cumsum(0)),
    ("strided", |x| Tensor::concat(&[x.slice_step(0, .., 2), x.slice_step(0, 1.., 2)], 0)),
    ("+ 1", |x| x + 1.0),
];

const OF_A_MATRIX: &[Next] = &[
    ("t", |x| x.t()),
    ("x + t", |x| x + x.t() * 0.5),
    ("matmul", |x| x.matmul(x) * 0.1),
    ("matmul of t", |x| x.t().matmul(x) * 0.1),
    ("matmul and add", |x| x + x.matmul(x) * 0.1),
    ("flip rows", |x| x.flip(0)),
    ("flip both", |x| x.flip([0, 1])),
    ("roll rows", |x| x.roll(3, 0)),
    ("softmax", |x| x.softmax(1)),
    ("softmax down", |x| x.softmax(0)),
    ("layer norm", |x| (x - x.mean_keepdim(1)) * (x.var_keepdim(1, 0) + 1e-5).rsqrt()),
    ("reshape of t", |x| x.t().reshape([x.shape()[0] as isize, -1])),
    ("conv", |x| smoothed(x)),
    ("tril", |x| x.tril(0)),
];

fn joined(x: &Tensor, rest: Tensor, front: bool) -> Tensor {
    let new = Tensor::full(x.device(), -1.0, [4], x.dtype());
    let parts = if front { [new, rest] } else { [rest, new] };
    Tensor::concat(&parts, 0)
}

/// A permutation.
fn places(x: &Tensor) -> Tensor {
    let n = x.count() as i32;
    let ids: Vec<i32> = (0..n).map(|i| (i * 7 + 3) % n).collect();
    Tensor::from_slice(x.device(), &ids, [ids.len()])
}

fn smoothed(x: &Tensor) -> Tensor {
    let [h, w] = x.dims::<2>().expect("a matrix");
    let kernel = Tensor::full(x.device(), 1.0 / 9.0, [1, 1, 3, 3], x.dtype());
    x.reshape([1, 1, h, w])
        .conv2d(&kernel, &ConvConfig { padding: vec![1, 1], ..ConvConfig::default() })
        .reshape([h, w])
}

fn data(device: &Device, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
    Tensor::from_slice(device, &values, shape)
}

/// All ways of writing a variable, by the same function, each compared with the function of a value that nothing writes.
fn check(device: &Device, shape: &[usize], name: &str, next: fn(&Tensor) -> Tensor) -> Result<()> {
    let what = |way: &str| format!("{name} of {shape:?} by {way} on {device}");
    let start = data(device, shape);
    let want = next(&start);
    want.eval()?;

    let p = Param::new(start.clone())?;
    p.set(&next(&p.tensor()))?;
    assert_same(&p.tensor().detach(), &want, &what("Param::set"));

    let s = State::new(start.clone())?;
    s.write(&next(&s.tensor()))?;
    assert_same(&s.tensor(), &want, &what("State::write"));

    // Next to a parameter in its optimizer's buffer, and by a step.
    let (s, one) = (State::new(start.clone())?, param(device, &[1.0])?);
    let opt = sgd(0.5).init(&(&p, &one, &s))?;
    s.set(&next(&s.tensor()));
    p.set(&start)?;
    down(&opt, &[&one])?;
    s.set(&(s.tensor() + 0.0));
    p.set(&next(&p.tensor()))?;
    down(&opt, &[&one])?;
    assert_same(&s.tensor(), &want, &what("a step"));
    assert_same(&p.tensor().detach(), &want, &what("Param::set in a buffer"));
    assert_values(&one.tensor(), &[0.0]);

    // In a compiled function; the second call is a replay.
    let s = State::new(start.clone())?;
    let mut step = compile(|[_x]: [Tensor; 1]| {
        let old = s.tensor();
        s.set(&next(&old));
        Ok([s.tensor() + 0.0])
    });
    step.call([&start]).map(drop)?;
    let [_] = step.call([&start])?;
    assert_same(&s.tensor(), &next(&want), &what("a compiled function"));
    Ok(())
}

#[test]
fn a_vector_is_set_to_itself_at_other_places() -> Result<()> {
    for device in devices() {
        for n in [6, 5000] {
            for (name, next) in OF_A_VECTOR {
                if n > 6 || !name.contains("queue") {
                    check(&device, &[n], name, *next)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_matrix_is_set_to_itself_at_other_places() -> Result<()> {
    for device in devices() {
        for (name, next) in OF_A_MATRIX {
            check(&device, &[72, 72], name, *next)?;
        }
    }
    Ok(())
}

/// In 16 bits, and with integers.
#[test]
fn other_dtypes_move_alike() -> Result<()> {
    for device in devices() {
        for dtype in [DType::BF16, DType::F16, DType::I32] {
            let start = (data(&device, &[3000]) * 100.0).cast(dtype);
            for (name, next) in OF_A_VECTOR.iter().filter(|(name, _)| ["flip", "roll", "sort", "gather"].contains(name))
            {
                let s = State::new(start.clone())?;
                s.write(&next(&s.tensor()))?;
                assert_same(&s.tensor(), &next(&start), &format!("{name} of {dtype} on {device}"));
            }
        }
    }
    Ok(())
}

#[derive(Module)]
struct States {
    p: Param,
    s: Vec<State>,
}

impl States {
    fn new(device: &Device, values: &[[f32; 2]]) -> Result<States> {
        Ok(States { p: param(device, &[1.0])?, s: values.iter().map(|v| state(device, v)).collect::<Result<_>>()? })
    }
}

#[test]
fn states_change_places_in_one_step() -> Result<()> {
    for device in devices() {
        let net = States::new(&device, &[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
        let opt = sgd(0.0).init(&net)?;
        let read = || net.s.iter().map(State::tensor).collect::<Vec<_>>();
        // Two exchanged.
        let old = read();
        net.s[0].set(&old[1]);
        net.s[1].set(&old[0]);
        drop(old);
        down(&opt, &[&net.p])?;
        for (s, want) in net.s.iter().zip([[3.0, 4.0], [1.0, 2.0], [5.0, 6.0]]) {
            assert_values(&s.tensor(), &want);
        }
        // Three in a ring, one of them flipped on the way, and each still reads the others' old values.
        for _ in 0..2 {
            let old = read();
            net.s[0].set(&old[2]);
            net.s[1].set(&old[0].flip(0));
            net.s[2].set(&(&old[1] + &old[0]));
            drop(old);
            down(&opt, &[&net.p])?;
        }
        // [3 4] [1 2] [5 6] → [5 6] [4 3] [4 6] → [4 6] [6 5] [9 9]
        for (s, want) in net.s.iter().zip([[4.0, 6.0], [6.0, 5.0], [9.0, 9.0]]) {
            assert_values(&s.tensor(), &want);
        }
        // Set to what another was set to, before either is written.
        net.s[0].set(&(net.s[1].tensor() * 2.0));
        net.s[1].set(&(net.s[0].tensor() + 1.0));
        net.s[0].set(&(net.s[1].tensor() - 1.0));
        down(&opt, &[&net.p])?;
        for (s, want) in net.s.iter().zip([[12.0, 10.0], [13.0, 11.0], [9.0, 9.0]]) {
            assert_values(&s.tensor(), &want);
        }
    }
    Ok(())
}

#[test]
fn states_change_places_in_a_compiled_function() -> Result<()> {
    for device in devices() {
        let net = States::new(&device, &[[1.0, 2.0], [3.0, 4.0]])?;
        let opt = sgd(0.5).init(&net)?;
        let mut step = compile(|[x]: [Tensor; 1]| {
            let [a, b] = [net.s[0].tensor(), net.s[1].tensor()];
            net.s[0].set(&(&b + &x));
            net.s[1].set(&a);
            drop((a, b));
            opt.step(&net.p.tensor().sum(..))?;
            Ok([net.s[0].tensor() * 1.0])
        });
        let x = vector(&device, &[10.0, 20.0]);
        let (mut a, mut b) = ([1.0, 2.0], [3.0, 4.0]);
        for _ in 0..4 {
            step.call([&x]).map(drop)?;
            (a, b) = ([b[0] + 10.0, b[1] + 20.0], a);
            assert_values(&net.s[0].tensor(), &a);
            assert_values(&net.s[1].tensor(), &b);
        }
        assert_values(&net.p.tensor(), &[-1.0]);
    }
    Ok(())
}

/// A state that reads the weights which the same step writes, and itself elsewhere.
#[test]
fn a_state_reads_the_weights_of_before_the_step() -> Result<()> {
    for device in devices() {
        let n = 3000;
        let (p, s) = (Param::new(data(&device, &[n]))?, State::new(data(&device, &[n]).flip(0))?);
        let opt = sgd(0.25).init(&(&p, &s))?;
        let (p0, s0) = (p.tensor().copy()?, s.tensor().copy()?);
        let loss = p.tensor().square().sum(..);
        s.set(&(s.tensor().roll(1, 0) + p.tensor().flip(0)));
        opt.step(&loss)?;
        assert_same(&s.tensor(), &(s0.roll(1, 0) + p0.flip(0)), "the state");
        assert_same(&p.tensor().detach(), &(&p0 - (&p0 * 2.0) * 0.25), "the weight");
    }
    Ok(())
}

/// θ ← θ in the opposite order, less η g; the slot takes the old θ.
#[derive(Debug)]
struct Flip;

impl Rule for Flip {
    fn lr(&self) -> f64 {
        0.5
    }
    fn slots(&self) -> Vec<thalweg::optim::Slot> {
        vec![thalweg::optim::Slot::flat("old")]
    }
    fn update(&self, s: &mut RuleStep) -> Tensor {
        let old = s.get("old");
        let p = s.params().clone();
        s.set("old", &p.flip(0));
        p.flip(0) + old.roll(1, 0) * 0.0 - s.lr() * s.grad()
    }
}

#[test]
fn a_rule_may_read_parameters_and_slots_all_over() -> Result<()> {
    for device in devices() {
        let n = 4096;
        let p = Param::new(data(&device, &[n]))?;
        let mut want = data(&device, &[n]);
        let opt = Flip.init(&p)?;
        for _ in 0..3 {
            down(&opt, &[&p])?;
            want = want.flip(0) - 0.5;
            assert_same(&p.tensor().detach(), &want, &format!("a rule that flips, on {device}"));
        }
    }
    Ok(())
}

/// A doubled state, which lies elsewhere after each write.
#[test]
fn a_doubled_state_reads_itself_all_over() -> Result<()> {
    for device in devices() {
        let s = State::new(data(&device, &[1000]))?.doubled()?;
        let one = param(&device, &[1.0])?;
        let opt = sgd(0.5).init(&(&one, &s))?;
        let mut want = data(&device, &[1000]);
        for round in 0..3 {
            s.set(&(s.tensor().flip(0) + s.tensor() * 0.5));
            match round {
                1 => s.write(&s.tensor())?,
                _ => down(&opt, &[&one])?,
            }
            want = want.flip(0) + &want * 0.5;
            assert_same(&s.tensor(), &want, &format!("round {round} on {device}"));
        }
    }
    Ok(())
}
