//! What an update rule is.

use std::{cell::RefCell, fmt};

use thalweg_graph::{DType, Error, ErrorKind, State, Tensor, module::Layout};

use crate::setting::Setting;

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
    /// A tensor of its own for each parameter, F32, zero at first: rows and columns of a factored moment.
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
        Slot::Flat { name, start: Start::Zero, dtype: None }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At zero.
    Zero,
    /// At the parameters.
    Params,
}

/// Settings by name, as configuration files and tuners have them; flags are 0 or 1.
pub trait Settings {
    /// Names and values.
    fn settings(&self) -> Vec<(&'static str, f64)>;

    /// Sets one; false if there is none of that name, or it cannot have that value.
    fn set(&mut self, name: &str, number: f64) -> bool;
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
    /// Name, old value as the rule sees it, and the new one.
    pub(crate) slots: Vec<(&'static str, Vec<Tensor>, Option<Vec<Tensor>>)>,
    pub(crate) problem: Option<Error>,
}

impl Step<'_> {
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

    /// What a flat slot or a number was after the step before.
    #[track_caller]
    pub fn get(&self, name: &str) -> Tensor {
        match self.slots.iter().find(|(known, ..)| *known == name) {
            Some((_, old, _)) if old.len() == 1 => old[0].clone(),
            _ => self.params.fail("step", ErrorKind::Invalid(format!("the rule has no slot '{name}' of one tensor"))),
        }
    }

    /// What a slot per tensor was, in the order of the layout.
    #[track_caller]
    pub fn get_each(&self, name: &str) -> Vec<Tensor> {
        match self.slots.iter().find(|(known, ..)| *known == name) {
            Some((_, old, _)) => old.clone(),
            None => vec![self.get(name); self.layout.segments().len()],
        }
    }

    /// What a flat slot or a number is to be after this step.
    #[track_caller]
    pub fn set(&mut self, name: &str, value: &Tensor) {
        self.set_each(name, vec![value.clone()]);
    }

    /// What a slot per tensor is to be, in the order of the layout.
    #[track_caller]
    pub fn set_each(&mut self, name: &str, values: Vec<Tensor>) {
        match self.slots.iter_mut().find(|(known, old, _)| *known == name && old.len() == values.len()) {
            Some((_, _, new)) => *new = Some(values),
            None => {
                let problem = format!("the rule has no slot '{name}' of {} tensors", values.len());
                self.problem.get_or_insert(Error::new("step", ErrorKind::Invalid(problem)));
            }
        }
    }

    /// Where each parameter lies: sums over each, numbers spread over each, and each as a tensor of its own shape.
    pub fn layout(&self) -> &Layout {
        self.layout
    }
}

/// A slot's memory: one state, or one for each parameter.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub slot: Slot,
    pub states: Vec<State>,
}

/// A hyperparameter that must lie in `[low, high)`.
pub(crate) fn within(name: &str, value: f64, low: f64, high: f64) -> std::result::Result<(), String> {
    match value >= low && value < high {
        true => Ok(()),
        false => Err(format!("{name} = {value} is not in [{low}, {high})")),
    }
}
