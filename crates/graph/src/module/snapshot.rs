//! Everything that goes to disk and back, as names and host values: weights, running statistics, what an optimizer keeps, draws,
//! positions in data.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{Mode, Module, Param, Path, State, Visitor};
use crate::{
    backend::Region,
    device::Device,
    dtype::DType,
    error::{Error, ErrorKind, Result},
    ops::random::{Rng, Stream},
    shape::count,
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

/// What a snapshot will change, once it is known that all of it fits.
#[must_use = "nothing is loaded before commit()"]
#[derive(Default)]
pub struct Loading<'a>(Vec<Box<dyn FnOnce() -> Result<()> + 'a>>);

impl<'a> Loading<'a> {
    /// Nothing yet.
    pub fn new() -> Loading<'a> {
        Loading::default()
    }

    /// One more thing to do.
    pub fn then(&mut self, change: impl FnOnce() -> Result<()> + 'a) {
        self.0.push(Box::new(change));
    }

    /// Another's things to do, after these.
    pub fn and(&mut self, other: Loading<'a>) {
        self.0.extend(other.0);
    }

    /// Does all of it.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn commit(self) -> Result<()> {
        self.0.into_iter().try_for_each(|change| change())
    }
}

impl fmt::Debug for Loading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loading({} changes)", self.0.len())
    }
}

/// Something whose state goes to disk and back: models, optimizers, generators, samplers.
pub trait Stateful {
    /// Adds all of its state. Waits for the device.
    ///
    /// # Errors
    /// What goes wrong on the device.
    fn save(&self, to: &mut Snapshot) -> Result<()>;

    /// What it takes to bring it to a saved state, if all of it fits. Changes nothing yet.
    ///
    /// # Errors
    /// What is missing, left over or of another kind.
    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>>;

    /// Brings it to a saved state; changes nothing unless all of it fits.
    ///
    /// # Errors
    /// As [`Stateful::prepare`]; what goes wrong on the device.
    fn load(&self, from: &Snapshot) -> Result<()> {
        self.prepare(from)?.commit()
    }
}

/// Entries that are no tensors stand behind a character that no parameter's name begins with.
const FROZEN: &str = "#frozen";

/// The parts of a model by name.
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
}

impl Visitor for Parts {
    fn param(&mut self, _: &Path, _: &Param) {}
    fn mode(&mut self, path: &Path, mode: &Mode) {
        self.modes.push((format!("#mode.{}", path.as_str()), mode.clone()));
    }
    fn stream(&mut self, path: &Path, stream: &Stream) {
        self.streams.push((format!("#stream.{}", path.as_str()), stream.clone()));
    }
}

impl<M: Module + ?Sized> Stateful for M {
    /// Parameters, states, modes, frozen flags and random streams.
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let parts = Parts::of(self);
        for (name, param) in &parts.params {
            to.insert(name, Value::Array(Array::of(&param.0.leaf())?));
        }
        for (name, state) in &parts.states {
            to.insert(name, Value::Array(Array::of(&state.tensor())?));
        }
        for (name, mode) in parts.modes {
            to.insert(name, Value::Words(vec![u64::from(mode.is_training())]));
        }
        for (name, stream) in parts.streams {
            to.insert(name, Value::Words(stream.state().to_vec()));
        }
        let frozen = parts.params.iter().filter(|(_, p)| p.is_frozen()).map(|(name, _)| name.as_str());
        to.insert(FROZEN, Value::Text(frozen.collect::<Vec<_>>().join("\n")));
        Ok(())
    }

    /// All parameters and states must be there, in their shapes and dtypes, and no others; modes, flags and streams that the snapshot
    /// does not have stay as they are.
    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let parts = Parts::of(self);
        let mut loading = Loading::new();
        let mut known: Vec<&str> = Vec::new();
        for (name, param) in &parts.params {
            let value = fitting(from.array(name)?, name, &param.0.leaf())?;
            let param = param.clone();
            loading.then(move || param.set(&value));
            known.push(name);
        }
        for (name, state) in &parts.states {
            let value = fitting(from.array(name)?, name, &state.tensor())?;
            let state = state.clone();
            loading.then(move || state.write(&value));
            known.push(name);
        }
        let extra = from.iter().find(|(name, value)| matches!(value, Value::Array(_)) && !known.contains(name));
        if let Some((extra, _)) = extra {
            let problem = format!("there is '{extra}', which the model has not");
            return Err(Error::new("load", ErrorKind::Invalid(problem)));
        }
        for (name, mode) in parts.modes.into_iter().filter(|(name, _)| from.get(name).is_some()) {
            let [training] = from.words(&name)?;
            loading.then(move || {
                mode.set(training != 0);
                Ok(())
            });
        }
        for (name, stream) in parts.streams.into_iter().filter(|(name, _)| from.get(name).is_some()) {
            let state = from.words(&name)?;
            loading.then(move || {
                stream.set_state(state);
                Ok(())
            });
        }
        if let Some(Value::Text(frozen)) = from.get(FROZEN) {
            let frozen: Vec<String> = frozen.lines().map(str::to_string).collect();
            let params = parts.params;
            loading.then(move || {
                params.iter().for_each(|(name, p)| p.freeze(frozen.contains(name)));
                Ok(())
            });
        }
        Ok(loading)
    }
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
