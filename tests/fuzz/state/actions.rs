//! What a program may do.

use thalweg_graph::Rng;
use thalweg_optim::{Adam, AdamW, Sgd};

/// Actions, one after the other. Valid whatever its numbers are: what an action refers to and is not there is another of its kind,
/// and if there is none the action does nothing. That is how failures shrink.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What it was drawn from.
    pub seed: u64,
    /// All tensors are numbers, or matrices of so many rows and columns.
    pub size: usize,
    /// Whether all variables are read after every action, which computes what would have waited.
    pub watch: bool,
    /// What it does.
    pub actions: Vec<Act>,
}

/// An action, and what later ones know its result by.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub id: usize,
    pub what: Action,
}

/// Something that is referred to by the id of the action that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Param,
    State,
    Net,
    Held,
    /// A held tensor whose values are finite: what is computed from it is the same on every device.
    Tame,
    Grads,
    Opt,
    Average,
    Step,
    NetSave,
    OptSave,
    AverageSave,
}

/// A matrix.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Param(usize),
    State(usize),
    Held(usize),
    /// Made on the host from a seed.
    Const(u64),
    /// What a compiled function is given.
    Input,
    One(One, Box<Expr>),
    Two(Two, Box<Expr>, Box<Expr>),
    /// A forward pass that moves a running mean in training mode and uses it in evaluation mode.
    Norm(usize, Box<Expr>),
}

/// Functions of a matrix. None makes small numbers large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum One {
    Neg,
    Half,
    Tanh,
    Square,
    Transpose,
    Flip,
    Roll,
    /// Over rows, repeated for each.
    Mean,
    Detach,
}

/// Functions of two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Two {
    /// `(a + b) / 2`.
    Mid,
    /// `(a - b) / 2`.
    Gap,
    Mul,
    /// `a · b / n`.
    MatMul,
}

/// A loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    pub of: Expr,
    pub how: How,
}

/// What becomes of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Mean,
    /// The mean of its squares.
    Square,
    /// Its mean, plus NaN: gradients are finite.
    Nan,
    /// The mean after one element was multiplied by NaN.
    Bad,
    /// Not one number.
    Whole,
}

/// What a compiled function may do as well.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `p.set(&e)?`
    Set(usize, Expr),
    /// `s.set(&e)`
    Put(usize, Expr),
    /// `s.write(&e)?`
    Write(usize, Expr),
    /// Both states are set to what the other shows.
    Swap(usize, usize),
    /// `opt.step(&loss)?`
    Step(usize, Loss),
    /// One backward pass, applied by two.
    Both(usize, usize, Loss),
    /// Each accumulated, then one step.
    Micro(usize, Vec<Loss>),
}

/// What may be saved and loaded, by the id of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    Net(usize),
    Opt(usize),
    Average(usize),
}

/// An action.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Param(Expr),
    State(Expr),
    /// A module of these; what occurs twice is tied.
    Net(Vec<usize>, Vec<usize>),
    Fork(usize),

    /// A tensor that is held.
    Record(Expr),
    Loss(Loss),
    /// Recorded while parameters compute with other values.
    Over(Vec<(usize, Expr)>, Expr),
    /// Recorded after states were set, which is then forgotten.
    Discard(Vec<(usize, Expr)>, Expr),
    Copy(usize),
    Read(usize),
    Eval(usize),
    ReadParam(usize),
    ReadState(usize),

    Do(Stmt),
    StepHeld(usize, usize),

    /// `held.backward()`
    Backward(usize),
    Apply(usize, usize),
    Add(usize, usize),
    Scale(usize),
    Remove(usize, usize),
    Insert(usize, usize, Expr),
    ReadGrad(usize, usize),
    Missing(usize, usize),
    Accumulate(usize, Loss),
    StepAccumulated(usize),

    Opt(OptSpec),
    Rate(usize, usize),
    Schedule(usize),
    Report(usize),

    Train(usize),
    Predict(usize),
    Freeze(usize, bool),
    FreezeNet(usize, bool),

    /// Names, counts, printing.
    Look(usize),
    Save(Thing),
    /// Loads the snapshot of the second id.
    Load(Thing, usize),

    /// An average of a module's parameters: a mean, or exponential.
    Average(usize, bool),
    Update(usize),
    /// Recorded while the parameters compute with their averages.
    During(usize, Expr),
    WriteAverage(usize),

    /// A compiled function: it gives the expression, as it is after the statements.
    Compile(Vec<Stmt>, Expr),
    /// Called with an input; the result is held.
    Call(usize, Expr),

    /// On another thread, which is joined.
    Thread(Vec<Act>),
    Drop(Kind, usize),
}

