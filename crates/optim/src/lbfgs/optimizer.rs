//! L-BFGS at work on the parameters of a module.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard},
};

use thalweg_graph::{
    DType, Device, Element, Error, ErrorKind, Module, Param, Result, State, Tensor,
    module::snapshot::{Array, Loading, Snapshot, Stateful, Value},
    shape::count,
};

use super::{
    Lbfgs,
    memory::{Memory, Pair},
};
use crate::{
    control::{vector, wide},
    work::lock,
};

/// L-BFGS at work on the parameters of a module that are not frozen when it is made.
///
/// As a part of a checkpoint it goes on with the bits of one that was never stopped.
pub struct LbfgsOptimizer {
    settings: Lbfgs,
    params: Vec<(String, Param)>,
    /// Running statistics and the like, which a step writes along.
    carried: Vec<State>,
    memory: Mutex<Memory>,
}

impl Lbfgs {
    /// An optimizer of a module's trainable parameters.
    ///
    /// # Errors
    /// Settings out of range; no trainable parameter.
    #[track_caller]
    pub fn init(self, module: &dyn Module) -> Result<LbfgsOptimizer> {
        if let Err(problem) = self.check() {
            return Err(Error::new("init", ErrorKind::Invalid(problem)));
        }
        let params: Vec<(String, Param)> = module.params().into_iter().filter(|(_, p)| !p.is_frozen()).collect();
        if params.is_empty() {
            return Err(Error::new("init", ErrorKind::Invalid("the module has no trainable parameter".into())));
        }
        let carried = module.states().into_iter().map(|(_, s)| s).collect();
        Ok(LbfgsOptimizer { settings: self, params, carried, memory: Mutex::default() })
    }
}

impl LbfgsOptimizer {
    /// Some iterations on a loss, which is computed as often as they need it. Gives the loss where they began. Waits for the device.
    ///
    /// # Errors
    /// The error that the loss carries; a loss that is not one number, not finite at first, or depends on no parameter of this
    /// optimizer; what went wrong on the device. Parameters and states are then what they were.
    #[track_caller]
    pub fn step(&self, mut loss: impl FnMut() -> Tensor) -> Result<f64> {
        let mut memory = self.memory();
        let start = self.values()?;
        let carried: Vec<Tensor> = self.carried.iter().map(State::tensor).collect();
        let (mut known, mut theta) = (memory.clone(), start.clone());
        let sign = if self.settings.maximize { -1.0 } else { 1.0 };
        let mut at = start.clone();
        let result = self.settings.minimize(&mut known, &mut theta, |trial| {
            if at != trial {
                self.set(trial)?;
                at = trial.to_vec();
            }
            let (value, mut gradient) = self.evaluate(&loss())?;
            gradient.iter_mut().for_each(|g| *g *= sign);
            Ok((sign * value, gradient))
        });
        match result {
            Ok(first) => {
                self.set(&theta)?;
                self.carry(self.carried.iter().map(State::tensor).collect())?;
                *memory = known;
                Ok(sign * first)
            }
            Err(error) => {
                self.set(&start)?;
                self.carry(carried)?;
                Err(error)
            }
        }
    }

    /// Iterations of all calls.
    pub fn iterations(&self) -> u64 {
        self.memory().iterations
    }

    /// Evaluations of all calls.
    pub fn evaluations(&self) -> u64 {
        self.memory().evaluations
    }

    /// Value and gradient: one run and one read.
    #[track_caller]
    fn evaluate(&self, loss: &Tensor) -> Result<(f64, Vec<f64>)> {
        let grads = loss.backward()?;
        if !self.params.iter().any(|(_, p)| grads.get(p).is_some()) {
            let problem = "the loss depends on no parameter of this optimizer";
            return Err(Error::new("step", ErrorKind::Gradient(problem.into())));
        }
        let dtype = self.dtype();
        let mut parts = vec![loss.cast(dtype).reshape([1])];
        for (_, param) in &self.params {
            parts.push(match grads.get(param) {
                Some(gradient) => gradient.cast(dtype).reshape([count(&param.shape())]),
                None => Tensor::full(&self.device(), 0.0, [count(&param.shape())], dtype),
            });
        }
        let mut numbers = Tensor::concat(parts, 0).to_vec::<f64>()?;
        let gradient = numbers.split_off(1);
        Ok((numbers[0], gradient))
    }

    /// The parameters, one after another.
    #[track_caller]
    fn values(&self) -> Result<Vec<f64>> {
        let dtype = self.dtype();
        let flat = |(_, param): &(String, Param)| param.tensor().detach().cast(dtype).reshape([count(&param.shape())]);
        Tensor::concat(self.params.iter().map(flat), 0).to_vec()
    }

    #[track_caller]
    fn set(&self, values: &[f64]) -> Result<()> {
        let mut rest = values;
        for (_, param) in &self.params {
            let (own, others) = rest.split_at(count(&param.shape()));
            let new = vector(&self.device(), self.dtype(), own).reshape(param.shape());
            param.set(&new.cast(param.tensor().dtype()))?;
            rest = others;
        }
        Ok(())
    }

