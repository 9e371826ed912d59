//! Scans: what they give, and their gradients, are those of the steps written out.

use thalweg_device::DeviceExt;
use thalweg_graph::{ConvConfig, DType, Device, Grads, Param, Result, Tensor, checkpoint, scan, scan_back};
use thalweg_optim::{RuleExt, Sgd};
use thalweg_tests::{cpu, own_gpu, strict, test_gpu};

fn numbers(device: &Device, salt: usize, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 37 + salt * 11) % 101) as f32 / 80.0 - 0.6).collect();
    Tensor::from_slice(device, &values, shape)
}

/// `h' = tanh(x u + h w + b)`, `y = h' + x₀`; the weights come from outside.
struct Cell {
    u: Tensor,
    w: Tensor,
    b: Tensor,
}

impl Cell {
    fn new(device: &Device, inputs: usize, width: usize) -> Cell {
        let [u, w, b] = [(1, vec![inputs, width]), (2, vec![width, width]), (3, vec![width])]
            .map(|(salt, shape)| numbers(device, salt, &shape).track());
        Cell { u, w, b }
    }

    fn step(&self, h: &Tensor, x: &Tensor) -> Tensor {
        (x.matmul(&self.u) + h.matmul(&self.w) + &self.b).tanh()
    }
}

/// Values and gradients of a recurrent net over `steps`, by a scan or step by step.
fn recurrent(device: &Device, steps: usize, batch: usize, width: usize, how: How) -> Result<Vec<Vec<f32>>> {
    let cell = Cell::new(device, 3, width);
    let start = numbers(device, 4, &[batch, width]).track();
    let xs = numbers(device, 5, &[steps, batch, 3]).track();
    let f = |carry: &[Tensor], x: &[Tensor]| {
        let h = match how {
            How::Recomputed => checkpoint(&[&carry[0], &x[0]], |of| cell.step(&of[0], &of[1])),
            _ => cell.step(&carry[0], &x[0]),
        };
        let y = &h + x[0].narrow(1, 0, 1);
        (vec![h], vec![y])
    };
    let (carry, ys) = match how {
        How::Forwards | How::Recomputed => scan(&[&start], &[&xs], f)?,
        How::Backwards => scan_back(&[&start], &[&xs], f)?,
        How::Unrolled { back } => {
            let (mut h, mut ys) = (start.clone(), Vec::new());
            for i in 0..steps {
                let x = xs.narrow(0, if back { steps - 1 - i } else { i }, 1).squeeze(0);
                h = cell.step(&h, &x);
                ys.push(&h + x.narrow(1, 0, 1));
            }
            if back {
                ys.reverse();
            }
            (vec![h], vec![Tensor::stack(&ys, 0)])
        }
    };
    let loss = (ys[0].square() * numbers(device, 6, &[batch, width])).sum(..) + (&carry[0] * 3.0).sum(..);
    let grads = loss.backward()?;
    let leaves = [&cell.u, &cell.w, &cell.b, &start, &xs];
    let grads: Vec<Tensor> = leaves.iter().map(|leaf| grads.get(*leaf).cloned().expect("every leaf counts")).collect();
    [&carry[0], &ys[0]].into_iter().chain(&grads).map(|t| t.to_vec::<f32>()).collect()
}

#[derive(Clone, Copy)]
enum How {
    Forwards,
    Backwards,
    Recomputed,
    Unrolled { back: bool },
}

fn close(got: &[Vec<f32>], want: &[Vec<f32>], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len(), "{what}, result {i}");
        let size = want.iter().fold(1e-3f32, |size, x| size.max(x.abs()));
        let off = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 2e-5 * size, "{what}, result {i} is off by {off} of {size}");
    }
}

#[test]
fn a_scan_is_its_steps_one_behind_the_other() -> Result<()> {
    // Rows whose length is a multiple of four and not, one step, and many.
    for (steps, batch, width) in [(16, 4, 8), (7, 1, 5), (1, 2, 3), (33, 3, 6)] {
        for back in [false, true] {
            let want = recurrent(&strict(), steps, batch, width, How::Unrolled { back })?;
            for device in [strict(), cpu(), test_gpu!()] {
                let how = if back { How::Backwards } else { How::Forwards };
                let what = format!("{steps} steps of {batch} × {width} on {device}, back {back}");
                close(&recurrent(&device, steps, batch, width, how)?, &want, &what);
            }
        }
    }
    Ok(())
}

