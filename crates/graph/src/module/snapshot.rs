//! Everything that goes to disk and back, as names and host values: weights, running statistics, what an optimizer keeps, draws,
//! positions in data.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{Mode, Module, Param, Path, State, Visitor};
use thalweg_ir::{DType, Error, ErrorKind, Result, shape::count, storage::Region};

use crate::{
    device::Device,
    ops::random::{Rng, Stream},
    tensor::{Role, Tensor},
};

/// A tensor's elements on the host, little-endian as devices store them (Bool as u32).
#[derive(Clone, PartialEq, Eq)]
pub struct Array {
    /// Their type.
    pub dtype: DType,
    /// The extents of its axes.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub bytes: Vec<u8>,
}

impl Array {
    /// What a tensor holds. Waits for the device.
    ///
    /// # Errors
    /// What evaluating it meets.
    #[track_caller]
    pub fn of(tensor: &Tensor) -> Result<Array> {
        Ok(Array { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), bytes: tensor.read_bytes()? })
    }

    /// As a tensor on a device.
    ///
    /// # Errors
    /// Bytes that are not those of the shape; no memory.
    #[track_caller]
    pub fn upload(&self, device: &Device) -> Result<Tensor> {
        let len = count(&self.shape);
        if self.bytes.len() != len * self.dtype.size_bytes() {
            let (got, want) = (self.bytes.len() / self.dtype.size_bytes().max(1), len);
            return Err(Error::new("load", ErrorKind::Length { got, want, shape: self.shape.clone() }));
        }
        let storage = device.backend().upload(&self.bytes)?;
        let region = Region { storage, offset: 0, len, dtype: self.dtype };
        Ok(Tensor::leaf(region, self.shape.clone(), device, false, Role::Plain, std::panic::Location::caller()))
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({}{:?})", self.dtype, self.shape)
    }
}

/// One entry of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Array(Array),
    /// Counts, positions, keys.
    Words(Vec<u64>),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// Of nothing.
    pub fn new() -> Snapshot {
        Snapshot::default()
    }

    /// Adds an entry.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        self.0.insert(name.into(), value);
    }

    /// The entry of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of another under a prefix: `weight` as `prefix.weight`.
    pub fn add(&mut self, prefix: &str, part: Snapshot) {
        self.0.extend(part.0.into_iter().map(|(name, value)| (format!("{prefix}.{name}"), value)));
    }

    /// The entries under a prefix, without it.
    pub fn part(&self, prefix: &str) -> Snapshot {
        let stripped = |(name, value): (&String, &Value)| {
            Some((name.strip_prefix(prefix)?.strip_prefix('.')?.to_string(), value.clone()))
        };
        Snapshot(self.0.iter().filter_map(stripped).collect())
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is none of that name.
    #[track_caller]
    pub fn array(&self, name: &str) -> Result<&Array> {
        match self.get(name) {
            Some(Value::Array(array)) => Ok(array),
            found => Err(missing(name, "tensor", found)),
        }
    }

    /// The number of a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is none of that name.
    #[track_caller]
    pub fn number(&self, name: &str) -> Result<f64> {
        match self.get(name) {
            Some(Value::Number(number)) => Ok(*number),
            found => Err(missing(name, "number", found)),
        }
    }

    /// The words of a name: exactly `N`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there are none of that name, or another number of them.
    #[track_caller]
    pub fn words<const N: usize>(&self, name: &str) -> Result<[u64; N]> {
        let found = self.get(name);
        match found {
            Some(Value::Words(words)) => match words.as_slice().try_into() {
                Ok(words) => Ok(words),
                Err(_) => Err(missing(name, "entry of its length", found)),
            },
            _ => Err(missing(name, "list of words", found)),
        }
    }
}

#[track_caller]
fn missing(name: &str, kind: &str, found: Option<&Value>) -> Error {
    let problem = match found {
        None => format!("there is no '{name}', which is needed"),
        Some(value) => format!("'{name}' is {value:?}, and a {kind} is needed"),
    };
    Error::new("load", ErrorKind::Invalid(problem))
}

