//! Functions of a program's own. They are equal to their clones, and to no other.

use std::{fmt, sync::Arc};

use super::{Family, Schedule, check, recurrence::Recurrence};

type Function = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// A function of progress, with a name to print.
#[derive(Clone)]
pub struct Lambda {
    name: String,
    f: Function,
}

/// `η Π_{i = 1..t} λ(i)`: every step multiplies by a factor of its own.
#[derive(Clone)]
pub struct Multiplicative {
    rate: f64,
    name: String,
    factor: Function,
    product: Arc<Recurrence>,
}

impl Lambda {
    /// A function and what to call it, say `"0.9^t"`.
    pub fn new(name: &str, f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Lambda {
        Lambda { name: name.into(), f: Arc::new(f) }
    }
}

impl Multiplicative {
    /// The first rate, and the factor of each later step with its name.
    pub fn new(rate: f64, name: &str, factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Multiplicative {
        let product = Arc::new(Recurrence::new(1.0));
        Multiplicative { rate, name: name.into(), factor: Arc::new(factor), product }
    }
}

/// A function of the number of steps taken.
impl<F: Fn(u64) -> f64 + Send + Sync + 'static> From<F> for Schedule {
    fn from(f: F) -> Schedule {
        Lambda::new("a function", move |t| f(t as u64)).into()
    }
}

impl Family for Lambda {
    fn at(&self, t: f64) -> f64 {
        (self.f)(t)
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Family for Multiplicative {
    fn at(&self, t: f64) -> f64 {
        let factor = &self.factor;
        self.rate * self.product.at(t as u64, |i, product| product * factor(i as f64 + 1.0))
    }

    fn check(&self) -> Result<(), String> {
        check::rate("rate", self.rate)
    }
}

impl PartialEq for Lambda {
    fn eq(&self, other: &Lambda) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.f, &other.f)
    }
}

impl PartialEq for Multiplicative {
    fn eq(&self, other: &Multiplicative) -> bool {
        self.rate == other.rate && self.name == other.name && Arc::ptr_eq(&self.factor, &other.factor)
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lambda::new({:?}, ..)", self.name)
    }
}

impl fmt::Debug for Multiplicative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Multiplicative::new({:?}, {:?}, ..)", self.rate, self.name)
    }
}