    #[track_caller]
    fn carry(&self, values: Vec<Tensor>) -> Result<()> {
        self.carried.iter().zip(&values).try_for_each(|(state, value)| state.write(value))
    }

    /// What all of it is read and written in.
    fn dtype(&self) -> DType {
        let exact = self.params.iter().any(|(_, p)| p.tensor().dtype() == DType::F64);
        wide(if exact { DType::F64 } else { DType::F32 })
    }

    fn device(&self) -> Device {
        self.params[0].1.tensor().device().clone()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

impl fmt::Debug for LbfgsOptimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LbfgsOptimizer({:?}; {} parameters)", self.settings, self.params.len())
    }
}

/// Elements of each parameter.
const SIZES: &str = "#sizes";
/// Iterations, evaluations.
const COUNTS: &str = "#counts";
/// Bits of H₀, t and every ρ.
const NUMBERS: &str = "#numbers";
/// `[n]`, or `[pairs, n]`, in F64.
const DIRECTION: &str = "direction";
const GRADIENT: &str = "gradient";
const S: &str = "s";
const Y: &str = "y";

impl LbfgsOptimizer {
    fn sizes(&self) -> Vec<u64> {
        self.params.iter().map(|(_, p)| count(&p.shape()) as u64).collect()
    }
}

impl Stateful for LbfgsOptimizer {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let Memory { pairs, scale, direction, t, gradient, iterations, evaluations } = &*self.memory();
        to.insert(SIZES, Value::Words(self.sizes()));
        to.insert(COUNTS, Value::Words(vec![*iterations, *evaluations]));
        let numbers = [*scale, *t].into_iter().chain(pairs.iter().map(|p| p.rho));
        to.insert(NUMBERS, Value::Words(numbers.map(f64::to_bits).collect()));
        let rows = |row: fn(&Pair) -> &Vec<f64>| pairs.iter().map(row).cloned().collect::<Vec<_>>();
        let all = [
            (DIRECTION, vec![direction.clone()]),
            (GRADIENT, vec![gradient.clone()]),
            (S, rows(|p| &p.s)),
            (Y, rows(|p| &p.y)),
        ];
        for (name, rows) in all {
            let shape = vec![rows.len(), rows.first().map_or(0, Vec::len)];
            to.insert(name, Value::Array(Array { dtype: DType::F64, shape, bytes: f64::bytes(&rows.concat()) }));
        }
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let sizes = self.sizes();
        match from.get(SIZES) {
            Some(Value::Words(saved)) if *saved == sizes => {}
            saved => return misfit(format!("it is of parameters of other sizes: {saved:?}, not {sizes:?}")),
        }
        let [iterations, evaluations] = from.words(COUNTS)?;
        let mut numbers = match from.get(NUMBERS) {
            Some(Value::Words(bits)) => bits.iter().map(|b| f64::from_bits(*b)).collect::<VecDeque<f64>>(),
            _ => return misfit(format!("there is no '{NUMBERS}', which is needed")),
        };
        let mut rows = [DIRECTION, GRADIENT, S, Y].map(|_| Vec::new());
        for (rows, name) in rows.iter_mut().zip([DIRECTION, GRADIENT, S, Y]) {
            let array = from.array(name)?;
            match (f64::from_bytes(&array.bytes, array.dtype), array.shape.as_slice()) {
                (Some(flat), [count, len]) if array.dtype == DType::F64 && flat.len() == count * len => {
                    *rows = (0..*count).map(|i| flat[i * len..(i + 1) * len].to_vec()).collect::<Vec<_>>();
                }
                _ => return misfit(format!("'{name}' is {array:?}, and rows in f64 are needed")),
            }
        }
        let [mut direction, mut gradient, s, y] = rows;
        let (Some(scale), Some(t)) = (numbers.pop_front(), numbers.pop_front()) else {
            return misfit(format!("'{NUMBERS}' has too few of them"));
        };
        let n = sizes.iter().sum::<u64>() as usize;
        let whole = |rows: &[Vec<f64>]| rows.len() == numbers.len() && rows.iter().all(|row| row.len() == n);
        let latest = [&direction, &gradient].iter().all(|rows| rows.len() == 1 && [0, n].contains(&rows[0].len()));
        if !(whole(&s) && whole(&y) && latest) {
            return misfit("its rows are not as many, or not as long, as it says".into());
        }
        let pairs = s.into_iter().zip(y).zip(numbers).map(|((s, y), rho)| Pair { s, y, rho }).collect();
        let (direction, gradient) = (direction.remove(0), gradient.remove(0));
        let memory = Memory { pairs, scale, direction, t, gradient, iterations, evaluations };
        let mut loading = Loading::new();
        loading.then(move || {
            *self.memory() = memory;
            Ok(())
        });
        Ok(loading)
    }
}

fn misfit<T>(problem: String) -> Result<T> {
    Err(Error::new("load", ErrorKind::Invalid(problem)))
}
