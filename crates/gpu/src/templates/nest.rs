//! Loop nests: maps, row and column reductions, softmax, norms, losses, pooling.
//!
//! The loops are in `map.wgsl`, `reduce/alone.wgsl` and `reduce/shared.wgsl`; here the functions are written that they call. A point of `outer`
//! (or four, or two) belongs to an invocation; for each sweep that walks over `inner`, alone or with others, and combines what the sweep
//! reduces. With no `inner` there is no sweep: a map.

use thalweg_ir::{
    Error, ErrorKind, Result,
    schedule::ir::{BufferSpec, Inst, Level, Loop, Val},
};
use thalweg_shaders::{context, skeleton};

use super::{
    Caps,
    body::Writer,
    fields::Fields,
    kernel::{Builder, Kernel, decode, linear_grid},
    kind::Kind,
    normalise::normalise,
    ops::register,
    point::{LANES, Point, Value},
    reduce::Reduction,
    shape::{Lanes, MAX_ITERATIONS, Shape, choose, sweeps},
};

/// The kernel of a loop nest.
///
/// # Errors
/// A reduction too long for one workgroup: the schedule should have split it.
pub fn kernel(l: &Loop, buffers: &[BufferSpec], caps: &Caps) -> Result<Kernel> {
    let l = normalise(l);
    let shape = choose(&l, &|buf| Kind::of(buffers[buf].dtype, caps), caps);
    kernel_as(&l, buffers, caps, shape)
}

/// The same with a given form, for tests. The loop nest is normalised.
pub fn kernel_as(l: &Loop, buffers: &[BufferSpec], caps: &Caps, shape: Shape) -> Result<Kernel> {
    let own = l.cols().div_ceil(shape.step()).div_ceil(shape.height as usize);
    if !l.inner.is_empty() && own * sweeps(l) > MAX_ITERATIONS {
        let problem = format!(
            "a reduction over {} elements in {} sweeps is too long for one workgroup of {}",
            l.cols(),
            sweeps(l),
            shape.height
        );
        return Err(Error::new("reduce", ErrorKind::Invalid(problem)));
    }
    let Shape { width, height, .. } = shape;
    let mut k = Builder::new(caps, buffers);
    k.subgroups = height > 1 && use_subgroups(caps, shape);
    k.params.fixed("points", l.rows().div_ceil(shape.points()));
    let nest =
        Nest { l, shape, levels: l.levels(), writer: Writer::new(&l.body), point: Point::one(vec![]), extents: vec![] };
    let is_map = sweeps(l) == 1 && l.inner.is_empty();
    let entry = match (is_map, height, width) {
        (true, ..) => nest.map(&mut k),
        (false, 1, _) => nest.reduce(&mut k, "reduce_alone"),
        (false, _, 1) => nest.reduce(&mut k, "reduce_row"),
        _ => nest.reduce(&mut k, "reduce_column"),
    };
    let groups = l.rows().div_ceil(shape.points()).div_ceil(width as usize);
    Ok(k.finish(entry, [width * height, 1, 1], linear_grid(groups, caps.max_grid)))
}

/// Every subgroup must be full, whatever size the driver picks: hardware has at most 64 lanes.
fn use_subgroups(caps: &Caps, shape: Shape) -> bool {
    caps.subgroups
        && shape.width == 1
        && shape.height.is_multiple_of(caps.subgroup_size.max(1))
        && (shape.height >= 64 || caps.software)
}

struct Nest<'a> {
    l: &'a Loop,
    shape: Shape,
    levels: Vec<Level>,
    writer: Writer<'a>,
    /// This invocation's point of `outer`, as the function that is being written knows it; 0 along `inner`.
    point: Point,
    /// Words of the inner extents.
    extents: Vec<String>,
}

/// What is combined in a sweep.
struct Sum {
    /// The value that it becomes.
    result: Val,
    /// What is combined, and how.
    of: Val,
    how: Reduction,
    /// The fields that it has: one, or one for each of the points that the invocation takes.
    fields: Vec<String>,
}

