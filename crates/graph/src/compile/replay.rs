//! A recording: what to bind to the runs of a function, and how to do them again.

use std::{fmt, panic::Location, sync::Arc};

use super::copy::copy;
use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    program::{Bindings, Program},
    storage::Region,
};

use crate::{
    device::Device,
    record::{Condition, Event, Run, Tape},
    tensor::{Live, Role, Tensor},
    variable::{Variable, pending_anywhere, settle, waiting},
};

/// Everything that a function did, and where what it read came from.
#[derive(Debug)]
pub(super) struct Recording<const M: usize> {
    events: Vec<Replay>,
    states: Vec<Variable>,
    /// Whether it takes a step, which writes whatever this thread has set.
    steps: bool,
    conditions: Vec<Condition>,
    /// Asked for once by each replay, in the order in which the function made them.
    live: Vec<(u64, Live)>,
    /// Where the variables were that it reads, writes or moves, when it began.
    places: Vec<(Variable, Region)>,
    /// Buffers that a replay reads or writes and that are no inputs.
    fixed: Vec<Region>,
    results: Vec<(Value, Device)>,
}

enum Replay {
    Run(Box<Rerun>),
    Effect(Arc<dyn Fn() -> Result<()> + Send + Sync>),
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replay::Run(run) => write!(f, "Run({:?}, {:?})", run.leaves, run.scalars),
            Replay::Effect(_) => f.write_str("Effect"),
        }
    }
}

/// A program, and what every replay binds to it.
struct Rerun {
    device: Device,
    program: Program,
    leaves: Vec<Value>,
    scalars: Vec<Number>,
    targets: Vec<Option<Target>>,
}

#[derive(Debug)]
enum Number {
    Fixed(f64),
    Live(usize),
}

/// Where an output is written.
enum Target {
    Fixed(Region),
    /// Where the variable's next value belongs then.
    Next(Variable),
}

/// A leaf of a run or a result.
#[derive(Debug)]
struct Value {
    source: Source,
    /// From the start of the source's region.
    offset: usize,
    shape: Vec<usize>,
    len: usize,
    dtype: DType,
}

#[derive(Clone, Debug)]
enum Source {
    Input(usize),
    /// Of an earlier run, an output.
    Made(usize, usize),
    Live(usize),
    /// Where the variable's value is then.
    Now(Variable),
    Fixed(Region),
}

/// What one replay binds.
struct Bound {
    inputs: Vec<Region>,
    numbers: Vec<f64>,
    tensors: Vec<Option<Region>>,
    made: Vec<Vec<Region>>,
}

fn broken(problem: &str) -> Error {
    Error::new("compile", ErrorKind::Device(format!("internal: {problem}")))
}

impl<const M: usize> Recording<M> {
    /// Of a tape, the inputs that the function was given and what it returned.
    pub fn new(inputs: &[Tensor], tape: Tape, results: &[Tensor; M]) -> Result<Recording<M>> {
        let mut recording = Recording {
            events: Vec::with_capacity(tape.events.len()),
            states: tape.states,
            steps: tape.steps,
            conditions: tape.conditions.into_iter().map(|(_, condition)| condition).collect(),
            live: Vec::new(),
            places: tape.places,
            fixed: Vec::new(),
            results: Vec::new(),
        };
        let runs = tape.events.iter().filter_map(|e| if let Event::Run(run) = e { Some(run) } else { None });
        for (id, role) in runs.flat_map(|run| run.leaves.iter().chain(&run.scalars)) {
            if let Role::Live(live) = role
                && !recording.live.iter().any(|(known, _)| known == id)
            {
                recording.live.push((*id, live.clone()));
            }
        }
        recording.live.sort_unstable_by_key(|(id, _)| *id);
        let inputs = inputs.iter().filter_map(Tensor::region).collect::<Vec<_>>();
        let mut made: Vec<Vec<Option<Region>>> = Vec::new();
        for event in tape.events {
            match event {
                Event::Effect(effect) => recording.events.push(Replay::Effect(effect)),
                Event::Run(run) => recording.add(*run, &inputs, &mut made)?,
            }
        }
        for tensor in results {
            let region = tensor.region().ok_or_else(|| broken("a result has no value"))?;
            let role = (tensor.id(), tensor.0.role.clone());
            let value = recording.value(&region, tensor.shape(), role, &inputs, &made);
            recording.results.push((value, tensor.device().clone()));
        }
        Ok(recording)
    }

    /// Whether the function would do the same now as when it was recorded.
    pub fn is_good(&self) -> bool {
        self.conditions.iter().all(Condition::holds)
    }