#[test]
fn a_step_may_be_computed_again() -> Result<()> {
    let want = recurrent(&strict(), 9, 2, 8, How::Unrolled { back: false })?;
    for device in [strict(), cpu(), test_gpu!()] {
        close(&recurrent(&device, 9, 2, 8, How::Recomputed)?, &want, &format!("checkpoint on {device}"));
    }
    Ok(())
}

/// Two carries of which one counts, no `y`, a sequence that is none of floats, and a draw of a table in each step.
#[test]
fn carries_may_be_integers_and_rows_positions() -> Result<()> {
    let run = |device: &Device| -> Result<(Vec<f32>, Vec<i32>, Vec<f32>)> {
        let table = numbers(device, 7, &[5, 4]).track();
        let ids = Tensor::from_slice(device, &[3, 0, 4, 3, 1, 1], [6]);
        let (sum, count) = (Tensor::full(device, 0.0, [4], DType::F32), Tensor::full(device, 0.0, [1], DType::I32));
        let (carry, ys) = scan(&[&sum, &count], &[&ids], |carry, id| {
            let row = table.index_select(0, &id[0].reshape([1])).squeeze(0);
            (vec![&carry[0] * 0.5 + row, &carry[1] + 1.0], vec![])
        })?;
        assert!(ys.is_empty());
        let grads = carry[0].square().sum(..).backward()?;
        let grad = grads.get(&table).expect("the table counts").to_vec::<f32>()?;
        Ok((carry[0].to_vec()?, carry[1].to_vec()?, grad))
    };
    let want = run(&strict())?;
    assert_eq!(want.1, [6]);
    for device in [cpu(), test_gpu!()] {
        let got = run(&device)?;
        assert_eq!(got.1, want.1);
        close(&[got.0, got.2], &[want.0.clone(), want.2.clone()], &format!("on {device}"));
    }
    Ok(())
}

/// A step within a step reads what the outer one is at, and what that carries, however many steps either has.
#[test]
fn a_step_within_a_step_reads_the_outer_one() -> Result<()> {
    let run = |device: &Device, outer: usize, inner: usize| -> Result<Vec<Vec<f32>>> {
        let (xs, rows) = (numbers(device, 8, &[outer, 4]).track(), numbers(device, 9, &[inner, 4]).track());
        let zero = Tensor::zeros(device, [4]);
        let (end, ys) = scan(&[&zero], &[&xs], |carry, x| {
            let within = scan(&[&zero], &[&rows], |sum, row| {
                (vec![(&sum[0] * 0.5 + &row[0] * &x[0] + &carry[0]).tanh()], vec![])
            });
            let (sum, _) = within.expect("it is recorded");
            (vec![sum[0].clone()], vec![sum[0].clone()])
        })?;
        let grads = (end[0].sum(..) + ys[0].square().sum(..)).backward()?;
        let of = |x: &Tensor| grads.get(x).expect("it counts").to_vec();
        Ok(vec![end[0].to_vec()?, ys[0].to_vec()?, of(&xs)?, of(&rows)?])
    };
    for (outer, inner) in [(9, 2), (2, 9), (4, 4)] {
        let want = run(&strict(), outer, inner)?;
        for device in [cpu(), test_gpu!()] {
            close(&run(&device, outer, inner)?, &want, &format!("{outer} steps of {inner} on {device}"));
        }
    }
    Ok(())
}

