//! Averages of weights, to evaluate with.

use thalweg_graph::{
    Error, ErrorKind, Param, Result, State, Tensor,
    module::{
        Module, overlay,
        snapshot::{Array, Loading, Snapshot, Stateful, Value},
        write_states,
    },
};

/// A running average of a model's parameters, beside them: `a ← d a + (1 - d) θ`, or the mean of those it was shown.
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
        Ok(Average { params, averages, shown, decay })
    }

    /// Shows it the parameters of now. Queued, not waited for.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn update(&self) -> Result<()> {
        let n = self.shown.tensor();
        let mut writes = Vec::with_capacity(self.params.len() + 1);
        for ((_, param), average) in self.params.iter().zip(&self.averages) {
            let (theta, a) = (param.tensor().detach(), average.tensor());
            let new = match self.decay {
                Some(d) => &a * d + theta * (1.0 - d),
                None => &a + (theta - &a) / (&n + 1.0).cast(a.dtype()),
            };
            writes.push((average.clone(), new));
        }
        writes.push((self.shown.clone(), &n + 1.0));
        drop(n);
        let device = self.params[0].1.tensor().device().clone();
        write_states(&device, writes, &[])
    }

    /// What `f` gives while the parameters compute with their averages on this thread. Nothing is written.
    ///
    /// # Errors
    /// There are none.
    #[track_caller]
    pub fn during<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        let values = self.params.iter().zip(&self.averages).map(|((_, p), a)| (p, a.tensor()));
        overlay(&values.collect::<Vec<_>>(), f)
    }

    /// Writes the averages over the parameters.
    ///
    /// # Errors
    /// What goes wrong on the device.
    #[track_caller]
    pub fn write(&self) -> Result<()> {
        self.params.iter().zip(&self.averages).try_for_each(|((_, p), a)| p.set(&a.tensor()))
    }
}

impl Stateful for Average {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        for ((name, _), average) in self.params.iter().zip(&self.averages) {
            to.insert(name, Value::Array(Array::of(&average.tensor())?));
        }
        to.insert("#shown", Value::Number(self.shown.tensor().item()?));
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
        let shown = Tensor::scalar(values[0].device(), from.number("#shown")?, self.shown.tensor().dtype());
        let mut loading = Loading::new();
        loading.then(move || {
            self.averages.iter().zip(&values).try_for_each(|(average, value)| average.write(value))?;
            self.shown.write(&shown)
        });
        Ok(loading)
    }
}
