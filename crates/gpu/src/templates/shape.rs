//! Which of the forms of a loop kernel a loop nest gets.

use thalweg_ir::{
    ReduceOp,
    schedule::ir::{Access, Inst, Loop},
};

use super::{Caps, kind::Kind, point::Point};

/// Loop iterations of one invocation beyond which software Vulkan silently stops (it does at 65,535), with a margin.
pub const MAX_ITERATIONS: usize = 32_768;

/// Which coordinate an invocation takes four neighbours of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// None: one point at a time.
    One,
    /// Four along the last outer coordinate.
    Outer,
    /// Four along the last inner coordinate.
    Inner,
    /// Two that follow each other in the store, with coordinates of their own: 16-bit results whose rows are odd.
    Pair,
}

/// The form of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What is vectorised.
    pub lanes: Lanes,
    /// Invocations of a workgroup that lie along `outer`.
    pub width: u32,
    /// Invocations of a workgroup that share a point of `outer`; 1: each invocation does its points alone.
    pub height: u32,
}

impl Shape {
    /// Points of `outer` that one invocation takes.
    pub fn points(self) -> usize {
        match self.lanes {
            Lanes::Outer => 4,
            Lanes::Pair => 2,
            _ => 1,
        }
    }

    /// Points of `inner` that one invocation takes at once.
    pub fn step(self) -> usize {
        if self.lanes == Lanes::Inner { 4 } else { 1 }
    }
}

/// The form for a normalised loop nest.
pub fn choose(l: &Loop, kinds: &dyn Fn(usize) -> Kind, caps: &Caps) -> Shape {
    let lanes = lanes(l, kinds);
    let alone = |width: u32| Shape { lanes, width: width.min(caps.max_workgroup), height: 1 };
    let invocations = l.rows().div_ceil(alone(1).points());
    let cols = l.cols().div_ceil(alone(1).step());
    if l.inner.is_empty() {
        return alone(if invocations >= 4096 { 256 } else { 64 });
    }
    let sweeps = sweeps(l);
    let fits = cols * sweeps < MAX_ITERATIONS / 2;
    // Neighbouring points of `outer` side by side are neighbours in memory.
    let column = lanes == Lanes::Outer || (lanes == Lanes::One && strided_inner(l));
    // Alone an invocation walks its own row: caches like that, GPUs want neighbours to read neighbours.
    let enough = if caps.software { invocations >= 256 } else { column && invocations >= 16_384 };
    if fits && (enough || cols <= 16) {
        return alone(64);
    }
    // Every invocation leaves its sums in workgroup memory, and a tree halves what is left until one is.
    let most = caps.max_workgroup.min(caps.workgroup_bytes / sum_bytes(l, lanes).max(1)).max(1);
    let most = 1 << most.ilog2();
    let side = if caps.software { 8 } else { 16 };
    let width = if column { side.min((invocations as u32).next_power_of_two()).min(most) } else { 1 };
    // Software is fastest without trees, as long as loops stay short; GPUs with as many lanes as there is work for.
    let whole = match caps.software {
        true if cols * sweeps < 16_384 => caps.subgroup_size.clamp(4, 64),
        false if cols <= 128 => 64,
        _ => 256,
    };
    let whole = whole.max(width).min(most);
    Shape { lanes, width, height: (whole / width).max(1) }
}

/// Bytes of all that an invocation combines.
fn sum_bytes(l: &Loop, lanes: Lanes) -> u32 {
    let bytes = l.body.insts.iter().map(|inst| match inst {
        // A number and its position.
        Inst::Reduce(ReduceOp::ArgMax | ReduceOp::ArgMin, _) => 8,
        Inst::Reduce(..) => 4,
        _ => 0,
    });
    bytes.sum::<u32>() * if lanes == Lanes::Outer { 4 } else { 1 }
}

/// Sweeps over `inner`.
pub fn sweeps(l: &Loop) -> usize {
    l.levels().iter().map(|level| level.sweep).max().unwrap_or(0) + 1
}

/// Whether the first load that runs along the last inner coordinate steps over it with a stride, and along the last
/// outer one without.
fn strided_inner(l: &Loop) -> bool {
    let (outer, last) = (l.outer.len(), l.outer.len() + l.inner.len() - 1);
    l.body.insts.iter().any(|inst| match inst {
        Inst::Load { at, .. } if outer > 0 => at.base.coef[outer - 1] == 1 && at.base.coef[last].abs() > 1,
        _ => false,
    })
}

/// The coordinate along which most loads and stores are four wide.
fn lanes(l: &Loop, kinds: &dyn Fn(usize) -> Kind) -> Lanes {
    let rank = l.outer.len() + l.inner.len();
    let along = |axis: usize| Point::Along { coords: vec![String::new(); rank], axis, count: 4, aligned: true };
    // What happens at every point of `inner` counts more than what happens once for each point of `outer`.
    let varies = |at: &Access| !l.inner.is_empty() && (l.outer.len()..rank).any(|d| !at.ignores(d));
    let weight = |at: &Access| if varies(at) { 16 } else { 1 };
    let wide = |axis: usize| -> usize {
        let point = along(axis);
        let gain = |at: &Access| if point.wide(at, &[]) { weight(at) } else { 0 };
        let loads = l.body.insts.iter().map(|inst| match inst {
            Inst::Load { at, .. } => gain(at),
            Inst::Random { at, .. } => gain(&plain(at)),
            _ => 0,
        });
        loads.sum::<usize>() + l.body.stores.iter().map(|s| gain(&plain(&s.at))).sum::<usize>()
    };
    let gain = |extent: Option<&usize>, axis: usize| match extent {
        Some(extent) if extent.is_multiple_of(4) => wide(axis),
        _ => 0,
    };
    let mut outer = gain(l.outer.last(), l.outer.len().wrapping_sub(1));
    // Four rows at once are four times the code: worth it only where they read neighbours.
    let loads = l.body.insts.iter().filter(|inst| matches!(inst, Inst::Load { at, .. } if varies(at)));
    let loads_wide = |inst: &&Inst| matches!(inst, Inst::Load { at, .. } if along(l.outer.len() - 1).wide(at, &[]));
    if outer > 0 && 2 * loads.clone().filter(loads_wide).count() < loads.count() {
        outer = 0;
    }
    let inner = gain(l.inner.last(), rank.wrapping_sub(1));
    if outer == 0 && inner == 0 {
        let packed = l.body.stores.iter().any(|s| kinds(s.buf).packed());
        return if packed && l.inner.is_empty() && sweeps(l) == 1 && dense_stores(l) {
            Lanes::Pair
        } else {
            Lanes::One
        };
    }
    if inner >= outer { Lanes::Inner } else { Lanes::Outer }
}

/// Whether every store runs through its elements in the order of the points, from an even one.
fn dense_stores(l: &Loop) -> bool {
    l.body.stores.iter().all(|s| {
        let mut step = 1;
        let dense = l.outer.iter().zip(&s.at.coef).rev().all(|(e, c)| {
            let fits = *c == step;
            step *= *e as i64;
            fits
        });
        dense && s.at.offset % 2 == 0
    })
}

fn plain(at: &thalweg_ir::schedule::ir::Linear) -> Access {
    Access { base: at.clone(), terms: vec![], fill: 0.0 }
}