type Change<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// What a snapshot will change, once it is known that all of it fits.
#[must_use = "nothing is loaded before commit()"]
#[derive(Default)]
pub struct Loading<'a> {
    first: Vec<Change<'a>>,
    last: Vec<Change<'a>>,
}

impl<'a> Loading<'a> {
    /// Nothing yet.
    pub fn new() -> Loading<'a> {
        Loading::default()
    }

    /// One more thing to do.
    pub fn then(&mut self, change: impl FnOnce() -> Result<()> + 'a) {
        self.first.push(Box::new(change));
    }

    /// Something to do when everything else has been done, also what comes by [`Loading::and`].
    pub fn last(&mut self, change: impl FnOnce() -> Result<()> + 'a) {
        self.last.push(Box::new(change));
    }

    /// Another's things to do, after these.
    pub fn and(&mut self, other: Loading<'a>) {
        self.first.extend(other.first);
        self.last.extend(other.last);
    }

    /// Does all of it.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn commit(self) -> Result<()> {
        self.first.into_iter().chain(self.last).try_for_each(|change| change())
    }
}

impl fmt::Debug for Loading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loading({} changes)", self.first.len() + self.last.len())
    }
}

/// Something whose state goes to disk and back: models, optimizers, generators, loaders, counters, and what a program makes so:
///
/// ```
/// use std::cell::Cell;
/// use thalweg_graph::{
///     Result, Stateful,
///     module::snapshot::{Loading, Snapshot, Value},
/// };
///
/// /// Gives up when the loss has not fallen for a while.
/// struct Patience {
///     best: Cell<f64>,
///     waited: Cell<u64>,
/// }
///
/// impl Stateful for Patience {
///     fn save(&self, to: &mut Snapshot) -> Result<()> {
///         to.insert("best", Value::Number(self.best.get()));
///         to.insert("waited", Value::Words(vec![self.waited.get()]));
///         Ok(())
///     }
///
///     fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
///         let (best, [waited]) = (from.number("best")?, from.words("waited")?);
///         let mut loading = Loading::new();
///         loading.then(move || {
///             self.best.set(best);
///             self.waited.set(waited);
///             Ok(())
///         });
///         Ok(loading)
///     }
/// }
///
/// let (one, other) = [(0.5, 3), (f64::INFINITY, 0)].map(|(b, w)| Patience { best: b.into(), waited: w.into() }).into();
/// let mut snapshot = Snapshot::new();
/// one.save(&mut snapshot)?;
/// other.load(&snapshot)?;
/// assert_eq!((other.best.get(), other.waited.get()), (0.5, 3));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
pub trait Stateful {
    /// Adds all of its state. Waits for the device.
    ///
    /// # Errors
    /// What goes wrong on the device; two parts of one name.
    #[track_caller]
    fn save(&self, to: &mut Snapshot) -> Result<()>;

    /// What it takes to bring it to a saved state, if all of it fits. Changes nothing yet.
    ///
    /// # Errors
    /// What is missing, left over or of another kind.
    #[track_caller]
    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>>;

    /// Brings it to a saved state; changes nothing unless all of it fits.
    ///
    /// # Errors
    /// As [`Stateful::prepare`]; what goes wrong on the device.
    #[track_caller]
    fn load(&self, from: &Snapshot) -> Result<()> {
        self.prepare(from)?.commit()
    }
}

/// Entries that are no tensors stand behind a character that no parameter's name begins with.
const VALUE: char = '#';

/// The parts of a model by the names of their entries.
#[derive(Default)]
struct Parts {
    params: Vec<(String, Param)>,
    states: Vec<(String, State)>,
    modes: Vec<(String, Mode)>,
    streams: Vec<(String, Stream)>,
}

impl Parts {
    fn of(module: &(impl Module + ?Sized)) -> Parts {
        let mut parts = Parts::default();
        module.visit(&Path::default(), &mut parts);
        (parts.params, parts.states) = (module.params(), module.states());
        parts
    }

    /// The entry of a parameter's flags: whether its module trains, and whether it is frozen.
    fn flags(param: &str) -> String {
        format!("{VALUE}flags.{param}")
    }

