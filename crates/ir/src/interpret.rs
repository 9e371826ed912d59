//! The reference interpreter of schedules: plain loops in f64. What it computes is what a schedule means.
//!
//! Floats are computed exactly, and rounded where the schedule rounds them: by casts to 16 bits and by stores. At each point
//! everything is loaded before anything is stored. Nothing here is fast.

use crate::{
    dtype::DType,
    op::{ReduceOp, compound::Operand},
    philox::philox,
    schedule::ir::{Access, Array, Body, BufId, Contract, Inst, LaunchKind, Loop, Schedule, Val, Whole},
    shape::{Type, count},
};

/// The buffers of a schedule, wherever they are: some may share their elements.
pub trait Memory {
    /// An element of a buffer.
    fn load(&self, buf: BufId, element: usize) -> f64;
    /// Sets an element of a buffer, to a number that the buffer's dtype has.
    fn store(&mut self, buf: BufId, element: usize, value: f64);
}

/// A vector for each buffer.
impl Memory for Vec<Vec<f64>> {
    fn load(&self, buf: BufId, element: usize) -> f64 {
        self[buf][element]
    }
    fn store(&mut self, buf: BufId, element: usize, value: f64) {
        self[buf][element] = value;
    }
}

/// Runs the launches of a schedule in order.
///
/// # Panics
/// An address outside of a buffer; a scan, which is composed for a device without kernels.
pub fn run(schedule: &Schedule, memory: &mut dyn Memory, scalars: &[f64]) {
    let mut run = Run { schedule, memory, scalars };
    for launch in &schedule.launches {
        match &launch.work.kind() {
            LaunchKind::Loop(l) => run.nest(l),
            LaunchKind::Contract(c) => run.contract(c),
            LaunchKind::Whole(w) => run.whole(w),
            LaunchKind::Repeat(_) => panic!("scans are composed"),
        }
    }
}

struct Run<'a> {
    schedule: &'a Schedule,
    memory: &'a mut dyn Memory,
    scalars: &'a [f64],
}

