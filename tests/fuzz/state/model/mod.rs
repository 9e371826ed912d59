//! What each action must mean: the rules of `docs/semantics.md`, computed eagerly in f64 on the host.
//!
//! Values are never in doubt: they are those of when something was recorded. What laziness leaves open is only whether a tensor had been
//! computed before a variable that it needs was written. Where the rules decide that, the model does; where they do not (an
//! intermediate value that nobody holds, a gradient that may or may not need the old value), a value and the error that it is stale
//! are both right, and the model follows what was seen.

use std::collections::{BTreeMap, BTreeSet};

mod act;
mod ops;
mod saves;
mod steps;
mod tensors;
mod update;
mod variables;

use super::actions::{Expr, Machine, One, Stmt, Two, Update, rule, schedule};
use update::{Keeps, Slots};

/// Kinds of errors that actions may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Stale,
    Gradient,
    Invalid,
    Shape,
    /// Any other: never right.
    Other,
}

/// What an action shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    pub numbers: Vec<f64>,
    pub names: Vec<String>,
}

/// What an action must show, or which errors are right.
pub type Want<T = Shown> = Result<T, Vec<Fault>>;

const STALE: &[Fault] = &[Fault::Stale];

/// Whether something can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Fine,
    /// A variable that it may need has been written.
    Perhaps,
    /// A variable that it needs has been written.
    Stale,
}

/// Whether a value has been computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    No,
    Perhaps,
    Yes,
}

/// A tensor, by its place in the list of all.
pub type Node = usize;
/// A variable, by its place in the list of all.
pub type Var = usize;

#[derive(Clone, Debug)]
pub struct Tensor {
    pub of: Of,
    pub value: Vec<f64>,
    pub tracked: bool,
    done: Done,
}

/// What a tensor is computed from.
#[derive(Clone, Debug)]
pub enum Of {
    Host,
    Version(Var, u64),
    One(One, Node),
    Two(Two, Node, Node),
    Mean(Node),
    /// A number as a matrix.
    Spread(Node),
}

impl Of {
    pub fn inputs(&self) -> Vec<Node> {
        match self {
            Of::Host | Of::Version(..) => vec![],
            Of::One(_, x) | Of::Mean(x) | Of::Spread(x) => vec![*x],
            Of::Two(_, a, b) => vec![*a, *b],
        }
    }

    fn is_view(&self) -> bool {
        matches!(self, Of::One(One::Transpose | One::Flip | One::Roll | One::Detach, _) | Of::Spread(_))
    }
}

#[derive(Clone, Debug)]
struct Variable {
    value: Vec<f64>,
    version: u64,
    trainable: bool,
    training: bool,
    frozen: bool,
    /// What it was set to and no step has written, and the threads that set it since.
    pending: Option<(Node, BTreeSet<u64>)>,
    /// The backward pass whose gradients alone were applied since a version.
    applied: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct Net {
    params: Vec<Var>,
    states: Vec<Var>,
    training: bool,
}

impl Net {
    /// Every variable once, by its first name.
    fn named(of: &[Var], field: &str) -> Vec<(String, Var)> {
        let mut known = BTreeSet::new();
        let first = of.iter().enumerate().filter(|(_, v)| known.insert(**v));
        first.map(|(i, v)| (format!("{field}.{i}"), *v)).collect()
    }

    fn params(&self) -> Vec<(String, Var)> {
        Net::named(&self.params, "p")
    }

    fn states(&self) -> Vec<(String, Var)> {
        Net::named(&self.states, "s")
    }
}

/// Gradients of a backward pass, and what they may have to be computed from.
#[derive(Clone, Debug)]
struct Grads {
    pass: u64,
    of: BTreeMap<Var, Grad>,
}

#[derive(Clone, Debug)]
struct Grad {
    value: Vec<f64>,
    version: u64,
    from: Vec<Node>,
    done: Done,
    /// Whether it was inserted: it may show a variable as it lies in memory.
    given: bool,
}

#[derive(Clone, Debug)]
struct Optimizer {
    params: Vec<(String, Var)>,
    carried: Vec<Var>,
    rule: usize,
    /// The name of the parameter that has a rule of its own, and the rule.
    group: Option<(String, usize)>,
    clip_norm: Option<f64>,
    clip_value: Option<f64>,
    slots: BTreeMap<String, Slots>,
    lr: f64,
    scheduled: bool,
    steps: u64,
    skipped: u64,
    /// The passes that it has applied.
    passes: BTreeSet<u64>,
    sum: Option<Sum>,
    /// The parameters that were not frozen when it was made, or have moved since: those that are saved.
    room: BTreeSet<String>,
}

/// Gradients added up, of how many losses, and in which call of a compiled function, if in one.
#[derive(Clone, Debug)]
struct Sum {
    grads: Grads,
    losses: u32,
    call: Option<u64>,
}

impl Optimizer {
    fn rule(&self, name: &str) -> Update {
        let own = self.group.as_ref().filter(|(of, _)| of == name);
        rule(own.map_or(self.rule, |(_, rule)| *rule))
    }