/// `y_t = y_{t-1} + Σ_{s ≤ t} x_s`, the inner sum by a scan of its own inside each step.
#[test]
fn a_scan_may_stand_in_a_step_of_another() -> Result<()> {
    let run = |device: &Device| -> Result<Vec<Vec<f32>>> {
        let xs = numbers(device, 8, &[3, 5, 4]).track();
        let zero = Tensor::full(device, 0.0, [4], DType::F32);
        let (carry, ys) = scan(&[&zero], &[&xs], |carry, x| {
            let inner = scan(&[&carry[0]], &[&x[0]], |sum, x| {
                let sum = (&sum[0] * 0.5 + &x[0]).tanh();
                (vec![sum.clone()], vec![sum])
            });
            let (end, rows) = inner.expect("it is recorded");
            (end, rows)
        })?;
        let grads = (carry[0].sum(..) + ys[0].square().sum(..)).backward()?;
        Ok(vec![carry[0].to_vec()?, ys[0].to_vec()?, grads.get(&xs).expect("they count").to_vec()?])
    };
    let want = {
        let device = strict();
        let xs = numbers(&device, 8, &[3, 5, 4]).track();
        let (mut sum, mut ys) = (Tensor::full(&device, 0.0, [4], DType::F32), Vec::new());
        for i in 0..15 {
            sum = (&sum * 0.5 + xs.reshape([15, 4]).narrow(0, i, 1).squeeze(0)).tanh();
            ys.push(sum.clone());
        }
        let ys = Tensor::stack(&ys, 0);
        let grads = (sum.sum(..) + ys.square().sum(..)).backward()?;
        vec![sum.to_vec()?, ys.to_vec()?, grads.get(&xs).expect("they count").to_vec()?]
    };
    for device in [strict(), cpu(), test_gpu!()] {
        close(&run(&device)?, &want, &format!("nested on {device}"));
    }
    Ok(())
}

/// `d/dx (d/dx Σ y)²` through a scan, against the steps written out.
#[test]
fn gradients_have_gradients() -> Result<()> {
    let run = |device: &Device, unrolled: bool| -> Result<Vec<Vec<f32>>> {
        let (a, xs) = (numbers(device, 9, &[4]).track(), numbers(device, 10, &[5, 4]).track());
        let start = Tensor::full(device, 0.5, [4], DType::F32);
        let step = |h: &Tensor, x: &Tensor| (h * &a + x).tanh();
        let ys = match unrolled {
            true => {
                let mut h = start.clone();
                let steps = (0..5).map(|t| {
                    h = step(&h, &xs.narrow(0, t, 1).squeeze(0));
                    h.clone()
                });
                Tensor::stack(steps.collect::<Vec<Tensor>>(), 0)
            }
            false => {
                let (_, mut ys) = scan(&[&start], &[&xs], |h, x| {
                    let h = step(&h[0], &x[0]);
                    (vec![h.clone()], vec![h])
                })?;
                ys.remove(0)
            }
        };
        let first = ys.square().sum(..).backward()?;
        let norm = first.get(&xs).expect("they count").square().sum(..) + first.get(&a).expect("it counts").sum(..);
        let second = norm.backward()?;
        [&a, &xs].into_iter().map(|x| second.get(x).expect("they count").to_vec()).collect()
    };
    let want = run(&strict(), true)?;
    for device in [strict(), cpu(), test_gpu!()] {
        close(&run(&device, false)?, &want, &format!("second derivatives on {device}"));
    }
    Ok(())
}

/// The gradients of a weight that a step uses twice, of one for each of a batch, and of a kernel of a convolution, which are taken over
/// the rows of all steps; and those of their squares.
#[test]
fn weights_are_summed_behind_the_walk() -> Result<()> {
    let run = |device: &Device, how: How| -> Result<Vec<Vec<f32>>> {
        let shapes = [vec![24, 24], vec![2, 24, 24], vec![3, 3, 3], vec![24], vec![2, 3, 24], vec![6, 2, 3, 24]];
        let all = shapes.iter().enumerate().map(|(salt, shape)| (numbers(device, salt, shape) * 0.3).track());
        let all: Vec<Tensor> = all.collect();
        let [w, v, k, b, start, xs] = &all[..] else { unreachable!("there are six") };
        let conv = ConvConfig { padding: vec![1], ..ConvConfig::default() };
        let step = |h: &Tensor, x: &Tensor| {
            let twice = (h.matmul(w) + b).tanh().matmul(w);
            (twice + h.matmul(v) + h.conv(k, &conv) + x).tanh()
        };
        let end = match how {
            How::Forwards => scan(&[start], &[xs], |h, x| (vec![step(&h[0], &x[0])], vec![]))?.0.remove(0),
            How::Backwards => scan_back(&[start], &[xs], |h, x| (vec![step(&h[0], &x[0])], vec![]))?.0.remove(0),
            How::Unrolled { back } => {
                (0..6).fold(start.clone(), |h, i| step(&h, &xs.narrow(0, if back { 5 - i } else { i }, 1).squeeze(0)))
            }
            How::Recomputed => unreachable!("it is not asked for"),
        };
        let first = end.square().sum(..).backward()?;
        let of = |grads: &Grads| all.iter().map(|x| grads.get(x).expect("they count").clone()).collect::<Vec<Tensor>>();
        let firsts = of(&first);
        let squares = firsts.iter().map(|g| g.square().sum(..)).reduce(|sum, more| sum + more);
        let second = squares.expect("there are six").backward()?;
        firsts.iter().chain(&of(&second)).map(|t| t.to_vec()).collect()
    };
    for (back, how) in [(false, How::Forwards), (true, How::Backwards)] {
        let want = run(&strict(), How::Unrolled { back })?;
        for device in [strict(), cpu(), test_gpu!()] {
            close(&run(&device, how)?, &want, &format!("weights on {device}, back {back}"));
        }
    }
    Ok(())
}