impl Run<'_> {
    fn nest(&mut self, l: &Loop) {
        let levels = l.levels();
        let sweeps = levels.iter().map(|level| level.sweep).max().map_or(0, |last| last + 1);
        let inner = points(&l.inner);
        for row in points(&l.outer) {
            let mut values = vec![f64::NAN; levels.len()];
            for sweep in 0..sweeps {
                // A number for each row is the same wherever in it.
                let origin = [&row[..], &vec![0; l.inner.len()]].concat();
                let of_row = |v: Val| levels[v].per_row && levels[v].sweep == sweep;
                self.evaluate(&l.body, &origin, &mut values, of_row);
                self.store(&l.body, &origin, &values, of_row);
                let mut folds: Vec<Fold> = l.body.insts.iter().enumerate().filter_map(Fold::of).collect();
                folds.retain(|fold| levels[fold.x].sweep == sweep);
                for (position, col) in inner.iter().enumerate() {
                    let at = [&row[..], col].concat();
                    self.evaluate(&l.body, &at, &mut values, |v| !levels[v].per_row && levels[v].sweep <= sweep);
                    folds.iter_mut().for_each(|fold| fold.take(values[fold.x], position));
                    self.store(&l.body, &at, &values, |v| !levels[v].per_row && levels[v].sweep == sweep);
                }
                folds.iter().for_each(|fold| values[fold.to] = fold.result());
            }
        }
    }

    fn contract(&mut self, c: &Contract) {
        let every = |_: Val| true;
        for at in points(&[&c.batch[..], &c.m, &c.n].concat()) {
            let (b, own) = at.split_at(c.batch.len());
            let (m, n) = own.split_at(c.m.len());
            let mut sum = 0.0;
            for k in points(&c.k) {
                let sides = [(&c.a.body, [b, m, &k].concat()), (&c.b.body, [b, &k, n].concat())];
                let [x, y] = sides.map(|(body, at)| {
                    let mut values = vec![0.0; body.insts.len()];
                    self.evaluate(body, &at, &mut values, every);
                    values[values.len() - 1]
                });
                sum += x * y;
            }
            let mut values = vec![sum; c.body.insts.len()];
            self.evaluate(&c.body, &at, &mut values, every);
            self.store(&c.body, &at, &values, every);
        }
    }

    fn whole(&mut self, whole: &Whole) {
        let inputs = whole.inputs.iter();
        let data: Vec<Vec<f64>> =
            inputs.map(|x| (0..count(&x.shape)).map(|i| self.memory.load(x.buf, i)).collect()).collect();
        let operands: Vec<Operand<'_>> =
            data.iter().zip(&whole.inputs).map(|(data, x)| Operand { data, shape: &x.shape }).collect();
        let type_of = |x: &Array| Type { shape: x.shape.clone(), dtype: self.schedule.buffers[x.buf].dtype };
        let types: Vec<Type> = whole.inputs.iter().map(type_of).collect();
        let Some(results) = whole.op.reference(&operands, &types) else { panic!("{} has steps", whole.op.name()) };
        for (result, output) in results.iter().zip(&whole.outputs) {
            if let Some(output) = output {
                result.iter().enumerate().for_each(|(i, value)| self.memory.store(output.buf, i, *value));
            }
        }
    }

    fn load(&self, buf: BufId, access: &Access, at: &[usize]) -> f64 {
        access.at(at).map_or(access.fill, |element| self.memory.load(buf, element))
    }

    /// Stores the values in question.
    fn store(&mut self, body: &Body, at: &[usize], values: &[f64], which: impl Fn(Val) -> bool) {
        for store in body.stores.iter().filter(|store| which(store.value)) {
            let rounded = self.schedule.buffers[store.buf].dtype.round(values[store.value]);
            self.memory.store(store.buf, store.at.at(at) as usize, rounded);
        }
    }

    /// Computes the values in question, but for sums and other combinations, which are known.
    fn evaluate(&self, body: &Body, at: &[usize], values: &mut [f64], which: impl Fn(Val) -> bool) {
        for v in (0..body.insts.len()).filter(|v| which(*v)) {
            if !matches!(body.insts[v], Inst::Reduce(..) | Inst::Acc) {
                let x = self.value(body, v, at, values);
                values[v] = if body.dtypes[v].is_float() { x } else { body.dtypes[v].round(x) };
            }
        }
    }

    fn value(&self, body: &Body, v: Val, at: &[usize], values: &[f64]) -> f64 {
        let (dtype, is) = (body.dtypes[v], |yes: bool| f64::from(u8::from(yes)));
        match &body.insts[v] {
            Inst::Load { buf, at: access } => self.load(*buf, access, at),
            Inst::Gather { buf, at: access, index } => {
                let wanted = values[index.index] as i64;
                let i = wanted.clamp(0, index.bound - 1);
                match access.at(at) {
                    None => access.fill,
                    Some(_) if i != wanted && dtype.is_float() => f64::NAN,
                    Some(base) => self.memory.load(*buf, (base as i64 + i * index.stride) as usize),
                }
            }
            Inst::Within { index, bound, .. } => is((0..*bound).contains(&(values[*index] as i64))),
            Inst::InBounds(access) => is(access.at(at).is_some()),
            Inst::Const(value) => *value,
            Inst::Scalar(i) => self.scalars[*i],
            Inst::Index(form) => form.at(at) as f64,
            Inst::Random { at: form, stream } => {
                let [key_low, key_high, op, draw] = stream.map(|v| values[v] as u32);
                let element = form.at(at) as u32;
                f64::from(philox([element / 4, op, draw, 0], [key_low, key_high])[element as usize % 4])
            }
            Inst::Unary(op, a) => op.reference(values[*a]),
            Inst::Binary(op, a, b) => op.reference_of(body.dtypes[*a], values[*a], values[*b]),
            Inst::Select(c, a, b) => values[if values[*c] != 0.0 { *a } else { *b }],
            Inst::Cast(a) => match dtype {
                DType::F16 | DType::BF16 => dtype.round(values[*a]),
                _ => values[*a],
            },
            Inst::Reduce(..) | Inst::Acc => values[v],
        }
    }
}

/// A combination over all of `inner`, so far.
struct Fold {
    op: ReduceOp,
    /// What is combined, and which value it gives.
    x: Val,
    to: Val,
    /// The combination, and where it was found.
    so_far: Option<(f64, usize)>,
}

impl Fold {
    fn of((to, inst): (Val, &Inst)) -> Option<Fold> {
        let Inst::Reduce(op, x) = *inst else { return None };
        Some(Fold { op, x, to, so_far: None })
    }

    fn take(&mut self, x: f64, position: usize) {
        // A NaN is above and below every number.
        let first_nan = |best: f64| x.is_nan() && !best.is_nan();
        self.so_far = Some(match (self.so_far, self.op) {
            (None, _) => (x, position),
            (Some((sum, at)), ReduceOp::Sum) => (sum + x, at),
            (Some((product, at)), ReduceOp::Prod) => (product * x, at),
            (Some((best, _)), ReduceOp::Max | ReduceOp::ArgMax) if x > best || first_nan(best) => (x, position),
            (Some((best, _)), ReduceOp::Min | ReduceOp::ArgMin) if x < best || first_nan(best) => (x, position),
            (Some(best), _) => best,
        });
    }

    fn result(&self) -> f64 {
        match (self.op, self.so_far) {
            (ReduceOp::ArgMax | ReduceOp::ArgMin, Some((_, at))) => at as f64,
            (_, Some((x, _))) => x,
            (ReduceOp::Prod, None) => 1.0,
            (_, None) => 0.0,
        }
    }
}

/// Every point of a box, in row-major order.
fn points(extents: &[usize]) -> Vec<Vec<usize>> {
    let further = |points: Vec<Vec<usize>>, n: &usize| {
        points.into_iter().flat_map(|point| (0..*n).map(move |i| [&point[..], &[i]].concat())).collect()
    };
    extents.iter().fold(vec![vec![]], further)
}
