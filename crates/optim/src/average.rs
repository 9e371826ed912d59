//! Averages of weights, to evaluate with.

use thalweg_graph::{
    DType, Error, ErrorKind, Param, Result, State, Tensor,
    module::{
        Module, overlay,
        snapshot::{Array, Loading, Snapshot, Stateful, Value},
        write_states,
    },
};

use crate::control::wide;

/// A running average of a model's parameters, beside them: `a ← d a + (1 - d) θ`, or the mean of those it was shown (stochastic weight
/// averaging: show it those of every epoch, from some epoch on). Statistics of a batch norm are those of the model's own parameters.
///
/// ```ignore
/// let average = Average::exponential(&net, 0.999)?;
/// opt.step(&loss)?;
/// average.update()?; // queued
/// let score = average.during(|| evaluate(&test, 199, &device, |x| net.forward(x)))?;
/// ```
///
/// # Source
/// Polyak & Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407 (the mean).
#[derive(Clone, Debug)]
pub struct Average {
    params: Vec<(String, Param)>,
    averages: Vec<State>,
    /// How many times it was updated, F32.
    shown: State,
    decay: Option<f64>,
    warmup: bool,
    /// What the start still weighs in averages that start at zero, F32: they are divided by one less that.
    left: Option<State>,
}

impl Average {
    /// `a ← d a + (1 - d) θ`, from the parameters of now.
    ///
    /// # Errors
    /// A decay that is not in `[0, 1]`; no parameters; no memory.
    #[track_caller]
    pub fn exponential(module: &dyn Module, decay: f64) -> Result<Average> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::new("average", ErrorKind::Invalid(format!("{decay} is no decay: it is in [0, 1]"))));
        }
        Average::new(module, Some(decay))
    }

    /// With a decay that rises to its own: `min(d, (1 + k) / (10 + k))` after `k` updates, so that the first parameters are soon forgotten.
    pub fn warmup(mut self) -> Self {
        self.warmup = true;
        self
    }

    /// From zero instead of the parameters of now, which then weigh nothing: averages are divided by what their weights add up to,
    /// `1 - d^k`. Before the first update there is no average, and the parameters stand for it.
    ///
    /// # Errors
    /// A mean, which has no start; no memory.
    ///
    /// # Source
    /// Kingma & Ba 2015, arXiv:1412.6980, §3.
    #[track_caller]
    pub fn from_zero(mut self) -> Result<Self> {
        if self.decay.is_none() {
            return Err(Error::new("average", ErrorKind::Invalid("a mean has no start to leave out".into())));
        }
        self.averages.iter().try_for_each(|a| a.write(&a.tensor().zeros_like()))?;
        self.left = Some(State::new(self.shown.tensor().ones_like().cast(self.dtype()))?);
        Ok(self)
    }

    /// The mean of the parameters at every [`Average::update`].
    ///
    /// # Errors
    /// No parameters; no memory.
    #[track_caller]
    pub fn mean(module: &dyn Module) -> Result<Average> {
        Average::new(module, None)
    }

    #[track_caller]
    fn new(module: &dyn Module, decay: Option<f64>) -> Result<Average> {
        let params = module.params();
        let Some((_, first)) = params.first() else {
            return Err(Error::new("average", ErrorKind::Invalid("the module has no parameter".into())));
        };
        let shown = State::new(Tensor::zeros(first.tensor().device(), ()))?;
        let averages = params.iter().map(|(_, p)| State::new(p.tensor())).collect::<Result<_>>()?;
        Ok(Average { params, averages, shown, decay, warmup: false, left: None })
    }

    /// Shows it the parameters of now. Queued, not waited for.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn update(&self) -> Result<()> {
        let n = self.shown.tensor();
        let decay = self.decay.map(|d| self.decay_now(d, &n));
        let mut writes = Vec::with_capacity(self.params.len() + 2);
        for ((_, param), average) in self.params.iter().zip(&self.averages) {
            let (theta, a) = (param.tensor().detach(), average.tensor());
            let new = match &decay {
                Some(d) => {
                    let d = d.cast(a.dtype());
                    &a * &d + theta * (1.0 - d)
                }
                None => &a + (theta - &a) / (&n + 1.0).cast(a.dtype()),
            };
            writes.push((average.clone(), new));
        }
        if let (Some(left), Some(d)) = (&self.left, &decay) {
            writes.push((left.clone(), left.tensor() * d));
        }
        writes.push((self.shown.clone(), &n + 1.0));
        drop((n, decay));
        let device = self.params[0].1.tensor().device().clone();
        write_states(&device, writes, &[])
    }

    /// What `f` gives while the parameters compute with their averages on this thread. Nothing is written.
    ///
    /// # Errors
    /// There are none.
    #[track_caller]
    pub fn during<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        let values = self.params.iter().zip(&self.averages).map(|((_, p), a)| (p, self.value(p, a)));
        overlay(&values.collect::<Vec<_>>(), f)
    }

    /// Writes the averages over the parameters.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn write(&self) -> Result<()> {
        self.params.iter().zip(&self.averages).try_for_each(|((_, p), a)| p.set(&self.value(p, a)))
    }

    /// d of the next update.
    fn decay_now(&self, d: f64, updates: &Tensor) -> Tensor {
        let k = updates.cast(self.dtype());
        match self.warmup {
            true => ((&k + 1.0) / (k + 10.0)).minimum(d),
            false => Tensor::scalar(k.device(), d, k.dtype()),
        }
    }

    /// What numbers of all averages are computed in.
    fn dtype(&self) -> DType {
        wide(self.averages[0].tensor().dtype())
    }

    /// What a parameter's average comes to.
    fn value(&self, param: &Param, average: &State) -> Tensor {
        let a = average.tensor();
        match &self.left {
            Some(left) => {
                let of = 1.0 - left.tensor();
                let none = of.eq(0.0);
                let of = none.where_(1.0, of).cast(a.dtype());
                none.where_(param.tensor().detach(), a / of)
            }
            None => a,
        }
    }
}

impl Stateful for Average {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        for ((name, _), average) in self.params.iter().zip(&self.averages) {
            to.insert(name, Value::Array(Array::of(&average.tensor())?));
        }
        to.insert("#shown", Value::Number(self.shown.tensor().item()?));
        if let Some(left) = &self.left {
            to.insert("#left", Value::Number(left.tensor().item()?));
        }
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let mut values = Vec::with_capacity(self.params.len());
        for ((name, _), average) in self.params.iter().zip(&self.averages) {
            let (array, like) = (from.array(name)?, average.tensor());
            if array.shape != like.shape() || array.dtype != like.dtype() {
                let problem = format!("'{name}' is {array:?}, and {}{:?} is needed", like.dtype(), like.shape());
                return Err(Error::new("load", ErrorKind::Invalid(problem)));
            }
            values.push(array.upload(like.device())?);
        }
        let number = |name, like: &State| {
            let like = like.tensor();
            Ok::<_, Error>(Tensor::scalar(like.device(), from.number(name)?, like.dtype()))
        };
        let shown = number("#shown", &self.shown)?;
        let left = self.left.as_ref().map(|left| Ok::<_, Error>((left, number("#left", left)?))).transpose()?;
        let mut loading = Loading::new();
        loading.then(move || {
            self.averages.iter().zip(&values).try_for_each(|(average, value)| average.write(value))?;
            if let Some((left, value)) = &left {
                left.write(value)?;
            }
            self.shown.write(&shown)
        });
        Ok(loading)
    }
}
