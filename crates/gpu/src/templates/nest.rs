//! The loop template: maps, row and column reductions, softmax, norms, losses, pooling.
//!
//! One text for all of them. An invocation takes a point of `outer` (or four, or two); for each sweep it loops over
//! `inner`, alone or sharing it with the other invocations of its column of the workgroup, and combines what the sweep
//! reduces. With no `inner` there is one sweep and no loop: a map.
//!
//! ```text
//!   alone (height 1)                     shared (width 1)                   shared (width 4)
//!   row 0: t0 → → → → →                  row 0: t0 t1 t2 t3 t0 t1 t2 t3     col: 0  1  2  3
//!   row 1: t1 → → → → →                  tree over the workgroup                 t0 t1 t2 t3   row 0
//!   row 2: t2 → → → → →                                                          t4 t5 t6 t7   row 1
//!                                                                                t0 t1 t2 t3   row 2
//! ```

use thalweg_ir::{
    Error, ErrorKind, Result,
    schedule::ir::{BufferSpec, Inst, Level, Loop, Val},
};

use super::{
    Caps,
    body::Writer,
    kernel::{Builder, Kernel, decode, linear_grid},
    kind::Kind,
    normalise::normalise,
    point::{Point, Value},
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
    let mut k = Builder::new(caps, buffers);
    let groups = l.rows().div_ceil(shape.points()).div_ceil(shape.width as usize);
    Nest { l, shape, levels: l.levels(), writer: Writer::new(&l.body), inside: None, extents: vec![] }.write(&mut k);
    let entry = match (l.inner.is_empty(), shape.height, shape.width) {
        (true, ..) => "map",
        (false, 1, _) => "reduce_alone",
        (false, _, 1) => "reduce_row",
        _ => "reduce_column",
    };
    k.subgroups = shape.height > 1 && use_subgroups(caps, shape);
    Ok(k.finish(entry, [shape.width * shape.height, 1, 1], linear_grid(groups, caps.max_grid)))
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
    /// Whether this invocation's point exists, where it may not and the invocation must stay for the barriers.
    inside: Option<String>,
    /// Words of the inner extents.
    extents: Vec<String>,
}

