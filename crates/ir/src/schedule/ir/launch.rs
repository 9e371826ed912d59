//! Code that many launches share, and what each of them runs over.
//!
//! ```text
//! code       b2[i] = s0 · b0[i] + b1[i]         once for all turns of a loop, and its kernel with it
//! launches   b0, b1, b2 = 4, 7, 9     s0 = 2
//!            b0, b1, b2 = 9, 8, 12    s0 = 2
//! ```

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

use smallvec::SmallVec;

use super::{Body, BufId, BufIds, Check, Contract, Inst, Loop, Title, Whole};
use crate::{
    fragment::Fragment,
    op::primitive::Primitive,
    program::{Label, NodeId},
};

/// A recorded step, so many times: launches over buffers some of which lie elsewhere every time.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// How many times.
    pub times: usize,
    /// A step.
    pub launches: Vec<Launch>,
    /// The buffers that lie elsewhere at every step; those of a repetition within a step walk there.
    pub walking: Vec<BufId>,
    /// What all steps together read and write.
    pub whole: Whole,
    /// What they need beside, of which nothing is wanted behind them.
    pub scratch: Vec<BufId>,
}

/// Work that a backend starts at once.
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchKind {
    /// A loop nest.
    Loop(Loop),
    /// A contraction.
    Contract(Contract),
    /// A primitive.
    Whole(Whole),
    /// A recorded step, walked over.
    Repeat(Repeat),
}

impl LaunchKind {
    /// The buffers it reads, each once, operands first.
    pub fn reads(&self) -> BufIds {
        let all: BufIds = match self {
            LaunchKind::Loop(l) => return l.body.reads(),
            LaunchKind::Contract(c) => c.bodies().into_iter().flat_map(Body::reads).collect(),
            LaunchKind::Whole(whole) | LaunchKind::Repeat(Repeat { whole, .. }) => {
                whole.inputs.iter().map(|array| array.buf).collect()
            }
        };
        let mut reads = BufIds::new();
        for buf in all {
            if !reads.contains(&buf) {
                reads.push(buf);
            }
        }
        reads
    }

    /// The buffers it writes, each once.
    pub fn writes(&self) -> BufIds {
        let results = |whole: &Whole| whole.outputs.iter().flatten().map(|array| array.buf).collect::<BufIds>();
        match self {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => {
                body.stores.iter().map(|s| s.buf).collect()
            }
            LaunchKind::Whole(whole) => results(whole),
            LaunchKind::Repeat(Repeat { whole, scratch, .. }) => {
                results(whole).into_iter().chain(scratch.iter().copied()).collect()
            }
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            LaunchKind::Loop(_) => "loop",
            LaunchKind::Contract(_) => "contract",
            LaunchKind::Whole(w) => w.op.name(),
            LaunchKind::Repeat(r) => r.whole.op.name(),
        }
    }

    /// The code of results, if it has some.
    pub fn body(&self) -> Option<&Body> {
        match self {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => Some(body),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => None,
        }
    }

    /// Instructions.
    pub fn size(&self) -> usize {
        self.body().map_or(0, |body| body.insts.len())
    }

    /// Every place that names a host scalar.
    pub fn scalars_mut(&mut self) -> impl Iterator<Item = &mut usize> {
        let insts = self.bodies_mut().into_iter().flat_map(|body| &mut body.insts);
        insts.filter_map(|inst| if let Inst::Scalar(slot) = inst { Some(slot) } else { None })
    }

    /// All of its code, to be changed: a contraction's operands have some too.
    pub fn bodies_mut(&mut self) -> Vec<&mut Body> {
        match self {
            LaunchKind::Loop(l) => vec![&mut l.body],
            LaunchKind::Contract(c) => c.bodies_mut().into(),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => vec![],
        }
    }

    /// The code of results, to be changed.
    pub fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => Some(body),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => None,
        }
    }

    /// Every place that names a buffer.
    pub fn buffers_mut(&mut self) -> Vec<&mut BufId> {
        match self {
            LaunchKind::Loop(l) => l.body.buffers_mut().collect(),
            LaunchKind::Contract(c) => c.bodies_mut().into_iter().flat_map(Body::buffers_mut).collect(),
            LaunchKind::Whole(whole) => whole.arrays_mut().map(|array| &mut array.buf).collect(),
            LaunchKind::Repeat(Repeat { launches, walking, whole, scratch, .. }) => {
                let inner = launches.iter_mut().flat_map(|launch| &mut launch.work.buffers);
                let outer = whole.arrays_mut().map(|array| &mut array.buf);
                inner.chain(walking).chain(outer).chain(scratch).collect()
            }
        }
    }
}

/// Host scalars of a launch.
pub type Slots = SmallVec<[usize; 2]>;