/// Of two layers, one on the other, the walk back reads the states of both and keeps the gradients of what their weights gave: what the
/// second reads of the first is a state like any other.
#[test]
fn a_step_may_read_the_carry_that_it_gives() -> Result<()> {
    const STEPS: usize = 48;
    const ROW: usize = 4 * 32;
    let run = |device: &Device, back: bool| -> Result<(Vec<Vec<f32>>, u64)> {
        let weights: Vec<Param> =
            (0..4).map(|i| Param::new(numbers(device, i, &[32, 32]) * 0.2)).collect::<Result<_>>()?;
        let opt = Sgd { lr: 1.0, ..Sgd::default() }.init(&weights)?;
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| weights[i].tensor());
        let (xs, zero) = (numbers(device, 5, &[STEPS, 4, 32]), Tensor::zeros(device, [4, 32]));
        let step = |h: &[Tensor], x: &[Tensor]| {
            let below = (x[0].matmul(&a) + h[0].matmul(&b)).tanh();
            let above = (below.matmul(&c) + h[1].matmul(&d)).tanh();
            (vec![below, above], vec![])
        };
        let (ends, _) = match back {
            false => scan(&[&zero, &zero], &[&xs], step)?,
            true => scan_back(&[&zero, &zero], &[&xs], step)?,
        };
        opt.step(&ends[1].square().sum(..))?;
        let planned = device.last_step().map_or(0, |report| report.planned_bytes);
        let values = weights.iter().map(|w| w.tensor().to_vec()).collect::<Result<_>>()?;
        Ok((values, planned))
    };
    for back in [false, true] {
        let (want, _) = run(&strict(), back)?;
        for device in [cpu(), own_gpu()] {
            let (got, planned) = run(&device, back)?;
            close(&got, &want, &format!("{device}, back {back}"));
            // The input, two states, two gradients, and what one step takes.
            assert!(back || planned <= (6 * STEPS * ROW * 4) as u64, "{device}: {planned} bytes");
        }
    }
    Ok(())
}

