//! A file's weights into a model that is not quite theirs.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use thalweg_graph::{
    Module, Result, Tensor,
    module::snapshot::{Array, Snapshot, Value, matching},
};

use crate::{
    file::Contents,
    problem::{problem, relay},
    report::{Converted, Loaded, Problems},
    source,
    stored::{Stored, stored_dtype},
};

/// Of what a model is besides tensors, a file of weights has the random streams: masks go on where they were.
pub(crate) const STREAM: &str = "#stream.";
/// What PyTorch's batch norm counts and does not use while it has a momentum.
const UNNEEDED: &str = "num_batches_tracked";

type Rename = Arc<dyn Fn(&str) -> Option<String>>;
type Only = Arc<dyn Fn(&str) -> bool>;
/// Of a name and a number of axes, their order.
type Axes = Arc<dyn Fn(&str, usize) -> Option<Vec<usize>>>;

/// Reads a file into a model of the same structure: one that [`save`](crate::save()) wrote, another safetensors file, the index of several
/// (`model.safetensors.index.json`), or a state dictionary of PyTorch's `torch.save`. The model changes only if all of it fits. Modes and
/// frozen flags stay as they are. For a part of a file, or of a model, there is [`Load`].
///
/// # Errors
/// [`ErrorKind::File`](thalweg_graph::ErrorKind::File) naming the file and everything that is wrong: absent, truncated, damaged, or
/// parameters that are missing, left over, or of another shape or dtype than the model's.
#[track_caller]
pub fn load(path: impl AsRef<Path>, module: &dyn Module) -> Result<()> {
    Load::new().load(path, module).map(drop)
}

/// How a file's tensors get into a model that is not quite theirs.
///
/// ```no_run
/// # use thalweg_graph::{Module, Result};
/// use thalweg_train::Load;
///
/// # fn f(net: &dyn Module, body: &dyn Module) -> Result<()> {
/// // The body of a saved classifier, for one with other classes.
/// let loaded = Load::new().part("body").load("classifier.safetensors", body)?;
/// // Everything but the head, which is new.
/// let loaded = Load::new().only(|name| !name.starts_with("head.")).load("old.safetensors", net)?;
/// // Of a run of PyTorch's, the model, in whatever precision; what did not fit is printed.
/// println!("{}", Load::new().part("model").missing_ok().extra_ok().cast().load("run.pt", net)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Load {
    part: Option<String>,
    under: Option<String>,
    rename: Option<Rename>,
    only: Option<Only>,
    axes: Option<Axes>,
    missing_ok: bool,
    misshapen_ok: bool,
    extra_ok: bool,
    cast: bool,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { part, under, missing_ok, misshapen_ok, extra_ok, cast, .. } = self;
        let mut text = f.debug_struct("Load");
        text.field("part", part).field("under", under).field("missing_ok", missing_ok);
        text.field("misshapen_ok", misshapen_ok).field("extra_ok", extra_ok);
        text.field("cast", cast).finish_non_exhaustive()
    }
}

impl Load {
    /// All of a file into all of a model, as [`load`].
    pub fn new() -> Load {
        Load::default()
    }

    /// Only what stands under this prefix in the file, and without it: with `"body"` the file's `body.conv1.weight` is the model's
    /// `conv1.weight`. A part of a [`Checkpoint`](crate::Checkpoint) is one such, and a dictionary in what `torch.save` wrote.
    pub fn part(mut self, prefix: &str) -> Load {
        self.part = Some(prefix.into());
        self
    }

    /// With this prefix before the file's names: with `"body"` the file's `conv1.weight` is the model's `body.conv1.weight`.
    pub fn under(mut self, prefix: &str) -> Load {
        self.under = Some(prefix.into());
        self
    }

    /// Under other names, by a function of the file's (after [`Load::part`] and [`Load::under`]); `None` leaves a tensor out.
    pub fn rename(mut self, rename: impl Fn(&str) -> Option<String> + 'static) -> Load {
        self.rename = Some(Arc::new(rename));
        self
    }

    /// Only the parameters and states of the model for whose names this holds; the others stay as they are.
    pub fn only(mut self, only: impl Fn(&str) -> bool + 'static) -> Load {
        self.only = Some(Arc::new(only));
        self
    }

    /// With the last two axes exchanged, where the file has the weights of the model for whose names this holds as `[in, out]`. What has
    /// one axis stays as it is.
    pub fn transpose(self, which: impl Fn(&str) -> bool + 'static) -> Load {
        self.reorder(move |name, rank| {
            let mut axes: Vec<usize> = (0..rank).collect();
            let exchanged = rank >= 2 && which(name);
            exchanged.then(|| {
                axes.swap(rank - 2, rank - 1);
                axes
            })
        })
    }