/// What to do, with buffers and host scalars numbered in order of appearance. The buffers of all that share it have the same dtypes and
/// lengths.
#[derive(Clone)]
pub struct Code {
    /// The code.
    pub kind: LaunchKind,
    reads: BufIds,
    writes: BufIds,
    kernel: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Code {
    fn new(kind: LaunchKind) -> Code {
        Code { reads: kind.reads(), writes: kind.writes(), kind, kernel: OnceLock::new() }
    }

    /// What a device made of it, if that is there and of this type.
    pub fn kernel<K: Any + Send + Sync>(&self) -> Option<Arc<K>> {
        self.kernel.get()?.clone().downcast().ok()
    }

    /// Keeps what a device made of it.
    pub fn keep<K: Any + Send + Sync>(&self, kernel: &Arc<K>) {
        // Another kernel of the same code is as good.
        let _ = self.kernel.set(kernel.clone());
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        self.kind == other.kind
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Code, and what it runs over.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// What to do.
    pub code: Arc<Code>,
    /// The buffer of each number, no two the same.
    pub buffers: BufIds,
    /// The host scalar of each number.
    pub scalars: Slots,
}

impl Work {
    /// Of code over these very buffers and host scalars.
    pub fn new(mut kind: LaunchKind) -> Work {
        fn number<A: smallvec::Array<Item = usize>>(of: &mut usize, known: &mut SmallVec<A>) {
            let at = known.iter().position(|k| k == of).unwrap_or(known.len());
            if at == known.len() {
                known.push(*of);
            }
            *of = at;
        }
        let (mut buffers, mut scalars) = (BufIds::new(), Slots::new());
        kind.buffers_mut().into_iter().for_each(|buf| number(buf, &mut buffers));
        kind.scalars_mut().for_each(|slot| number(slot, &mut scalars));
        Work { code: Arc::new(Code::new(kind)), buffers, scalars }
    }

    /// The same elsewhere, where no two buffers fall together.
    pub fn moved(&self, buffer: impl Fn(BufId) -> BufId, scalar: impl Fn(usize) -> usize) -> Work {
        let buffers = self.buffers.iter().map(|buf| buffer(*buf)).collect();
        Work { code: self.code.clone(), buffers, scalars: self.scalars.iter().map(|slot| scalar(*slot)).collect() }
    }

    /// Its code over its buffers and host scalars.
    pub fn kind(&self) -> LaunchKind {
        let mut kind = self.code.kind.clone();
        kind.buffers_mut().into_iter().for_each(|buf| *buf = self.buffers[*buf]);
        kind.scalars_mut().for_each(|slot| *slot = self.scalars[*slot]);
        kind
    }

    /// The primitive that it is, over its buffers.
    pub fn whole(&self) -> Option<Whole> {
        let LaunchKind::Whole(whole) = &self.code.kind else { return None };
        let mut whole = whole.clone();
        whole.arrays_mut().for_each(|array| array.buf = self.buffers[array.buf]);
        Some(whole)
    }

    /// Of a [`Repeat`] the launches of a step, and what walks, over these buffers.
    pub fn steps(&self) -> (Vec<Launch>, Vec<BufId>) {
        let LaunchKind::Repeat(repeat) = &self.code.kind else { return Default::default() };
        let here = |launch: &Launch| {
            let work = launch.work.moved(|buf| self.buffers[buf], |slot| slot);
            Launch { work, ..launch.clone() }
        };
        let walking = repeat.walking.iter().map(|buf| self.buffers[*buf]).collect();
        (repeat.launches.iter().map(here).collect(), walking)
    }

    /// The number that a buffer has in the code.
    pub fn number(&self, buf: BufId) -> Option<usize> {
        self.buffers.iter().position(|known| *known == buf)
    }

    /// The buffers it reads, each once, operands first.
    pub fn reads(&self) -> impl Iterator<Item = BufId> {
        self.code.reads.iter().map(|buf| self.buffers[*buf])
    }

    /// The buffers it writes, each once.
    pub fn writes(&self) -> impl Iterator<Item = BufId> {
        self.code.writes.iter().map(|buf| self.buffers[*buf])
    }

    /// What looks at positions that are data.
    pub fn checks(&self) -> &[Check] {
        self.code.kind.body().map_or(&[], |body| &body.checks)
    }

    /// The same, to be changed: the code is its own then.
    pub fn checks_mut(&mut self) -> &mut [Check] {
        match self.checks() {
            [] => &mut [],
            _ => Arc::make_mut(&mut self.code).kind.body_mut().map_or(&mut [], |body| &mut body.checks),
        }
    }

    /// Whether it looks at positions that are data.
    pub fn looks(&self) -> bool {
        match &self.code.kind {
            LaunchKind::Whole(Whole { op: Primitive::Scan(scan), .. }) => {
                scan.step.program::<Fragment>().is_some_and(Fragment::looks)
            }
            LaunchKind::Repeat(repeat) => repeat.launches.iter().any(|launch| launch.work.looks()),
            _ => !self.checks().is_empty(),
        }
    }
}

/// One launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What to do, and over what.
    pub work: Work,
    /// What it is called.
    pub title: Title,
    /// The nodes of the program that it computes, first the one that it is known by.
    pub members: Vec<NodeId>,
}

impl Launch {
    /// One that no tensor stands for.
    #[track_caller]
    pub fn here(kind: LaunchKind, op: &'static str) -> Launch {
        Launch { work: Work::new(kind), title: Label::here(op).into(), members: Vec::new() }
    }
}