    fn rate(&self, name: &str) -> f64 {
        let now = if self.scheduled { schedule(self.steps) } else { self.lr };
        now * self.rule(name).lr() / rule(self.rule).lr()
    }
}

#[derive(Clone, Debug)]
struct Average {
    params: Vec<(String, Var)>,
    values: Vec<Var>,
    shown: f64,
    exponential: bool,
}

#[derive(Clone, Debug)]
struct Step {
    body: Vec<Stmt>,
    out: Expr,
    /// What it holds: a copy of the handles of then.
    handles: Handles,
}

#[derive(Clone, Debug, Default)]
struct Handles {
    params: BTreeMap<usize, Var>,
    states: BTreeMap<usize, Var>,
    nets: BTreeMap<usize, usize>,
    opts: BTreeMap<usize, usize>,
}

#[derive(Clone, Debug)]
struct NetSave {
    params: Vec<(String, Vec<f64>)>,
    /// With what they were set to and no step had written.
    states: Vec<(String, Vec<f64>, Option<Vec<f64>>)>,
    training: bool,
    /// Of each parameter: whether its module trains, and whether it is frozen.
    flags: Vec<(bool, bool)>,
}

#[derive(Clone, Debug)]
struct OptSave {
    slots: BTreeMap<String, (Keeps, Slots)>,
    lr: f64,
    steps: u64,
    skipped: u64,
    sum: Option<(Vec<(String, Vec<f64>)>, u32)>,
}

/// All that there is.
#[derive(Clone, Debug, Default)]
pub struct Model {
    size: usize,
    /// Whether what is recorded is computed at once.
    eager: bool,
    tensors: Vec<Tensor>,
    vars: Vec<Variable>,
    /// Nets and optimizers by place: compiled functions hold them as well.
    nets: Vec<Net>,
    opts: Vec<Optimizer>,
    handles: Handles,
    held: BTreeMap<usize, Node>,
    grads: BTreeMap<usize, Grads>,
    averages: BTreeMap<usize, Average>,
    steps: BTreeMap<usize, Step>,
    net_saves: BTreeMap<usize, NetSave>,
    opt_saves: BTreeMap<usize, OptSave>,
    average_saves: BTreeMap<usize, (Vec<(String, Vec<f64>)>, f64)>,
    /// What parameters compute with.
    overlay: BTreeMap<Var, Node>,
    input: Option<Node>,
    /// Which call of a compiled function this is, if one.
    call: Option<u64>,
    calls: u64,
    thread: u64,
    threads: u64,
    passes: u64,
    /// Whether what was seen was the error that something is stale.
    saw_stale: bool,
    /// Whether the action is several.
    compound: bool,
    /// What happened may mean two things.
    unsure: bool,
}

impl Machine for Model {
    type T = Node;
    type S = Var;

    fn size(&self) -> usize {
        self.size
    }

    fn constant(&mut self, values: &[f64], _: bool) -> Node {
        self.tensor(Of::Host, values.to_vec(), false)
    }

    fn input(&mut self) -> Node {
        self.input.unwrap_or(0)
    }

    fn held(&mut self, id: usize) -> Node {
        let x = self.held[&id];
        if self.tensors[x].value.len() == 1 { self.spread(x) } else { x }
    }

    fn param(&mut self, id: usize) -> Node {
        let var = self.handles.params[&id];
        self.overlay.get(&var).copied().unwrap_or_else(|| self.leaf(var))
    }

    fn state(&mut self, id: usize) -> Var {
        self.handles.states[&id]
    }

    fn norm(&mut self, net: usize) -> (bool, Option<Var>) {
        let net = &self.nets[self.handles.nets[&net]];
        (net.training, net.states.first().copied())
    }

    fn show(&mut self, var: &Var) -> Node {
        match &self.vars[*var].pending {
            Some((node, _)) => *node,
            None => self.leaf(*var),
        }
    }

    fn put(&mut self, var: &Var, value: &Node) {
        let node = self.shown(*value);
        let thread = self.thread;
        let pending = &mut self.vars[*var].pending;
        let mut threads = pending.take().map_or(BTreeSet::new(), |(_, threads)| threads);
        threads.insert(thread);
        *pending = Some((node, threads));
    }

    fn one(&mut self, f: One, x: &Node) -> Node {
        let of = &self.tensors[*x];
        if f == One::Detach && !of.tracked {
            return *x;
        }
        let tracked = of.tracked && f != One::Detach;
        let value = f.of(&of.value, self.size);
        self.tensor(Of::One(f, *x), value, tracked)
    }

    fn two(&mut self, f: Two, a: &Node, b: &Node) -> Node {
        let (x, y) = (&self.tensors[*a], &self.tensors[*b]);
        let tracked = x.tracked || y.tracked;
        let value = f.of(&x.value, &y.value, self.size);
        self.tensor(Of::Two(f, *a, *b), value, tracked)
    }

    fn mean(&mut self, x: &Node) -> Node {
        let of = &self.tensors[*x];
        let (mean, tracked) = (of.value.iter().sum::<f64>() / of.value.len() as f64, of.tracked);
        self.tensor(Of::Mean(*x), vec![mean], tracked)
    }
}
