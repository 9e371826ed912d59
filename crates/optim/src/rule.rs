//! What an update rule is.

use std::{cell::RefCell, fmt};

use thalweg_graph::{DType, Error, ErrorKind, State, Tensor, module::Layout};

use crate::{setting::Setting, settings::Value};

/// What a rule keeps from step to step.
#[derive(Clone, Debug)]
pub enum Slot {
    /// As large as the parameters, in their layout.
    Flat {
        /// Its name, as in PyTorch's state.
        name: &'static str,
        /// Where it starts.
        start: Start,
        /// F32 if not said; what is kept in 16 bits is computed with in 32.
        dtype: Option<DType>,
    },
    /// One number per parameter, F32: a count, a product, a sum.
    Scalar {
        /// Its name.
        name: &'static str,
        /// Where it starts.
        start: f64,
    },
    /// A tensor for each parameter, F32, zero at first: rows and columns of a factored moment. They lie in one buffer with a layout of
    /// its own; a parameter that needs none has one without elements.
    PerTensor {
        /// Its name.
        name: &'static str,
        /// Its shape, by the parameter's.
        shape: fn(&[usize]) -> Vec<usize>,
    },
}

impl Slot {
    /// Zeros in the layout of the parameters.
    pub fn flat(name: &'static str) -> Slot {
        Slot::Flat { name, start: Start::At(0.0), dtype: None }
    }

    /// A number per parameter.
    pub fn scalar(name: &'static str, start: f64) -> Slot {
        Slot::Scalar { name, start }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Slot::Flat { name, .. } | Slot::Scalar { name, .. } | Slot::PerTensor { name, .. } => name,
        }
    }
}

/// Where a flat slot starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// At this number.
    At(f64),
    /// At the parameters.
    Params,
}

/// Settings by name, as configuration files and tuners have them.
pub trait Settings {
    /// Names and values.
    fn settings(&self) -> Vec<(&'static str, Value)>;

    /// Sets one; false if there is none of that name, or it cannot have that value.
    fn set(&mut self, name: &str, value: &Value) -> bool;

    /// Which of them is out of its range, if one is.
    ///
    /// # Errors
    /// The setting, its value and its range.
    fn in_range(&self) -> std::result::Result<(), String>;
}

/// An update rule: written once, as tensor ops over flat buffers, for all parameters at the same time.
///
/// ```
/// use thalweg_graph::Tensor;
/// use thalweg_optim::{Rule, Slot, Step};
///
/// /// Momentum as an exponential mean: m ← β m + (1 - β) g, θ ← θ - η m.
/// #[derive(Debug)]
/// struct Mean {
///     lr: f64,
///     beta: f64,
/// }
///
/// impl Rule for Mean {
///     fn lr(&self) -> f64 {
///         self.lr
///     }
///     fn slots(&self) -> Vec<Slot> {
///         vec![Slot::flat("mean")]
///     }
///     fn update(&self, s: &mut Step) -> Tensor {
///         let m = s.get("mean") * self.beta + s.grad() * (1.0 - self.beta);
///         s.set("mean", &m);
///         s.params() - s.lr() * m
///     }
/// }
/// ```
pub trait Rule: fmt::Debug + Send + Sync + 'static {
    /// The learning rate it starts with.
    fn lr(&self) -> f64;

    /// What it keeps from step to step.
    fn slots(&self) -> Vec<Slot> {
        Vec::new()
    }

    /// What is wrong with its hyperparameters, if anything.
    fn check(&self) -> std::result::Result<(), String> {
        Ok(())
    }

    /// Whether parameters of one shape lie side by side in the buffers: what is done tensor by tensor is then done for all of one
    /// shape at once ([`Layout::runs`]).
    fn by_shape(&self) -> bool {
        false
    }

    /// What it learns from gradients that it does not go against ([`Optimizer::observe`](crate::Optimizer::observe)): new values of
    /// slots are set on the step.
    fn observe(&self, step: &mut Step) {
        let _ = step;
    }

    /// What is to be evaluated, if that is not what gradients are taken at ([`Optimizer::during`](crate::Optimizer::during)).
    fn evaluated(&self, step: &Step) -> Option<Tensor> {
        let _ = step;
        None
    }