    fn add(&mut self, run: Run, inputs: &[Region], made: &mut Vec<Vec<Option<Region>>>) -> Result<()> {
        let Run { device, program, bindings, leaves, scalars, written, regions } = run;
        let mut values = Vec::with_capacity(leaves.len());
        for ((leaf, region), role) in program.leaves.iter().zip(&bindings.leaves).zip(leaves) {
            values.push(self.value(region, &program.nodes[leaf.node].shape, role, inputs, made));
        }
        let mut targets = Vec::with_capacity(bindings.targets.len());
        for (i, target) in bindings.targets.into_iter().enumerate() {
            let written = written.iter().find(|(known, _)| *known == i).map(|(_, variable)| variable);
            targets.push(match (target, written) {
                (None, _) => None,
                (Some(_), Some(variable)) if variable.is_double() => Some(Target::Next(variable.clone())),
                (Some(region), written) => {
                    if made.iter().flatten().flatten().any(|r| r.storage.same(&region.storage)) {
                        let problem = "the function makes a parameter or a state and changes it; make it outside";
                        return Err(Error::new("compile", ErrorKind::Invalid(problem.into())));
                    }
                    if let Some(variable) = written {
                        self.lies_at(variable, &region);
                    }
                    self.fixed.push(region.clone());
                    Some(Target::Fixed(region))
                }
            });
        }
        let own = targets.iter().zip(regions);
        made.push(own.map(|(target, region)| target.is_none().then_some(region)).collect());
        let live = |(id, _): &(u64, Role)| self.live.iter().position(|(known, _)| known == id);
        let numbers = bindings.scalars.iter().zip(&scalars);
        let scalars = numbers.map(|(now, from)| live(from).map_or(Number::Fixed(*now), Number::Live)).collect();
        self.events.push(Replay::Run(Box::new(Rerun { device, program, leaves: values, scalars, targets })));
        Ok(())
    }

    /// Notes where a variable is found: if it was found before, and has been moved since, it is moved in replays as well.
    fn lies_at(&mut self, variable: &Variable, region: &Region) {
        if !self.places.iter().any(|(known, _)| known.same(variable)) {
            self.places.push((variable.clone(), region.clone()));
        }
    }

    /// Where a region comes from.
    fn value(
        &mut self,
        region: &Region,
        shape: &[usize],
        (id, role): (u64, Role),
        inputs: &[Region],
        made: &[Vec<Option<Region>>],
    ) -> Value {
        let same = |other: &Region| other.storage.same(&region.storage);
        let output = || {
            let in_run = |(j, run): (usize, &Vec<Option<Region>>)| {
                run.iter().position(|r| r.as_ref().is_some_and(same)).map(|k| (j, k))
            };
            made.iter().enumerate().find_map(in_run)
        };
        let (source, start) = if let Some(input) = inputs.iter().position(same) {
            (Source::Input(input), 0)
        } else if let Some(at) = self.live.iter().position(|(known, _)| *known == id) {
            (Source::Live(at), 0)
        } else if let Some((run, k)) = output() {
            (Source::Made(run, k), made[run][k].as_ref().map_or(0, |r| r.offset))
        } else if let Role::Variable(version) = &role
            && let Some(variable) = Variable::of(version).filter(Variable::is_double)
        {
            (Source::Now(variable), region.offset)
        } else {
            self.fixed.push(region.clone());
            if let Role::Variable(version) = role
                && let Some(variable) = Variable::of(&version)
            {
                self.lies_at(&variable, region);
            }
            (Source::Fixed(region.clone()), region.offset)
        };
        let offset = region.offset - start;
        Value { source, offset, shape: shape.to_vec(), len: region.len, dtype: region.dtype }
    }

    /// Does it again with other inputs; `None` if a parameter is no longer where it was.
    #[track_caller]
    pub fn replay(&self, inputs: &[Tensor]) -> Result<Option<[Tensor; M]>> {
        let device = self.runs().next().map(|run| run.device.clone());
        match device {
            Some(device) => device.writing(|| self.replay_alone(inputs)),
            None => self.replay_alone(inputs),
        }
    }

    fn runs(&self) -> impl Iterator<Item = &Rerun> {
        self.events.iter().filter_map(|event| if let Replay::Run(run) = event { Some(&**run) } else { None })
    }

