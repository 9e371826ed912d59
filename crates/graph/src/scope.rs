//! Where a node comes from: what it is told when it is made, by its inputs and by the scope that its thread is in.

use std::{cell::RefCell, marker::PhantomData, mem, panic::Location};

use thalweg_ir::{DType, Name, is_ours, program::Phase};

use crate::device::Device;

/// The nearest parameter, and how many edges lie between.
type Near = Option<(Name, u32)>;

/// Where a node was made, and the nearest parameter.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub location: &'static Location<'static>,
    pub near: Near,
    /// The method it is a part of, if that is made of several ops.
    pub composite: Option<&'static str>,
    pub phase: Phase,
}

impl Origin {
    /// Of a node made at `location`, as the scope has it, from inputs with these parameters near. The nearest is that of the op
    /// itself, if it has one, not of what it works on.
    pub fn new<'a>(location: &'static Location<'static>, inputs: impl Iterator<Item = &'a Origin>) -> Origin {
        let nearest = inputs.filter_map(|input| input.near.as_ref()).min_by_key(|(_, distance)| *distance);
        Origin::at(location, nearest.map(|(name, distance)| (name.clone(), distance.saturating_add(1))))
    }

    /// The same with this parameter near, if the scope has none.
    pub fn at(location: &'static Location<'static>, near: Near) -> Origin {
        CURRENT.with_borrow(|scope| Origin {
            location: scope.location.filter(|_| is_ours(location.file())).unwrap_or(location),
            near: scope.near.clone().unwrap_or(near),
            composite: scope.composite,
            phase: scope.phase,
        })
    }

    /// Of a leaf, which is what it is wherever it is made.
    pub fn leaf(location: &'static Location<'static>, near: Near) -> Origin {
        Origin { location, near, composite: None, phase: Phase::Forward }
    }

    /// The name of the nearest parameter.
    pub fn name(&self) -> Option<Name> {
        self.near.as_ref().map(|(name, _)| name.clone())
    }
}

/// What nodes are told that this thread makes.
#[derive(Clone, Default)]
struct Current {
    phase: Phase,
    composite: Option<&'static str>,
    /// Where those are said to be made that a file of ours makes: its closures and gradient rules do not know their caller.
    location: Option<&'static Location<'static>>,
    /// The parameter they are said to be near, or that they are near none.
    near: Option<Near>,
    /// What contractions compute in, if it is not for their device to say.
    compute: Option<Option<DType>>,
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::default();
}

/// The scope that a thread's nodes are made in, until it is dropped. Scopes end in the reverse order of their beginning.
#[must_use = "a scope ends when it is dropped"]
pub struct Scope {
    before: Current,
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(mem::take(&mut self.before));
    }
}

impl Scope {
    fn enter(change: impl FnOnce(&Current) -> Current) -> Scope {
        let inside = CURRENT.with_borrow(|now| change(now));
        Scope { before: CURRENT.replace(inside), of_this_thread: PhantomData }
    }

    /// Of a method made of several ops: launches are known by its name, and by where it was called. Inside another it is a part of
    /// that one.
    #[track_caller]
    pub fn composite(name: &'static str) -> Scope {
        let caller = Location::caller();
        Scope::enter(|now| Current {
            composite: now.composite.or(Some(name)),
            location: now.location.or(Some(caller)),
            ..now.clone()
        })
    }

    /// Of code that was handed on and does not know who asked: what a file of ours makes is said to be made where this was called.
    #[track_caller]
    pub fn called() -> Scope {
        let caller = Location::caller();
        Scope::enter(|now| Current { location: now.location.or(Some(caller)), ..now.clone() })
    }

    /// Of what an optimizer does in a step taken by the caller.
    #[track_caller]
    pub fn update() -> Scope {
        let location = Some(Location::caller());
        Scope::enter(|_| Current { phase: Phase::Update, location, near: Some(None), ..Current::default() })
    }

    /// In which contractions compute in f32: see [`keep_f32`].
    pub fn keep_f32() -> Scope {
        Scope::enter(|now| Current { compute: Some(None), ..now.clone() })
    }

    /// Of the gradient of a node, which is of the same parameter and the same line, and computes in the same dtype.
    pub(crate) fn backward(of: &Origin, compute: Option<DType>) -> Scope {
        Scope::enter(|_| Current {
            phase: Phase::Backward,
            composite: of.composite,
            location: Some(of.location),
            near: Some(of.near.clone()),
            compute: Some(compute),
        })
    }

    /// What a contraction computes in that is recorded now on this device, if not in its own dtype.
    pub(crate) fn compute_dtype(device: &Device) -> Option<DType> {
        CURRENT.with_borrow(|scope| scope.compute).unwrap_or_else(|| device.compute_dtype())
    }
}

/// What `f` gives. Contractions that are recorded in it compute in f32 whatever the precision of their device, and so do their
/// gradients; what it computes and what it reads is stored in f32. For a head whose logits need their digits, say.
///
/// ```ignore
/// let logits = keep_f32(|| self.head.forward(&x));
/// ```
pub fn keep_f32<T>(f: impl FnOnce() -> T) -> T {
    let _scope = Scope::keep_f32();
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::new(Location::caller(), std::iter::empty())
    }

    #[test]
    fn scopes_nest_and_end() {
        let line = line!() + 1;
        let outer = Scope::composite("cross_entropy");
        {
            let _inner = Scope::composite("log_softmax");
            let inside = origin();
            assert_eq!((inside.composite, inside.location.line()), (Some("cross_entropy"), line));
            let _gradient = Scope::backward(&Origin { composite: None, ..inside }, None);
            assert_eq!((origin().composite, origin().phase, origin().location.line()), (None, Phase::Backward, line));
        }
        assert_eq!(origin().phase, Phase::Forward);
        drop(outer);
        assert_eq!((origin().composite, origin().location.file()), (None, file!()));
    }
}