    /// The entry of what a state was set to and no step has written yet: if the step to come is skipped, it never was.
    fn set(state: &str) -> String {
        format!("{VALUE}set.{state}")
    }
}

impl Visitor for Parts {
    fn param(&mut self, _: &Path, _: &Param) {}
    fn mode(&mut self, path: &Path, mode: &Mode) {
        self.modes.push((format!("{VALUE}mode.{}", path.as_str()), mode.clone()));
    }
    fn stream(&mut self, path: &Path, stream: &Stream) {
        self.streams.push((format!("{VALUE}stream.{}", path.as_str()), stream.clone()));
    }
}

impl<M: Module + ?Sized> Stateful for M {
    /// Parameters, states (also what they were set to and no step has written yet), modes, frozen flags and random streams.
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let parts = Parts::of(self);
        let mut entries = Vec::new();
        for (name, param) in parts.params {
            let ((training, frozen), flags) = (param.0.flags(), Parts::flags(&name));
            entries.push((name, Value::Array(Array::of(&param.0.leaf())?)));
            entries.push((flags, Value::Words(vec![training.into(), frozen.into()])));
        }
        for (name, state) in parts.states {
            if let Some(next) = state.0.next() {
                entries.push((Parts::set(&name), Value::Array(Array::of(&next)?)));
            }
            entries.push((name, Value::Array(Array::of(&state.0.leaf())?)));
        }
        for (name, mode) in parts.modes {
            entries.push((name, Value::Words(vec![mode.is_training().into()])));
        }
        for (name, stream) in parts.streams {
            entries.push((name, Value::Words(stream.state().to_vec())));
        }
        let mut known = BTreeSet::new();
        if let Some((twice, _)) = entries.iter().find(|(name, _)| !known.insert(name.as_str())) {
            let problem = format!("two parts of the model are called '{twice}', so one of them would be lost");
            return Err(Error::new("save", ErrorKind::Invalid(problem)));
        }
        entries.into_iter().for_each(|(name, value)| to.insert(name, value));
        Ok(())
    }

    /// All of it must be there, in its shapes and dtypes, and nothing else.
    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let Matching { loading, missing, left, .. } = matching(self, from)?;
        let problem = match (missing.first(), left.first()) {
            (Some(missing), _) => format!("there is no '{missing}', which the model needs"),
            (None, Some(left)) => format!("there is '{left}', which the model has not"),
            (None, None) => return Ok(loading),
        };
        Err(Error::new("load", ErrorKind::Invalid(problem)))
    }
}

/// What of a snapshot has a place in a model.
#[derive(Debug)]
pub struct Matching<'a> {
    /// What it takes to load that.
    pub loading: Loading<'a>,
    /// The names of its entries.
    pub loaded: Vec<String>,
    /// Entries that the model would have, and the snapshot has not.
    pub missing: Vec<String>,
    /// Entries of the snapshot that the model has no place for.
    pub left: Vec<String>,
}

/// Brings a model to what a snapshot has of it, and leaves the rest as it is.
///
/// # Errors
/// An entry of another shape, dtype or kind than the model's.
#[track_caller]
pub fn matching<'a>(module: &'a (impl Module + ?Sized), from: &Snapshot) -> Result<Matching<'a>> {
    let Parts { params, states, modes, streams } = Parts::of(module);
    let (mut loading, mut names) = (Loading::new(), Vec::new());
    for (name, param) in &params {
        names.push(name.clone());
        if from.get(name).is_some() {
            let value = fitting(from.array(name)?, name, &param.0.leaf())?;
            let param = param.clone();
            loading.then(move || param.set(&value));
        }
    }
    for (name, state) in &states {
        names.push(name.clone());
        if from.get(name).is_some() {
            let value = fitting(from.array(name)?, name, &state.0.leaf())?;
            let state = state.clone();
            loading.then(move || state.write(&value));
        }
        let name = Parts::set(name);
        if from.get(&name).is_some() {
            let next = fitting(from.array(&name)?, &name, &state.0.leaf())?;
            let state = state.clone();
            // When everything is written: a write in between would write this as well.
            loading.last(move || {
                state.set(&next);
                Ok(())
            });
            names.push(name);
        }
    }
    for (name, mode) in modes {
        if from.get(&name).is_some() {
            let [training] = from.words(&name)?;
            loading.then(move || {
                mode.set(training != 0);
                Ok(())
            });
        }
        names.push(name);
    }
    for (name, stream) in streams {
        if from.get(&name).is_some() {
            let state = from.words(&name)?;
            loading.then(move || {
                stream.set_state(state);
                Ok(())
            });
        }
        names.push(name);
    }
    for (name, param) in params {
        let name = Parts::flags(&name);
        if from.get(&name).is_some() {
            let [training, frozen] = from.words(&name)?;
            loading.then(move || {
                param.0.set_flags(Some(training != 0), Some(frozen != 0));
                Ok(())
            });
        }
        names.push(name);
    }
    let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let left = from.iter().map(|(name, _)| name).filter(|name| !known.contains(name)).map(str::to_string).collect();
    let (loaded, missing) = names.into_iter().partition(|name| from.get(name).is_some());
    Ok(Matching { loading, loaded, missing, left })
}