    #[track_caller]
    fn replay_alone(&self, inputs: &[Tensor]) -> Result<Option<[Tensor; M]>> {
        let moved = |(variable, region): &(Variable, Region)| {
            let now = variable.home();
            !(now.storage.same(&region.storage) && now.offset == region.offset)
        };
        if self.places.iter().any(moved) {
            return Ok(None);
        }
        let mut bound = Bound { inputs: Vec::new(), numbers: Vec::new(), tensors: Vec::new(), made: Vec::new() };
        for tensor in inputs {
            let region = tensor.region().ok_or_else(|| broken("an input has no value"))?;
            let shared = |other: &Region| other.storage.same(&region.storage);
            // A variable may be written in the replay, and a result that is an input must not show it.
            let variable = matches!(tensor.0.role, Role::Variable(_));
            let alone = region.offset == 0 && !variable && !bound.inputs.iter().chain(&self.fixed).any(shared);
            let region = if alone { Some(region) } else { copy(tensor)?.region() };
            bound.inputs.push(region.ok_or_else(|| broken("an input has no value"))?);
        }
        let set = self.states.iter().cloned().chain(if self.steps { pending_anywhere() } else { Vec::new() });
        settle(set.collect())?;
        // What waits to be written may read what the replay writes.
        for run in self.runs() {
            Tensor::eval_all(&waiting(&run.device, &[]))?;
        }
        for (_, live) in &self.live {
            let (number, tensor) = match live {
                Live::Number(again) => (again(), None),
                Live::Tensor(again) => (0.0, again()?.region()),
            };
            bound.numbers.push(number);
            bound.tensors.push(tensor);
        }
        for event in &self.events {
            match event {
                Replay::Effect(effect) => effect()?,
                Replay::Run(run) => {
                    let bindings = run.bindings(&bound)?;
                    bound.made.push(run.device.run(&run.program, &bindings)?);
                }
            }
        }
        let mut results = Vec::with_capacity(M);
        for (value, device) in &self.results {
            let leaf =
                Tensor::leaf(bound.region(value)?, value.shape.clone(), device, false, Role::Plain, Location::caller());
            results.push(value.lasting(leaf)?);
        }
        results.try_into().map(Some).map_err(|_| broken("another number of results"))
    }

    /// The results of the first call, as later calls give them.
    pub fn results(&self, results: [Tensor; M]) -> Result<[Tensor; M]> {
        let mut values = Vec::with_capacity(M);
        for (tensor, (value, _)) in results.iter().zip(&self.results) {
            let region = tensor.region().ok_or_else(|| broken("a result has no value"))?;
            let shape = tensor.shape().to_vec();
            let leaf = Tensor::leaf(region, shape, tensor.device(), false, Role::Plain, tensor.0.origin.location);
            values.push(value.lasting(leaf)?);
        }
        values.try_into().map_err(|_| broken("another number of results"))
    }
}

impl Rerun {
    fn bindings(&self, bound: &Bound) -> Result<Bindings> {
        let number = |number: &Number| match number {
            Number::Fixed(value) => *value,
            Number::Live(at) => bound.numbers[*at],
        };
        let target = |target: &Target| match target {
            Target::Fixed(region) => region.clone(),
            Target::Next(variable) => variable.target(),
        };
        Ok(Bindings {
            leaves: self.leaves.iter().map(|leaf| bound.region(leaf)).collect::<Result<_>>()?,
            scalars: self.scalars.iter().map(number).collect(),
            targets: self.targets.iter().map(|at| at.as_ref().map(target)).collect(),
        })
    }
}

impl Bound {
    fn region(&self, value: &Value) -> Result<Region> {
        let now = if let Source::Now(variable) = &value.source { Some(variable.home()) } else { None };
        let whole = match &value.source {
            Source::Input(i) => &self.inputs[*i],
            Source::Made(run, output) => &self.made[*run][*output],
            Source::Live(at) => self.tensors[*at].as_ref().ok_or_else(|| broken("a live leaf has no value"))?,
            Source::Fixed(region) => region,
            Source::Now(_) => now.as_ref().ok_or_else(|| broken("a variable has no value"))?,
        };
        let offset = match value.source {
            Source::Fixed(_) => whole.offset,
            _ => whole.offset + value.offset,
        };
        Ok(Region { storage: whole.storage.clone(), offset, len: value.len, dtype: value.dtype })
    }
}

impl Value {
    /// A result that the next call does not write over.
    #[track_caller]
    fn lasting(&self, leaf: Tensor) -> Result<Tensor> {
        match &self.source {
            Source::Fixed(_) | Source::Now(_) => copy(&leaf),
            _ => Ok(leaf),
        }
    }
}
