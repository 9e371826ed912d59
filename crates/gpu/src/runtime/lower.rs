//! From the launches of a schedule to dispatches.

use std::sync::Arc;

use thalweg_ir::{
    Error, ErrorKind, Result,
    schedule::ir::{BufId, BufferSpec, Inst, Launch, LaunchKind, Linear, Place},
    span::Described,
};

use super::{
    context::Context,
    step::{Copy, Step, Walking},
};
use crate::templates::{
    kernel::{Kernel, Source},
    kernels,
    normalise::normalise,
};

/// Bytes to which the words of a launch are aligned.
const WORDS_ALIGN: usize = 256;

/// What launches come to.
#[derive(Default)]
pub(super) struct Lowered {
    pub steps: Vec<Step>,
    /// The launches that the steps are parts of.
    pub launches: Vec<Described>,
    /// The kernels to compile, with labels.
    pub listed: Vec<(Arc<Kernel>, String)>,
    /// Bytes of all words.
    pub offset: usize,
    /// Bytes of the kernels' own memory.
    pub scratch: usize,
}

/// Lowers launches.
///
/// # Errors
/// A launch that no kernel can do or that binds more than the device can.
pub(super) fn lower(context: &Context, launches: &[Launch], buffers: &[BufferSpec]) -> Result<Lowered> {
    let mut lowered = Lowered::default();
    let made = make(context, launches, buffers, &mut lowered)?;
    for (launch, made) in launches.iter().filter(|l| !is_empty(l)).zip(&made) {
        lowered.launches.push(Described::new(launch, buffers));
        lowered.dispatch(context, std::slice::from_ref(made), buffers, &Arc::default());
    }
    Ok(lowered)
}

/// A launch with its kernels, which are made once however often it is dispatched.
enum Made {
    Once { launch: Box<Launch>, kernels: Vec<Arc<Kernel>>, copy: Option<Copy> },
    Repeat { times: usize, launches: Vec<Made>, walking: Vec<BufId> },
}

fn make(context: &Context, launches: &[Launch], buffers: &[BufferSpec], to: &mut Lowered) -> Result<Vec<Made>> {
    let mut all = Vec::with_capacity(launches.len());
    for launch in launches.iter().filter(|l| !is_empty(l)) {
        if let LaunchKind::Repeat(repeat) = &launch.work.code.kind {
            let (launches, walking) = launch.work.steps();
            let launches = make(context, &launches, buffers, to)?;
            all.push(Made::Repeat { times: repeat.times, launches, walking });
            continue;
        }
        let (kind, label) = (launch.work.kind(), launch.title.to_string());
        let kernels = kernels(&kind, buffers, &context.caps)
            .map_err(|e| Error::new("plan", ErrorKind::Invalid(format!("{label}: {e}"))))?;
        let copy = copy(&kind, buffers);
        for kernel in &kernels {
            check_bindings(kernel, buffers, context, &label)?;
            to.scratch = to.scratch.max(kernel.scratch_len * 4);
        }
        let kernels: Vec<Arc<Kernel>> = kernels.into_iter().map(Arc::new).collect();
        let compiled = kernels.iter().skip(usize::from(copy.is_some()));
        to.listed.extend(compiled.map(|kernel| (kernel.clone(), label.clone())));
        all.push(Made::Once { launch: Box::new(launch.clone()), kernels, copy });
    }
    Ok(all)
}