/// A saved tensor on the device of the one it is to replace, or why it cannot.
#[track_caller]
fn fitting(array: &Array, name: &str, like: &Tensor) -> Result<Tensor> {
    let problem = if array.shape != like.shape() {
        format!("'{name}' has shape {:?}, and the model's has {:?}", array.shape, like.shape())
    } else if array.dtype != like.dtype() {
        format!("'{name}' is {}, and the model's is {}", array.dtype, like.dtype())
    } else {
        return array.upload(like.device());
    };
    Err(Error::new("load", ErrorKind::Invalid(problem)))
}

/// The entry of something that has only one.
const ONLY: &str = "#value";

macro_rules! counters {
    ($($type:ty: $save:expr, $load:expr;)*) => {$(
        /// A number of the program's own: the epoch, the best score so far.
        impl Stateful for Cell<$type> {
            fn save(&self, to: &mut Snapshot) -> Result<()> {
                let save: fn($type) -> Value = $save;
                to.insert(ONLY, save(self.get()));
                Ok(())
            }
            fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
                let load: fn(&Snapshot) -> Result<$type> = $load;
                let value = load(from)?;
                let mut loading = Loading::new();
                loading.then(move || {
                    self.set(value);
                    Ok(())
                });
                Ok(loading)
            }
        }
    )*};
}
counters! {
    u64: |n| Value::Words(vec![n]), |from| Ok(from.words::<1>(ONLY)?[0]);
    usize: |n| Value::Words(vec![n as u64]), |from| match usize::try_from(from.words::<1>(ONLY)?[0]) {
        Ok(n) => Ok(n),
        Err(e) => Err(Error::new("load", ErrorKind::Invalid(format!("'{ONLY}': {e}")))),
    };
    f64: |x| Value::Number(x), |from| from.number(ONLY);
}

macro_rules! generators {
    ($($cell:ident $read:ident $write:ident),*) => {$(
        impl Stateful for $cell<Rng> {
            fn save(&self, to: &mut Snapshot) -> Result<()> {
                to.insert("#rng", Value::Words($read(self).to_vec()));
                Ok(())
            }
            fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
                let rng = Rng::from_state(from.words("#rng")?);
                let mut loading = Loading::new();
                loading.then(move || {
                    $write(self, rng);
                    Ok(())
                });
                Ok(loading)
            }
        }
    )*};
}
fn of_mutex(rng: &Mutex<Rng>) -> [u64; 5] {
    rng.lock().unwrap_or_else(PoisonError::into_inner).state()
}
fn to_mutex(cell: &Mutex<Rng>, rng: Rng) {
    *cell.lock().unwrap_or_else(PoisonError::into_inner) = rng;
}
fn of_cell(rng: &RefCell<Rng>) -> [u64; 5] {
    rng.borrow().state()
}
fn to_cell(cell: &RefCell<Rng>, rng: Rng) {
    *cell.borrow_mut() = rng;
}
generators! { Mutex of_mutex to_mutex, RefCell of_cell to_cell }