    /// With the axes in another order for the names of the model for which this gives one: axis `d` of the model's is axis `order[d]` of
    /// the file's. `[3, 2, 0, 1]` makes `[out, in, h, w]` of `[h, w, in, out]`.
    pub fn permute(self, order: impl Fn(&str) -> Option<Vec<usize>> + 'static) -> Load {
        self.reorder(move |name, _| order(name))
    }

    fn reorder(mut self, axes: impl Fn(&str, usize) -> Option<Vec<usize>> + 'static) -> Load {
        self.axes = Some(Arc::new(axes));
        self
    }

    /// Parameters and states that the file does not have stay as they are, and are told of.
    pub fn missing_ok(mut self) -> Load {
        self.missing_ok = true;
        self
    }

    /// Parameters and states that have another shape in the file stay as they are, and are told of: the head of a model for other
    /// classes.
    pub fn misshapen_ok(mut self) -> Load {
        self.misshapen_ok = true;
        self
    }

    /// Tensors that the model has not are left out, and told of.
    pub fn extra_ok(mut self) -> Load {
        self.extra_ok = true;
        self
    }

    /// Floats and integers are rounded to the model's floats where the file has them in another dtype. (Floats become wider ones, and
    /// integers other integers that hold them, without being asked.)
    pub fn cast(mut self) -> Load {
        self.cast = true;
        self
    }

    /// Loads. The model changes only if everything fits.
    ///
    /// What the file is is seen by its bytes: safetensors, or PyTorch's `torch.save`, of which nothing is executed. A name that ends in
    /// `.index.json` is that of the index of several files. Integers of any width become the model's where they fit. PyTorch's
    /// `num_batches_tracked`, which batch norm does not need, is left over without being an error.
    ///
    /// # Errors
    /// [`ErrorKind::File`](thalweg_graph::ErrorKind::File) naming the file and everything that is wrong: absent, truncated, damaged;
    /// tensors of another shape or dtype than the model's; what is missing or left over, unless that is allowed; nothing that has a
    /// place in the model.
    #[track_caller]
    pub fn load(&self, path: impl AsRef<Path>, module: &dyn Module) -> Result<Loaded> {
        let path = path.as_ref();
        self.fill(path, source::read(path), module)
    }

    /// The same with what such a file has in it, which is called `name` in errors.
    ///
    /// # Errors
    /// As [`Load::load`].
    #[track_caller]
    pub fn load_bytes(&self, name: &str, bytes: Vec<u8>, module: &dyn Module) -> Result<Loaded> {
        self.fill(Path::new(name), source::from_bytes(&Arc::new(bytes)), module)
    }

    #[track_caller]
    fn fill(&self, path: &Path, contents: Result<Contents, String>, module: &dyn Module) -> Result<Loaded> {
        let (snapshot, loaded) = match contents.and_then(|contents| self.select(&contents, module)) {
            Ok(selected) => selected,
            Err(text) => return Err(problem("load", path, text)),
        };
        let done = matching(module, &snapshot).and_then(|matching| matching.loading.commit());
        match done {
            Ok(()) => Ok(loaded),
            Err(error) => Err(relay("load", path, "", &error)),
        }
    }