    /// The new parameters, from what the step is given; new values of slots are set on it.
    fn update(&self, step: &mut Step) -> Tensor;
}

impl Rule for Box<dyn Rule> {
    fn lr(&self) -> f64 {
        (**self).lr()
    }
    fn slots(&self) -> Vec<Slot> {
        (**self).slots()
    }
    fn check(&self) -> std::result::Result<(), String> {
        (**self).check()
    }
    fn by_shape(&self) -> bool {
        (**self).by_shape()
    }
    fn observe(&self, step: &mut Step) {
        (**self).observe(step);
    }
    fn evaluated(&self, step: &Step) -> Option<Tensor> {
        (**self).evaluated(step)
    }
    fn update(&self, step: &mut Step) -> Tensor {
        (**self).update(step)
    }
}

/// What a rule is given for one step, over all parameters of its group: tensors in the layout of the flat parameters, and numbers of
/// rank 0 (or, where parameters have taken different numbers of steps, one for each element).
#[derive(Debug)]
pub struct Step<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) params: Tensor,
    pub(crate) grad: Tensor,
    pub(crate) lr: Tensor,
    /// Settings that schedules drive, and the names that the rule asked for.
    pub(crate) settings: Vec<(&'a str, Tensor)>,
    pub(crate) asked: RefCell<Vec<&'static str>>,
    pub(crate) steps: Tensor,
    pub(crate) slots: Vec<Held<'a>>,
    pub(crate) problem: Option<Error>,
}

/// A slot or a number in a step.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub name: &'static str,
    pub layout: &'a Layout,
    /// As the rule sees it.
    pub old: Tensor,
    pub new: Option<Tensor>,
}

impl<'a> Step<'a> {
    /// θ, in f32 where they are stored in 16 bits.
    pub fn params(&self) -> &Tensor {
        &self.params
    }

    /// The gradient: unscaled and clipped.
    pub fn grad(&self) -> &Tensor {
        &self.grad
    }

    /// η of this step.
    pub fn lr(&self) -> &Tensor {
        &self.lr
    }

    /// A setting of this step: what a schedule gives for that name ([`Optimizer::schedule_of`](crate::Optimizer::schedule_of)), or the
    /// rule's own number.
    pub fn setting(&self, name: &'static str, own: f64) -> Setting {
        self.asked.borrow_mut().push(name);
        let scheduled = self.settings.iter().find(|(known, _)| *known == name);
        scheduled.map_or(Setting::Own(own), |(_, number)| Setting::Scheduled(number.clone()))
    }

    /// The number of this step, from 1. Skipped steps do not count, nor do those in which a parameter had no gradient.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        self.get("step") + 1.0
    }

    /// How many steps the optimizer has taken, of rank 0: a number that no other step has.
    pub fn steps(&self) -> &Tensor {
        &self.steps
    }

    /// What a slot or a number was after the step before. A slot that no parameter has an element of is not there.
    #[track_caller]
    pub fn get(&self, name: &str) -> Tensor {
        match self.slots.iter().find(|held| held.name == name) {
            Some(held) => held.old.clone(),
            None => self.params.fail("step", ErrorKind::Invalid(format!("the rule has no slot '{name}'"))),
        }
    }

    /// What a slot or a number is to be after this step.
    #[track_caller]
    pub fn set(&mut self, name: &str, value: &Tensor) {
        match self.slots.iter_mut().find(|held| held.name == name) {
            Some(held) => held.new = Some(value.clone()),
            None => {
                let problem = format!("the rule has no slot '{name}'");
                self.problem.get_or_insert(Error::new("step", ErrorKind::Invalid(problem)));
            }
        }
    }

    /// What a slot or a number was set to.
    pub(crate) fn new_of(&self, name: &str) -> Option<Tensor> {
        self.slots.iter().find(|held| held.name == name)?.new.clone()
    }

    /// Where each parameter's part of a slot lies.
    pub fn layout_of(&self, slot: &str) -> &'a Layout {
        self.slots.iter().find(|held| held.name == slot).map_or(self.layout, |held| held.layout)
    }

    /// Where each parameter lies: sums over each, numbers spread over each, and each as a tensor of its own shape.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }
}

/// A slot's memory.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub slot: Slot,
    pub layout: Layout,
    pub state: State,
}
