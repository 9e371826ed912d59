//! What a recording sees of the runs that happen while it is made.

use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::Location,
    sync::Arc,
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    program::{Bindings, Program},
    storage::Region,
};

use crate::{
    device::Device,
    tensor::{Role, Tensor},
    variable::Variable,
};

/// One run.
pub(crate) struct Run {
    pub device: Device,
    pub program: Program,
    pub bindings: Bindings,
    /// Of each of the program's leaves, the node's id: of two runs that read one node, both get the same value.
    pub leaves: Vec<(u64, Role)>,
    /// Of each of its scalars.
    pub scalars: Vec<(u64, Role)>,
    /// The outputs whose targets are these variables'.
    pub written: Vec<(usize, Variable)>,
    /// Of its outputs.
    pub regions: Vec<Region>,
}

/// What happens again in a replay.
pub(crate) enum Event {
    Run(Box<Run>),
    /// Something on the host that follows a run.
    Effect(Arc<dyn Fn() -> Result<()> + Send + Sync>),
}

/// Whether something on the host is as it was.
#[derive(Clone)]
pub(crate) struct Condition(Arc<dyn Fn() -> bool + Send + Sync>);

impl Condition {
    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.holds())
    }
}

/// Of what on the host a recording may depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// A mode, by its address.
    Mode(usize),
    /// The flags of a variable, by its key.
    Flags(u64),
    /// The seed of a random stream, by its address.
    Seed(usize),
}

/// What has happened since the recording began, in order.
pub(crate) struct Tape {
    pub events: Vec<Event>,
    /// The states that were read or set.
    pub states: Vec<Variable>,
    /// Whether a step was taken, which writes whatever this thread has set.
    pub steps: bool,
    /// Of variables that were moved, where they were before.
    pub places: Vec<(Variable, Region)>,
    /// What the function asked on the host, and must be answered alike for a replay to do what it would do: modes, frozen flags,
    /// seeds.
    pub conditions: Vec<(On, Condition)>,
    /// Nodes with smaller ids were made before the recording: what is live in them is constant here.
    first: u64,
}

thread_local! {
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
    /// While something happens that is none of the recording's business: the id of the first node that is.
    static SUSPENDED: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Whether a recording is being made on this thread.
pub(crate) fn is_recording() -> bool {
    TAPE.with_borrow(Option::is_some)
}

/// A number that only the recording has that is being made on this thread.
pub(crate) fn number() -> Option<u64> {
    TAPE.with_borrow(|tape| tape.as_ref().map(|tape| tape.first))
}

/// What a function does, as a tape. `first` is the id of the next node. One recording at a time.
pub(crate) fn record<T>(first: u64, f: impl FnOnce() -> Result<T>) -> Result<(T, Tape)> {
    /// Ends the recording, also when the function panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            TAPE.set(None);
        }
    }
    TAPE.set(Some(Tape {
        events: Vec::new(),
        states: Vec::new(),
        steps: false,
        places: Vec::new(),
        conditions: Vec::new(),
        first,
    }));
    let _end = End;
    let value = f()?;
    match TAPE.take() {
        Some(tape) => Ok((value, tape)),
        None => Err(Error::new("compile", ErrorKind::Invalid("the recording was ended from inside".into()))),
    }
}

/// Runs a function whose runs and reads are none of the recording's business.
pub(crate) fn unrecorded<T>(f: impl FnOnce() -> T) -> T {
    let Some(tape) = TAPE.take() else { return f() };
    SUSPENDED.set(tape.first);
    let value = f();
    SUSPENDED.set(u64::MAX);
    TAPE.set(Some(tape));
    value
}

/// Whether a node belongs to a recording that does not see what happens now: a run must leave it to the recording.
pub(crate) fn is_suspended(node: &Tensor) -> bool {
    node.id() >= SUSPENDED.get()
}

/// Puts a run on the tape, if there is one.
pub(crate) fn ran(run: impl FnOnce() -> Run) {
    TAPE.with_borrow_mut(|tape| {
        let Some(tape) = tape else { return };
        let mut run = run();
        for (id, role) in run.leaves.iter_mut().chain(&mut run.scalars) {
            if matches!(role, Role::Live(_)) && *id < tape.first {
                *role = Role::Plain;
            }
        }
        tape.events.push(Event::Run(Box::new(run)));
    });
}

/// Puts something on the tape that the host does after the latest run.
pub(crate) fn did<F: Fn() -> Result<()> + Send + Sync + 'static>(effect: impl FnOnce() -> F) {
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape {
            tape.events.push(Event::Effect(Arc::new(effect())));
        }
    });
}

/// Notes that a recording depends on something on the host.
pub(crate) fn depends<F: Fn() -> bool + Send + Sync + 'static>(on: On, condition: impl FnOnce() -> F) {
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape
            && !tape.conditions.iter().any(|(known, _)| *known == on)
        {
            tape.conditions.push((on, Condition(Arc::new(condition()))));
        }
    });
}

/// Notes that a recording depends on both flags of a variable.
pub(crate) fn depends_on_flags(variable: &Variable) {
    depends(On::Flags(variable.key()), || {
        let (variable, then) = (variable.clone(), variable.flags());
        move || variable.flags() == then
    });
}

/// Notes that a state is used; says whether that is the first time in this recording.
pub(crate) fn meets(state: &Variable) -> bool {
    TAPE.with_borrow_mut(|tape| match tape {
        Some(tape) if !tape.states.iter().any(|known| known.same(state)) => {
            tape.states.push(state.clone());
            true
        }
        _ => false,
    })
}

/// Whether a state has been used in this recording.
pub(crate) fn has_met(state: &Variable) -> bool {
    TAPE.with_borrow(|tape| tape.as_ref().is_some_and(|tape| tape.states.iter().any(|known| known.same(state))))
}

/// Notes where a variable lies that is about to be moved.
pub(crate) fn moves(variable: &Variable) {
    TAPE.with_borrow_mut(|tape| {
        if let Some(tape) = tape
            && !tape.places.iter().any(|(known, _)| known.same(variable))
        {
            tape.places.push((variable.clone(), variable.home()));
        }
    });
}

/// Notes that a step is taken.
pub(crate) fn steps() {
    TAPE.with_borrow_mut(|tape| tape.iter_mut().for_each(|tape| tape.steps = true));
}

/// The states that were used so far.
pub(crate) fn states() -> Vec<Variable> {
    TAPE.with_borrow(|tape| tape.as_ref().map_or_else(Vec::new, |tape| tape.states.clone()))
}

/// An error if the host asks for a value while a recording is made: a replay would not ask again.
#[track_caller]
pub(crate) fn check_read(op: &'static str) -> Result<()> {
    if !is_recording() {
        return Ok(());
    }
    let problem = "a function that is being compiled reads a value, which replays would not do again; return the tensor \
                   and read it outside";
    Err(Error::at(op, ErrorKind::Invalid(problem.into()), Location::caller(), None))
}