/// A product that a step gives is read back by its gradient, and by that one's gradient, and not computed again.
#[test]
fn what_a_step_gives_is_not_computed_again() -> Result<()> {
    const STEPS: usize = 24;
    let run = |device: &Device, given: bool, back: bool| -> Result<(Vec<Vec<f32>>, f64)> {
        let shapes = [vec![8, 8], vec![3, 8], vec![STEPS, 3, 8]];
        let all = shapes.iter().enumerate().map(|(salt, shape)| (numbers(device, salt, shape) * 0.4).track());
        let all: Vec<Tensor> = all.collect();
        let [w, start, xs] = &all[..] else { unreachable!("there are three") };
        let step = |h: &[Tensor], x: &[Tensor]| {
            let product = h[0].matmul(w) + &x[0];
            let next = product.tanh() * 0.7 + &h[0] * 0.2;
            // One thing twice, and one that is no news, cost nothing.
            let more = if given { vec![product.clone(), product, h[0].clone()] } else { vec![] };
            (vec![next.clone()], [vec![next], more].concat())
        };
        let (end, ys) = match back {
            false => scan(&[start], &[xs], step)?,
            true => scan_back(&[start], &[xs], step)?,
        };
        let first = (end[0].square().sum(..) + ys[0].sum(..)).backward()?;
        let of = |grads: &Grads| all.iter().map(|x| grads.get(x).expect("they count").clone()).collect::<Vec<Tensor>>();
        let firsts = of(&first);
        let (_, profile) = device.profile(|| Tensor::eval_all(&firsts));
        let flops = profile.spans().iter().map(|span| span.cost.flop as f64).sum();
        let squares = firsts.iter().map(|g| g.square().sum(..)).reduce(|sum, more| sum + more);
        let second = squares.expect("there are three").backward()?;
        let values = firsts.iter().chain(&of(&second)).map(|t| t.to_vec()).collect::<Result<_>>()?;
        Ok((values, flops))
    };
    for back in [false, true] {
        let (want, _) = run(&strict(), false, back)?;
        for device in [strict(), cpu(), test_gpu!()] {
            let (got, fewer) = run(&device, true, back)?;
            close(&got, &want, &format!("given on {device}, back {back}"));
            let (got, all) = run(&device, false, back)?;
            close(&got, &want, &format!("computed again on {device}, back {back}"));
            // A multiplication and an addition for each of 3 × 8 × 8.
            let product = (STEPS * 2 * 3 * 8 * 8) as f64;
            assert!(!device.properties().scheduled || fewer + 0.9 * product < all, "{fewer} of {all} on {device}");
        }
    }
    Ok(())
}

#[test]
fn one_step_is_planned_however_many_there_are() -> Result<()> {
    // A device of its own: others count along on a shared one.
    let device = Device::cpu()?;
    recurrent(&device, 4, 2, 8, How::Forwards)?;
    let few = device.stats().kernels;
    recurrent(&device, 64, 2, 8, How::Forwards)?;
    let many = device.stats().kernels - few;
    assert!(many <= few + 2, "{few} kernels of 4 steps, {many} of 64");
    Ok(())
}

#[test]
fn no_step_gives_no_row() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let (start, none) = (numbers(&device, 1, &[2, 3]), Tensor::zeros(&device, [0, 2, 3]));
        let (carry, ys) = scan(&[&start], &[&none], |h, x| (vec![&h[0] + &x[0]], vec![x[0].sum(1)]))?;
        assert_eq!(ys[0].shape(), [0, 2]);
        assert!(ys[0].to_vec::<f32>()?.is_empty());
        assert_eq!(carry[0].to_vec::<f32>()?, start.to_vec::<f32>()?);
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_a_scan_is_said() {
    let device = cpu();
    let (zero, xs) = (Tensor::full(&device, 0.0, [2], DType::F32), numbers(&device, 1, &[3, 2]));
    let text = |r: Result<(Vec<Tensor>, Vec<Tensor>)>| r.map(|_| ()).unwrap_err().to_string();
    let wider = text(scan(&[&zero], &[&xs], |c, x| (vec![c[0].concat_with([&x[0]], 0)], vec![])));
    assert!(wider.contains("carry 0 is f32 [2], and a step makes it f32 [4]") && wider.contains("scan.rs"), "{wider}");
    let none = text(scan(&[&zero], &[&xs], |_, _| (vec![], vec![])));
    assert!(none.contains("takes 1 carries, and its step gives 0"), "{none}");
    let other = text(scan(&[&zero], &[&xs, &zero.reshape([2, 1])], |c, _| (c.to_vec(), vec![])));
    assert!(other.contains("[2, 1]") && other.contains("another number of steps than 3"), "{other}");
    let read = text(scan(&[&zero], &[&xs], |c, x| match x[0].to_vec::<f32>() {
        Ok(_) => (c.to_vec(), vec![]),
        Err(error) => (vec![c[0].fail("read", error.kind().clone())], vec![]),
    }));
    assert!(read.contains("which has none before it runs"), "{read}");
    let without = text(scan(&[&zero], &[], |c, _| (c.to_vec(), vec![])));
    assert!(without.contains("no sequence"), "{without}");
}