/// How to make an optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct OptSpec {
    pub net: usize,
    /// One of [`rule`]'s.
    pub rule: usize,
    /// A rule of its own for the parameter at a place of the module.
    pub group: Option<(usize, usize)>,
    pub clip_norm: Option<f64>,
    pub clip_value: Option<f64>,
}

/// Update rules, by number.
#[derive(Clone, Debug)]
pub enum Update {
    Sgd(Sgd),
    Adam(Adam),
    AdamW(AdamW),
}

/// Rates are small, and ε is large, so that rounding stays rounding.
pub fn rule(i: usize) -> Update {
    let (sgd, adam) = (Sgd { lr: 0.125, ..Sgd::default() }, Adam { lr: 0.03125, eps: 0.125, ..Adam::default() });
    let w = AdamW { lr: 0.0625, eps: 0.25, weight_decay: 0.25, ..AdamW::default() };
    match i % 8 {
        0 => Update::Sgd(sgd),
        1 => Update::Sgd(Sgd { momentum: 0.5, ..sgd }),
        2 => Update::Sgd(Sgd { momentum: 0.75, weight_decay: 0.125, nesterov: true, ..sgd }),
        3 => Update::Sgd(Sgd { weight_decay: 0.25, ..sgd }),
        4 => Update::Sgd(Sgd { momentum: 0.5, dampening: 0.25, ..sgd }),
        5 => Update::Adam(adam),
        6 => Update::Adam(Adam { weight_decay: 0.125, beta1: 0.5, beta2: 0.75, ..adam }),
        _ => Update::AdamW(w),
    }
}

/// Rates that [`Action::Rate`] sets.
pub const RATES: [f64; 4] = [0.25, 0.0625, 0.03125, 0.0];

/// What [`Action::Schedule`] sets.
pub fn schedule(step: u64) -> f64 {
    0.125 / (1.0 + step as f64)
}

/// The elements of a constant: eighths between -1 and 1.
pub fn constant(seed: u64, size: usize) -> Vec<f64> {
    let rng = &mut Rng::seed(seed);
    (0..size * size).map(|_| f64::from(rng.below(17) as i32 - 8) / 8.0).collect()
}

/// Ones, but for a first element that is NaN.
pub fn bad(size: usize) -> Vec<f64> {
    let mut values = vec![1.0; size * size];
    values[0] = f64::NAN;
    values
}

/// Calls `f` with every reference; false as soon as one is refused.
pub type OnRef<'a> = dyn FnMut(Kind, &mut usize) -> bool + 'a;

impl Expr {
    pub fn refs(&mut self, f: &mut OnRef) -> bool {
        match self {
            Expr::Param(p) => f(Kind::Param, p),
            Expr::State(s) => f(Kind::State, s),
            Expr::Held(t) => f(Kind::Tame, t),
            Expr::Const(_) | Expr::Input => true,
            Expr::One(_, x) => x.refs(f),
            Expr::Two(_, a, b) => a.refs(f) && b.refs(f),
            Expr::Norm(net, x) => f(Kind::Net, net) && x.refs(f),
        }
    }
}

impl Stmt {
    pub fn refs(&mut self, f: &mut OnRef) -> bool {
        match self {
            Stmt::Set(p, e) => f(Kind::Param, p) && e.refs(f),
            Stmt::Put(s, e) | Stmt::Write(s, e) => f(Kind::State, s) && e.refs(f),
            Stmt::Swap(s, t) => f(Kind::State, s) && f(Kind::State, t),
            Stmt::Step(opt, loss) => f(Kind::Opt, opt) && loss.of.refs(f),
            Stmt::Both(a, b, loss) => f(Kind::Opt, a) && f(Kind::Opt, b) && loss.of.refs(f),
            Stmt::Micro(opt, losses) => f(Kind::Opt, opt) && losses.iter_mut().all(|l| l.of.refs(f)),
        }
    }
}