impl Lowered {
    fn dispatch(&mut self, context: &Context, made: &[Made], buffers: &[BufferSpec], walking: &Arc<Walking>) {
        for launch in made {
            match launch {
                Made::Once { launch, kernels, copy } => {
                    let copies = std::iter::once(copy.clone()).chain(std::iter::repeat_with(|| None));
                    for (kernel, copy) in kernels.iter().zip(copies) {
                        let checks = launch.work.checks().iter().map(|check| (context.number_of(check), check.clone()));
                        self.steps.push(Step {
                            kernel: kernel.clone(),
                            launch: self.launches.len() - 1,
                            walking: walking.clone(),
                            copy,
                            label: launch.title.to_string(),
                            checks: checks.collect(),
                            offset: self.offset,
                            variants: Vec::new(),
                            clock: 0,
                        });
                        let size = (kernel.words.len() * 4).next_multiple_of(16);
                        self.offset += size.next_multiple_of(WORDS_ALIGN);
                    }
                }
                Made::Repeat { times, launches, walking: walkers } => {
                    for time in 0..*times {
                        let mut here = Walking::clone(walking);
                        for buf in walkers {
                            if let Place::Walk { of, walk } = buffers[*buf].place {
                                // What it is in may walk itself, in a repetition around this one.
                                let (root, start) = walking.get(&of).copied().unwrap_or((of, 0));
                                here.insert(*buf, (root, start + walk.at(time)));
                            }
                        }
                        self.dispatch(context, launches, buffers, &Arc::new(here));
                    }
                }
            }
        }
    }
}

/// An error if a kernel binds more pieces of buffers than the device can, or counts elements beyond 32 bits.
fn check_bindings(kernel: &Kernel, buffers: &[BufferSpec], context: &Context, label: &str) -> Result<()> {
    let (most, each) = (context.caps.max_bindings as usize, context.caps.max_binding);
    let count: usize =
        kernel.bindings.iter().map(|b| b.windows.count).sum::<usize>() + usize::from(context.caps.software);
    let lens = kernel
        .bindings
        .iter()
        .filter_map(|b| if let Source::Buffer(buf) = b.source { Some(&buffers[buf]) } else { None });
    let largest = lens.max_by_key(|spec| spec.len * spec.dtype.size_bytes());
    let Some(largest) = largest.filter(|l| count > most || l.len > u32::MAX as usize - 256) else { return Ok(()) };
    let problem = format!(
        "{label} needs {count} bindings of at most {each} bytes, of which this device has {most}; its largest tensor has {} \
         elements ({})",
        largest.len, largest.dtype
    );
    Err(Error::new("plan", ErrorKind::Memory(problem)))
}

/// The copy that a launch is, if it is one: each element of a dense run goes to the same place of another, unchanged.
fn copy(kind: &LaunchKind, buffers: &[BufferSpec]) -> Option<Copy> {
    let LaunchKind::Loop(l) = kind else { return None };
    let l = normalise(l);
    let ([Inst::Load { buf, at }], [store]) = (&l.body.insts[..], &l.body.stores[..]) else { return None };
    let dense = |at: &Linear| at.coef.iter().all(|c| *c == 1);
    let dtype = buffers[*buf].dtype;
    let (bytes, from, to) = (l.rows() * dtype.size_bytes(), at.base.offset as usize, store.at.offset as usize);
    let (from, to) = (from * dtype.size_bytes(), to * dtype.size_bytes());
    let same = l.inner.is_empty()
        && l.outer.len() <= 1
        && dense(&at.base)
        && at.terms.is_empty()
        && dense(&store.at)
        && dtype == buffers[store.buf].dtype
        && [bytes, from, to].iter().all(|b| b.is_multiple_of(4));
    same.then_some(Copy { from: (*buf, from as u64), to: (store.buf, to as u64), bytes: bytes as u64 })
}

/// Whether a launch has no point to compute.
fn is_empty(launch: &Launch) -> bool {
    match &launch.work.code.kind {
        LaunchKind::Loop(l) => l.outer.contains(&0),
        LaunchKind::Whole(w) => w.outputs.iter().flatten().all(|array| array.shape.contains(&0)),
        LaunchKind::Repeat(r) => r.times == 0 || r.launches.iter().all(is_empty),
        LaunchKind::Contract(c) => [&c.batch, &c.m, &c.n].into_iter().any(|extents| extents.contains(&0)),
    }
}