impl Nest<'_> {
    fn write(mut self, k: &mut Builder) {
        let row = self.row(k);
        self.extents = k.params.all("inner", &self.l.inner);
        let body = &self.l.body;
        for sweep in 0..sweeps(self.l) {
            for v in 0..body.insts.len() {
                let known = matches!(body.insts[v], Inst::Reduce(..));
                if self.levels[v].per_row && self.levels[v].sweep == sweep && !known {
                    self.writer.value(k, v, &row);
                }
            }
            self.row_stores(k, sweep, &row);
            self.sweep(k, sweep, &row);
        }
    }

    /// Finds this invocation's point of `outer`; coordinates along `inner` are 0 until a sweep sets them.
    fn row(&mut self, k: &mut Builder) -> Point {
        let Shape { lanes, width, height } = self.shape;
        let (outer, points) = (&self.l.outer, self.shape.points());
        let zeros = || vec!["0u".to_string(); self.l.inner.len()];
        let position = match (width, height) {
            (1, _) => String::new(),
            (w, 1) => format!(" * {w}u + lid"),
            (w, _) => format!(" * {w}u + lid % {w}u"),
        };
        let end = k.params.fixed("points", self.l.rows().div_ceil(points));
        k.line(format!("let t = (wid.y * nwg.x + wid.x){position};"));
        let mut t = "t".to_string();
        if height > 1 && width > 1 {
            self.inside = Some(format!("t < {end}"));
            t = k.name("t", format!("min(t, {end} - 1u)"));
        } else {
            k.line(format!("if t >= {end} {{ return; }}"));
        }
        if lanes == Lanes::Pair {
            let total = k.params.fixed("rows", self.l.rows());
            let words = k.params.all("outer", outer);
            let each = (0..2).map(|i| {
                let flat = k.name("flat", if i == 0 { format!("{t} * 2u") } else { format!("{t} * 2u + {i}u") });
                let inside = k.name("inside", format!("{flat} < {total}"));
                let flat = k.name("flat", format!("min({flat}, {total} - 1u)"));
                (decode(k, &flat, outer, &words), inside)
            });
            return Point::Each(each.collect());
        }
        let mut extents = outer.clone();
        if lanes == Lanes::Outer
            && let Some(last) = extents.last_mut()
        {
            *last /= 4;
        }
        let words = k.params.all("outer", &extents);
        let mut coords = decode(k, &t, &extents, &words);
        if lanes == Lanes::Outer
            && let Some(last) = coords.last_mut()
        {
            *last = k.name("i", format!("{last} * 4u"));
            let axis = coords.len() - 1;
            coords.extend(zeros());
            return Point::Along { coords, axis, count: 4, aligned: true };
        }
        coords.extend(zeros());
        Point::one(coords)
    }

    /// Whether a store happens once for each point of `outer`.
    fn is_row_store(&self, s: usize) -> bool {
        let store = &self.l.body.stores[s];
        let outer = self.l.outer.len();
        self.levels[store.value].per_row && (outer..store.at.coef.len()).all(|d| store.at.ignores(d))
    }

    fn row_stores(&mut self, k: &mut Builder, sweep: usize, row: &Point) {
        let stores: Vec<usize> = (0..self.l.body.stores.len())
            .filter(|s| self.is_row_store(*s) && self.levels[self.l.body.stores[*s].value].sweep == sweep)
            .collect();
        if stores.is_empty() {
            return;
        }
        let first = (self.shape.height > 1).then(|| format!("lid < {}u", self.shape.width));
        let condition: Vec<String> = first.into_iter().chain(self.inside.clone()).collect();
        if !condition.is_empty() {
            k.open(format!("if {} {{", condition.join(" && ")));
        }
        for s in stores {
            self.writer.store(k, s, row);
        }
        if !condition.is_empty() {
            k.close();
        }
    }

    /// The loop of one sweep, with the reductions and stores that happen in it.
    fn sweep(&mut self, k: &mut Builder, sweep: usize, row: &Point) {
        let body = &self.l.body;
        let reduces: Vec<(Val, Val, Reduction)> = (0..body.insts.len())
            .filter_map(|v| match body.insts[v] {
                Inst::Reduce(op, x) if self.levels[v].sweep == sweep + 1 => {
                    Some((v, x, Reduction { op, class: body.class(x) }))
                }
                _ => None,
            })
            .collect();
        let stores: Vec<usize> = (0..body.stores.len())
            .filter(|s| !self.is_row_store(*s) && self.levels[body.stores[*s].value].sweep == sweep)
            .collect();
        if reduces.is_empty() && stores.is_empty() {
            return;
        }
        let roots: Vec<Val> = reduces.iter().map(|r| r.1).chain(stores.iter().map(|s| body.stores[*s].value)).collect();
        let needed = self.elements(&roots);
        let accs: Vec<Vec<String>> = reduces
            .iter()
            .map(|(_, x, r)| {
                let count = if self.varies_by_row(*x, &needed) { row.count() } else { 1 };
                (0..count)
                    .map(|_| {
                        let acc = k.fresh("acc");
                        k.line(format!("var {acc} = {};", r.init()));
                        acc
                    })
                    .collect()
            })
            .collect();
        let (point, flat, depth) = self.open(k, row, reduces.iter().any(|r| r.2.is_search()));
        for v in &needed {
            self.writer.value(k, *v, &point);
        }
        for ((_, x, r), accs) in reduces.iter().zip(&accs) {
            self.accumulate(k, *r, *x, accs, &flat);
        }
        if !stores.is_empty() {
            let inside = self.inside.clone();
            if let Some(inside) = &inside {
                k.open(format!("if {inside} {{"));
            }
            for s in stores {
                self.writer.store(k, s, &point);
            }
            if inside.is_some() {
                k.close();
            }
        }
        for v in needed {
            self.writer.forget(v);
        }
        for _ in 0..depth {
            k.close();
        }
        for ((v, _, r), accs) in reduces.iter().zip(accs) {
            let results: Vec<String> = accs.iter().map(|acc| self.result(k, *r, acc)).collect();
            let value = if results.len() == 1 { Value::One(results[0].clone()) } else { Value::Many(results) };
            self.writer.set(*v, value);
        }
    }

    /// The per-element values that `roots` need, in order.
    fn elements(&self, roots: &[Val]) -> Vec<Val> {
        let body = &self.l.body;
        let mut needed = vec![false; body.insts.len()];
        for v in roots {
            needed[*v] = true;
        }
        for v in (0..body.insts.len()).rev() {
            if needed[v] && !self.levels[v].per_row {
                for operand in body.insts[v].operands() {
                    needed[operand] = true;
                }
            }
        }
        (0..body.insts.len()).filter(|v| needed[*v] && !self.levels[*v].per_row).collect()
    }

    /// Whether value `x` may differ between the points that an invocation takes along `outer`.
    fn varies_by_row(&self, x: Val, needed: &[Val]) -> bool {
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

    /// Opens the loops over `inner`. Gives the point, the position in `inner` where a search needs it, and the number of
    /// blocks to close.
    fn open(&self, k: &mut Builder, row: &Point, search: bool) -> (Point, String, usize) {
        let (inner, step, outer) = (&self.l.inner, self.shape.step(), self.l.outer.len());
        if inner.is_empty() {
            return (row.clone(), String::from("0u"), 0);
        }
        let (js, flat, depth) = if self.shape.height == 1 {
            let last = inner.len() - 1;
            let js: Vec<String> = (0..inner.len()).map(|_| k.fresh("j")).collect();
            for (d, j) in js.iter().enumerate() {
                let advance = if d == last && step > 1 { format!("{j} += {step}u") } else { format!("{j}++") };
                k.open(format!("for (var {j} = 0u; {j} < {}; {advance}) {{", self.extents[d]));
            }
            let flat =
                js.iter().zip(&self.extents).skip(1).fold(js[0].clone(), |f, (j, e)| format!("({f}) * {e} + {j}"));
            let flat = if search && inner.len() > 1 { k.name("flat", flat) } else { flat };
            (js, flat, inner.len())
        } else {
            let j = k.fresh("j");
            let Shape { width, height, .. } = self.shape;
            let first = if width == 1 { "lid".to_string() } else { format!("(lid / {width}u)") };
            let first = if step > 1 { format!("{first} * {step}u") } else { first };
            let advance = height * step as u32;
            let cols = if inner.len() == 1 { self.extents[0].clone() } else { k.params.fixed("cols", self.l.cols()) };
            k.open(format!("for (var {j} = {first}; {j} < {cols}; {j} += {advance}u) {{"));
            (decode(k, &j, inner, &self.extents), j, 1)
        };
        let with = |coords: &[String]| coords[..outer].iter().cloned().chain(js.iter().cloned()).collect::<Vec<_>>();
        let point = match row {
            Point::Along { coords, axis, count, aligned } => {
                if step > 1 {
                    Point::Along { coords: with(coords), axis: outer + inner.len() - 1, count: step, aligned: true }
                } else {
                    Point::Along { coords: with(coords), axis: *axis, count: *count, aligned: *aligned }
                }
            }
            Point::Each(_) => unreachable!("pairs have no inner coordinates"),
        };
        (point, flat, depth)
    }

    fn accumulate(&self, k: &mut Builder, r: Reduction, x: Val, accs: &[String], flat: &str) {
        let value = self.writer.written(x).clone();
        if self.shape.step() > 1 {
            let lane = |i: usize| {
                let position = if i == 0 { flat.to_string() } else { format!("{flat} + {i}u") };
                r.lift(&value.at(i), &position)
            };
            let (low, high) = (r.combine(&lane(0), &lane(1)), r.combine(&lane(2), &lane(3)));
            k.line(format!("{} = {};", accs[0], r.combine(&accs[0], &r.combine(&low, &high))));
        } else {
            for (i, acc) in accs.iter().enumerate() {
                k.line(format!("{acc} = {};", r.combine(acc, &r.lift(&value.at(i), flat))));
            }
        }
    }

    /// The result of an accumulator, combined over the workgroup where it is shared.
    fn result(&self, k: &mut Builder, r: Reduction, acc: &str) -> String {
        if self.shape.height == 1 {
            return k.read("result", r.finish(acc));
        }
        let subgroups = use_subgroups(k.caps, self.shape);
        let function = r.function(self.shape.width, self.shape.height, subgroups);
        if !k.globals.contains(&function) {
            k.globals.push_str(&function);
        }
        let total = k.read("total", r.call(acc, self.shape.width, subgroups));
        k.name("result", r.finish(&total))
    }
}