impl Action {
    pub fn refs(&mut self, f: &mut OnRef) -> bool {
        use Action::*;
        use Kind as K;
        match self {
            Param(e) | State(e) | Record(e) => e.refs(f),
            Loss(loss) => loss.of.refs(f),
            Net(params, states) => {
                params.iter_mut().all(|p| f(K::Param, p)) && states.iter_mut().all(|s| f(K::State, s))
            }
            Over(over, e) => over.iter_mut().all(|(p, e)| f(K::Param, p) && e.refs(f)) && e.refs(f),
            Discard(puts, e) => puts.iter_mut().all(|(s, e)| f(K::State, s) && e.refs(f)) && e.refs(f),
            Copy(t) | Read(t) | Eval(t) | Backward(t) => f(K::Held, t),
            ReadParam(p) | Freeze(p, _) => f(K::Param, p),
            ReadState(s) => f(K::State, s),
            Do(stmt) => stmt.refs(f),
            StepHeld(opt, t) => f(K::Opt, opt) && f(K::Held, t),
            Apply(opt, g) => f(K::Opt, opt) && f(K::Grads, g),
            Add(g, h) => f(K::Grads, g) && f(K::Grads, h),
            Scale(g) => f(K::Grads, g),
            Remove(g, p) | ReadGrad(g, p) => f(K::Grads, g) && f(K::Param, p),
            Insert(g, p, e) => f(K::Grads, g) && f(K::Param, p) && e.refs(f),
            Missing(g, net) => f(K::Grads, g) && f(K::Net, net),
            Accumulate(opt, loss) => f(K::Opt, opt) && loss.of.refs(f),
            StepAccumulated(opt) | Rate(opt, _) | Schedule(opt) | Report(opt) => f(K::Opt, opt),
            Opt(spec) => f(K::Net, &mut spec.net),
            Fork(net) | Train(net) | Predict(net) | FreezeNet(net, _) | Look(net) | Average(net, _) => f(K::Net, net),
            Save(thing) => thing.refs(f),
            Load(thing, save) => {
                let kind = match thing {
                    Thing::Net(_) => K::NetSave,
                    Thing::Opt(_) => K::OptSave,
                    Thing::Average(_) => K::AverageSave,
                };
                thing.refs(f) && f(kind, save)
            }
            Update(a) | WriteAverage(a) => f(K::Average, a),
            During(a, e) => f(K::Average, a) && e.refs(f),
            Compile(body, out) => body.iter_mut().all(|s| s.refs(f)) && out.refs(f),
            Call(step, e) => f(K::Step, step) && e.refs(f),
            Thread(_) => true,
            Drop(kind, id) => f(*kind, id),
        }
    }
}

impl Thing {
    fn refs(&mut self, f: &mut OnRef) -> bool {
        match self {
            Thing::Net(net) => f(Kind::Net, net),
            Thing::Opt(opt) => f(Kind::Opt, opt),
            Thing::Average(a) => f(Kind::Average, a),
        }
    }
}

/// What computes expressions: the model on numbers, the library on tensors.
pub trait Machine {
    type T: Clone;
    type S: Clone;
    fn size(&self) -> usize;
    fn constant(&mut self, values: &[f64], scalar: bool) -> Self::T;
    fn input(&mut self) -> Self::T;
    fn held(&mut self, id: usize) -> Self::T;
    fn param(&mut self, id: usize) -> Self::T;
    fn state(&mut self, id: usize) -> Self::S;
    /// Whether a module is in training mode, and its first state.
    fn norm(&mut self, net: usize) -> (bool, Option<Self::S>);
    fn show(&mut self, state: &Self::S) -> Self::T;
    fn put(&mut self, state: &Self::S, value: &Self::T);
    fn one(&mut self, f: One, x: &Self::T) -> Self::T;
    fn two(&mut self, f: Two, a: &Self::T, b: &Self::T) -> Self::T;
    /// Of all elements.
    fn mean(&mut self, x: &Self::T) -> Self::T;

    fn expr(&mut self, e: &Expr) -> Self::T {
        match e {
            Expr::Param(id) => self.param(*id),
            Expr::State(id) => {
                let state = self.state(*id);
                self.show(&state)
            }
            Expr::Held(id) => self.held(*id),
            Expr::Const(seed) => self.constant(&constant(*seed, self.size()), false),
            Expr::Input => self.input(),
            Expr::One(f, x) => {
                let x = self.expr(x);
                self.one(*f, &x)
            }
            Expr::Two(f, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                self.two(*f, &a, &b)
            }
            Expr::Norm(net, x) => {
                let x = self.expr(x);
                match self.norm(*net) {
                    (_, None) => x,
                    (false, Some(running)) => {
                        let mean = self.show(&running);
                        self.two(Two::Gap, &x, &mean)
                    }
                    (true, Some(running)) => {
                        let (mean, old) = (self.one(One::Mean, &x), self.show(&running));
                        let new = self.two(Two::Mid, &old, &mean);
                        self.put(&running, &new);
                        self.two(Two::Gap, &x, &mean)
                    }
                }
            }
        }
    }

    fn loss(&mut self, loss: &Loss) -> Self::T {
        let x = self.expr(&loss.of);
        match loss.how {
            How::Whole => x,
            How::Mean => self.mean(&x),
            How::Square => {
                let squared = self.one(One::Square, &x);
                self.mean(&squared)
            }
            How::Nan => {
                let (mean, nan) = (self.mean(&x), self.constant(&[f64::NAN], true));
                self.two(Two::Mid, &mean, &nan)
            }
            How::Bad => {
                let bad = self.constant(&bad(self.size()), false);
                let x = self.two(Two::Mul, &x, &bad);
                self.mean(&x)
            }
        }
    }
}