impl Nest<'_> {
    fn map(mut self, k: &mut Builder) -> &'static str {
        k.function("point(p: Params, t: u32)", |k| {
            let point = self.find(k);
            self.writer.all(k, &point);
        });
        k.skeleton(skeleton::MAP, context! { width => self.shape.width });
        "map"
    }

    fn reduce(mut self, k: &mut Builder, entry: &'static str) -> &'static str {
        let (sweeps, inner) = (sweeps(self.l) - 1, self.l.inner.len());
        let is_alone = self.shape.height == 1;
        if !is_alone {
            k.params.fixed("inner", self.l.cols());
        }
        if is_alone || inner > 1 {
            self.extents = k.params.all("inner", &self.l.inner);
        }
        self.row(k, 0, &[]);
        for sweep in 0..sweeps {
            let sums = self.sums(sweep);
            self.declare(k, sweep, &sums);
            self.take(k, sweep, Some(&sums));
            self.row(k, sweep + 1, &sums);
        }
        let puts = !self.element_stores(sweeps).is_empty();
        if puts {
            self.take(k, sweeps, None);
        }
        let Shape { width, height, .. } = self.shape;
        let step = self.shape.step();
        if is_alone {
            let steps: Vec<usize> = (0..inner).map(|d| if d + 1 == inner { step } else { 1 }).collect();
            let js: String = (0..inner).map(|d| format!(", j{d}")).collect();
            k.skeleton(skeleton::ALONE, context! { width, sweeps, puts, steps, js });
        } else {
            let subgroups = k.subgroups;
            k.skeleton(skeleton::SHARED, context! { entry, width, height, sweeps, puts, step, subgroups });
        }
        entry
    }

    /// Finds this invocation's point of `outer`, `t` of them all.
    fn find(&self, k: &mut Builder) -> Point {
        let (outer, lanes) = (&self.l.outer, self.shape.lanes);
        if lanes == Lanes::Pair {
            let total = k.params.fixed("rows", self.l.rows());
            let words = k.params.all("outer", outer);
            let each = (0..2).map(|i| {
                let flat = k.name("flat", if i == 0 { "t * 2u".into() } else { format!("t * 2u + {i}u") });
                let inside = k.name("inside", format!("{flat} < {total}"));
                let flat = k.name("flat", format!("min({flat}, {total} - 1u)"));
                (decode(k, &flat, outer, &words), inside)
            });
            return Point::Each(each.collect());
        }
        let mut extents = outer.clone();
        if let (Lanes::Outer, Some(last)) = (lanes, extents.last_mut()) {
            *last /= 4;
        }
        let words = k.params.all("outer", &extents);
        let mut coords = decode(k, "t", &extents, &words);
        let axis = coords.len().saturating_sub(1);
        let is_wide = match (lanes, coords.last_mut()) {
            (Lanes::Outer, Some(last)) => {
                *last = k.name("i", format!("{last} * 4u"));
                true
            }
            _ => false,
        };
        coords.extend(vec!["0u".to_string(); self.l.inner.len()]);
        match is_wide {
            true => Point::Along { coords, axis, count: 4, aligned: true },
            false => Point::one(coords),
        }
    }

    /// `row0(p, t) -> Row0`, or of what a sweep came to `row1(p, Row0, Sums0) -> Row1`: what is computed once for each point between two
    /// sweeps, and stored.
    fn row(&mut self, k: &mut Builder, sweep: usize, sums: &[Sum]) {
        let (who, before) = (self.who(), sweep.wrapping_sub(1));
        let signature = match sweep {
            0 => format!("row0(p: Params, t: u32{who}) -> Row0"),
            _ => format!("row{sweep}(p: Params, at: Row{before}{who}, sums: Sums{before}) -> Row{sweep}"),
        };
        k.function(&signature, |k| {
            if sweep == 0 {
                self.point = self.find(k);
            }
            for Sum { result, how, fields, .. } in sums {
                let finish = |field: &String| k.name(how.op.name(), how.finish(&format!("sums.{field}")));
                let results: Vec<String> = fields.iter().map(finish).collect();
                let value = if results.len() == 1 { Value::One(results[0].clone()) } else { Value::Many(results) };
                self.writer.set(*result, value);
            }
            let stores = self.row_stores(sweep);
            let mut roots: Vec<Val> = (0..self.levels.len()).filter(|v| self.is_new(*v, sweep)).collect();
            roots.extend(stores.iter().map(|s| self.l.body.stores[*s].value));
            let point = self.point.clone();
            for v in self.needed(&roots) {
                self.writer.value(k, v, &point);
            }
            let guarded = self.shape.height > 1 && !stores.is_empty();
            if guarded {
                k.open("if who.first {");
            }
            stores.iter().for_each(|s| self.writer.store(k, *s, &point));
            if guarded {
                k.close();
            }
            self.hand_on(k, sweep);
        });
    }

    /// Returns what later functions need: the point's coordinates, and values that are known now.
    fn hand_on(&mut self, k: &mut Builder, sweep: usize) {
        let (body, last) = (&self.l.body, sweeps(self.l) - 1);
        let mut fields = Fields::default();
        let goes_on = sweep < last || !self.element_stores(last).is_empty();
        if let (Point::Along { coords, .. }, true) = (&mut self.point, goes_on) {
            coords.iter_mut().for_each(|name| fields.keep(name, "u32", "at"));
        }
        let later = self.later(sweep);
        for v in 0..body.insts.len() {
            match self.writer.get(v).cloned() {
                Some(mut value) if later[v] && !is_free(&body.insts[v]) => {
                    fields.keep_value(&mut value, register(body.class(v)), "at");
                    self.writer.set(v, value);
                }
                _ => self.writer.forget(v),
            }
        }
        fields.close(k, &format!("Row{sweep}"));
    }

    /// The values that are used in sweep `sweep` or later, in them or between them.
    fn later(&self, sweep: usize) -> Vec<bool> {
        let (body, last) = (&self.l.body, sweeps(self.l) - 1);
        let mut later = vec![false; body.insts.len()];
        for q in sweep..=last {
            let sums = self.reduced(q).map(|(_, of, _)| of);
            let stored = self.element_stores(q).into_iter().map(|s| body.stores[s].value);
            let roots: Vec<Val> = sums.chain(stored).collect();
            roots.iter().for_each(|v| later[*v] = true);
            self.needed(&roots).into_iter().flat_map(|v| body.insts[v].operands()).for_each(|v| later[v] = true);
            if q > sweep {
                let new = (0..body.insts.len()).filter(|v| self.is_new(*v, q));
                new.flat_map(|v| body.insts[v].operands()).for_each(|v| later[v] = true);
                self.row_stores(q).into_iter().for_each(|s| later[body.stores[s].value] = true);
            }
        }
        later
    }

    /// `take0(p, Row0, j, Sums0) -> Sums0`: the elements of a sweep at a position, combined and stored; `put(p, Row1, j)` where none is
    /// combined.
    fn take(&mut self, k: &mut Builder, sweep: usize, sums: Option<&[Sum]>) {
        let (who, inner) = (self.who(), &self.l.inner);
        let js: Vec<String> = match self.shape.height {
            1 => (0..inner.len()).map(|d| format!("j{d}")).collect(),
            _ => vec!["j".into()],
        };
        let positions: String = js.iter().map(|j| format!(", {j}: u32")).collect();
        let arguments = format!("p: Params, at: Row{sweep}{who}{positions}");
        let signature = match sums {
            Some(_) => format!("take{sweep}({arguments}, sums: Sums{sweep}) -> Sums{sweep}"),
            None => format!("put({arguments})"),
        };
        let sums = sums.unwrap_or_default();
        let stores = self.element_stores(sweep);
        let roots: Vec<Val> =
            sums.iter().map(|sum| sum.of).chain(stores.iter().map(|s| self.l.body.stores[*s].value)).collect();
        k.function(&signature, |k| {
            let (point, flat) = self.element(k, &js, sums.iter().any(|sum| sum.how.is_search()));
            let needed = self.needed(&roots);
            needed.iter().for_each(|v| self.writer.value(k, *v, &point));
            let guarded = self.shape.height > 1 && self.shape.width > 1 && !stores.is_empty();
            if guarded {
                k.open("if who.inside {");
            }
            stores.iter().for_each(|s| self.writer.store(k, *s, &point));
            if guarded {
                k.close();
            }
            if !sums.is_empty() {
                let combined: Vec<String> = sums.iter().flat_map(|sum| self.combined(k, sum, &flat)).collect();
                k.line(format!("return Sums{sweep}({});", combined.join(", ")));
            }
            needed.into_iter().for_each(|v| self.writer.forget(v));
        });
    }

    /// The point of an element, and its position in `inner` where that is asked for.
    fn element(&self, k: &mut Builder, js: &[String], search: bool) -> (Point, String) {
        let (inner, step, outer) = (&self.l.inner, self.shape.step(), self.l.outer.len());
        let (js, flat) = match self.shape.height {
            1 => {
                // Over one element there is no loop.
                let first = js.first().cloned().unwrap_or_else(|| "0u".into());
                let flat = js.iter().zip(&self.extents).skip(1).fold(first, |f, (j, e)| format!("({f}) * {e} + {j}"));
                (js.to_vec(), if search && js.len() > 1 { k.name("flat", flat) } else { flat })
            }
            _ => (decode(k, "j", inner, &self.extents), "j".into()),
        };
        let Point::Along { coords, axis, count, aligned } = &self.point else {
            unreachable!("pairs have no inner coordinates")
        };
        let coords: Vec<String> = coords[..outer].iter().chain(&js).cloned().collect();
        let point = match step {
            1 => Point::Along { coords, axis: *axis, count: *count, aligned: *aligned },
            count => Point::Along { coords, axis: outer + inner.len() - 1, count, aligned: true },
        };
        (point, flat)
    }

    /// A sum's fields with the element that was just written.
    fn combined(&self, k: &mut Builder, Sum { of, how, fields, .. }: &Sum, flat: &str) -> Vec<String> {
        let value = self.writer.written(*of);
        let lift = |i: usize, ahead: usize| {
            how.lift(&value.at(i), &if ahead == 0 { flat.to_string() } else { format!("{flat} + {ahead}u") })
        };
        let mut one = |field: &String, x: String| k.name(how.op.name(), how.combine(&format!("sums.{field}"), &x));
        if self.shape.step() > 1 {
            let (low, high) = (how.combine(&lift(0, 0), &lift(1, 1)), how.combine(&lift(2, 2), &lift(3, 3)));
            return vec![one(&fields[0], how.combine(&low, &high))];
        }
        fields.iter().enumerate().map(|(i, field)| one(field, lift(i, 0))).collect()
    }

    /// `struct Sums0`, and its functions `start0`, `merge0`, `shuffled0`.
    fn declare(&self, k: &mut Builder, sweep: usize, sums: &[Sum]) {
        let name = format!("Sums{sweep}");
        let of_each = |f: &dyn Fn(&Sum, &String) -> String| -> String {
            let fields = sums.iter().flat_map(|sum| sum.fields.iter().map(move |field| (sum, field)));
            fields.map(|(sum, field)| f(sum, field)).collect::<Vec<_>>().join(", ")
        };
        let fields = of_each(&|sum, field| format!("{field}: {}", sum.how.ty()));
        k.globals.push_str(&format!("struct {name} {{ {fields} }}\n"));
        let starts = of_each(&|sum, _| sum.how.init());
        k.function(&format!("start{sweep}() -> {name}"), |k| k.line(format!("return {name}({starts});")));
        if self.shape.height > 1 {
            let both = of_each(&|sum, field| sum.how.combine(&format!("a.{field}"), &format!("b.{field}")));
            k.function(&format!("merge{sweep}(a: {name}, b: {name}) -> {name}"), |k| {
                k.line(format!("return {name}({both});"));
            });
        }
        if k.subgroups {
            let others = of_each(&|_, field| format!("subgroupShuffleXor(sums.{field}, d)"));
            k.function(&format!("shuffled{sweep}(sums: {name}, d: u32) -> {name}"), |k| {
                k.line(format!("return {name}({others});"));
            });
        }
    }

    /// Who an invocation is among those of a workgroup, where there are several to a point.
    fn who(&self) -> &'static str {
        if self.shape.height > 1 { ", who: Who" } else { "" }
    }

    /// Results and operands of what is reduced in a sweep.
    fn reduced(&self, sweep: usize) -> impl Iterator<Item = (Val, Val, Reduction)> {
        let body = &self.l.body;
        (0..body.insts.len()).filter_map(move |v| match body.insts[v] {
            Inst::Reduce(op, x) if self.levels[v].sweep == sweep + 1 => {
                Some((v, x, Reduction { op, class: body.class(x) }))
            }
            _ => None,
        })
    }

    fn sums(&self, sweep: usize) -> Vec<Sum> {
        let operands: Vec<Val> = self.reduced(sweep).map(|(_, of, _)| of).collect();
        let needed = self.needed(&operands);
        let sum = |(i, (result, of, how)): (usize, (Val, Val, Reduction))| {
            let name = format!("{}{i}", how.op.name());
            let fields = match self.varies_by_point(of, &needed) {
                true => LANES[..self.shape.points()].iter().map(|lane| format!("{name}{lane}")).collect(),
                false => vec![name],
            };
            Sum { result, of, how, fields }
        };
        self.reduced(sweep).enumerate().map(sum).collect()
    }

    /// Whether a value is computed once for each point ahead of this sweep.
    fn is_new(&self, v: Val, sweep: usize) -> bool {
        let inst = &self.l.body.insts[v];
        self.levels[v].per_row && self.levels[v].sweep == sweep && !matches!(inst, Inst::Reduce(..)) && !is_free(inst)
    }

    /// Whether a store happens once for each point of `outer`.
    fn is_row_store(&self, s: usize) -> bool {
        let store = &self.l.body.stores[s];
        let outer = self.l.outer.len();
        self.levels[store.value].per_row && (outer..store.at.coef.len()).all(|d| store.at.ignores(d))
    }

    fn stores(&self, sweep: usize, of_rows: bool) -> Vec<usize> {
        let stores = &self.l.body.stores;
        let level = |s: &usize| self.levels[stores[*s].value].sweep;
        (0..stores.len()).filter(|s| self.is_row_store(*s) == of_rows && level(s) == sweep).collect()
    }

    /// The stores that happen once for each point of `outer`, ahead of this sweep.
    fn row_stores(&self, sweep: usize) -> Vec<usize> {
        self.stores(sweep, true)
    }

    /// The stores of this sweep's elements.
    fn element_stores(&self, sweep: usize) -> Vec<usize> {
        self.stores(sweep, false)
    }

    /// The values that `roots` need and that no function hands on, in order: those of elements, and free ones. Of a point's values only the
    /// roots themselves, unless they are written.
    fn needed(&self, roots: &[Val]) -> Vec<Val> {
        let body = &self.l.body;
        let mut needed = vec![false; body.insts.len()];
        roots.iter().for_each(|v| needed[*v] = true);
        let is_root: Vec<bool> = needed.clone();
        for v in (0..body.insts.len()).rev().filter(|v| self.writer.get(*v).is_none()) {
            if needed[v] && (!self.levels[v].per_row || is_root[v]) {
                body.insts[v].operands().into_iter().for_each(|operand| needed[operand] = true);
            }
        }
        let is_here = |v: Val| !self.levels[v].per_row || is_root[v] || is_free(&body.insts[v]);
        (0..body.insts.len()).filter(|v| needed[*v] && is_here(*v) && self.writer.get(*v).is_none()).collect()
    }

    /// Whether value `x` may differ between the points that an invocation takes along `outer`.
    fn varies_by_point(&self, x: Val, needed: &[Val]) -> bool {
        if self.shape.points() == 1 {
            return false;
        }
        let axis = self.l.outer.len() - 1;
        let body = &self.l.body;
        let mut varies = vec![false; body.insts.len()];
        for v in 0..=x {
            varies[v] = match (&body.insts[v], self.writer.get(v)) {
                (_, Some(value)) => value.varies(),
                _ if !needed.contains(&v) => false,
                (inst, _) => !inst.ignores(axis) || inst.operands().iter().any(|o| varies[*o]),
            };
        }
        varies[x]
    }
}

/// Whether a value is written wherever it is used: words are cheaper than fields.
fn is_free(inst: &Inst) -> bool {
    matches!(inst, Inst::Const(_) | Inst::Scalar(_))
}