    /// What of a file is to be written to a model, in the model's names and dtypes.
    fn select(&self, contents: &Contents, module: &dyn Module) -> Result<(Snapshot, Loaded), String> {
        let (mut loaded, mut problems, mut snapshot) = (Loaded::default(), Problems::default(), Snapshot::new());
        let mut there: BTreeMap<String, (&str, &Stored)> = BTreeMap::new();
        for (name, stored) in &contents.tensors {
            match self.place(name) {
                None => loaded.skipped.push(name.clone()),
                Some(place) if place.starts_with('#') => {}
                Some(place) => {
                    if let Some((other, _)) = there.insert(place.clone(), (name, stored)) {
                        problems.misfits.push(format!("has '{other}' and '{name}', which would both become '{place}'"));
                    }
                }
            }
        }
        let params = module.params().into_iter().map(|(name, p)| (name, p.tensor()));
        let states = module.states().into_iter().map(|(name, s)| (name, s.tensor()));
        for (name, now) in params.chain(states) {
            let found = there.remove(&name);
            if self.only.as_ref().is_some_and(|only| !only(&name)) {
                loaded.skipped.extend(found.map(|(from, _)| from.to_string()));
                continue;
            }
            match found.map(|(from, stored)| (from, self.fit(&name, stored, &now))) {
                None => {
                    problems.missing.push((name.clone(), now.shape().to_vec()));
                    loaded.missing.push(name);
                }
                Some((from, Fit::Array(array))) => {
                    if contents.tensors[from].dtype != stored_dtype(array.dtype) {
                        let (from, to) = (contents.tensors[from].dtype, array.dtype);
                        loaded.converted.push(Converted { name: name.clone(), from, to });
                    }
                    snapshot.insert(&name, Value::Array(array));
                    loaded.loaded.push(name);
                }
                Some((_, Fit::Misshapen(_))) if self.misshapen_ok => loaded.misshapen.push(name),
                Some((from, Fit::Misshapen(text) | Fit::None(text))) => {
                    let place = if *from == *name { String::new() } else { format!(" (for '{name}')") };
                    problems.misfits.push(format!("has '{from}'{place} {text}"));
                }
            }
        }
        for (place, (name, stored)) in there {
            if !place.ends_with(UNNEEDED) {
                problems.extra.push((name.into(), stored.shape.clone()));
            }
            loaded.left.push(name.into());
        }
        let nothing = loaded.loaded.is_empty() && loaded.misshapen.is_empty() && problems.misfits.is_empty();
        if nothing && self.missing_ok && !contents.tensors.is_empty() {
            // Whatever is allowed, this is another file.
            let names: Vec<&str> = contents.tensors.keys().take(3).map(String::as_str).collect();
            return Err(format!("has nothing that has a place in the model; it has {}, ..", names.join(", ")));
        }
        if self.missing_ok {
            problems.missing.clear();
        }
        if self.extra_ok {
            problems.extra.clear();
        }
        problems.hint = hint(&problems.missing, &contents.tensors).unwrap_or_default();
        problems.check()?;
        loaded.skipped.sort();
        loaded.left.sort();
        for (name, value) in &contents.values {
            if let Some(name) = self.stream(name) {
                snapshot.insert(name, value.clone());
            }
        }
        Ok((snapshot, loaded))
    }

    /// A tensor of the file as what the model has now.
    fn fit(&self, name: &str, stored: &Stored, now: &Tensor) -> Fit {
        let order = self.axes.as_ref().and_then(|axes| axes(name, stored.shape.len()));
        let stored = match &order {
            None => stored.clone(),
            Some(order) => match stored.permuted(order) {
                Some(stored) => stored,
                None => {
                    return Fit::None(format!("with shape {:?}, whose axes {order:?} are no order of", stored.shape));
                }
            },
        };
        if stored.shape != now.shape() {
            return Fit::Misshapen(format!("with shape {:?}, and the model's has {:?}", stored.shape, now.shape()));
        }
        match stored.array(now.dtype(), self.cast) {
            Ok(array) => Fit::Array(array),
            Err(text) => Fit::None(format!("in {}, {text}", stored.dtype)),
        }
    }

    /// What a random stream of the file is called in the model, if it is one and wanted.
    fn stream(&self, name: &str) -> Option<String> {
        let name = match &self.part {
            Some(part) => name.strip_prefix(part.as_str())?.strip_prefix('.')?,
            None => name,
        };
        let place = self.rest_of_place(name.strip_prefix(STREAM)?.into())?;
        let is_wanted = self.only.as_ref().is_none_or(|only| only(&place));
        is_wanted.then(|| format!("{STREAM}{place}"))
    }

    /// What a tensor of the file is called in the model.
    fn place(&self, name: &str) -> Option<String> {
        let name = match &self.part {
            Some(part) => name.strip_prefix(part.as_str())?.strip_prefix('.')?,
            None => name,
        };
        self.rest_of_place(name.into())
    }

    fn rest_of_place(&self, name: String) -> Option<String> {
        let name = self.under.as_ref().map_or(name.clone(), |under| format!("{under}.{name}"));
        self.rename.as_ref().map_or(Some(name.clone()), |rename| rename(&name))
    }
}

/// What becomes of a tensor of the file.
enum Fit {
    Array(Array),
    Misshapen(String),
    None(String),
}

/// Under which prefix everything is that is missing.
fn hint(missing: &[(String, Vec<usize>)], there: &BTreeMap<String, Stored>) -> Option<String> {
    let (first, _) = missing.first()?;
    let prefix = there.keys().find_map(|name| {
        let prefix = name.strip_suffix(first.as_str())?.strip_suffix('.')?;
        missing.iter().all(|(name, _)| there.contains_key(&format!("{prefix}.{name}"))).then_some(prefix)
    })?;
    Some(format!("; it has '{prefix}.{first}': Load::new().part(\"{prefix}\")"))
}

#[cfg(test)]
mod tests;
