//! A folder of models, by name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use nojson::{Json, JsonParseError, RawJson, RawJsonValue};
use thalweg_graph::{ErrorKind, Module, Result};

use crate::{
    atomic, file,
    load::Load,
    problem::{problem, relay},
    report::Loaded,
    safetensors::members,
    shards::is_plain,
    source, weights,
};

/// What the list of a hub is called.
const MANIFEST: &str = "manifest.json";
const VERSION: u32 = 1;

/// A folder of models that are loaded by name. What each is, and the size and checksum of its file, is in `manifest.json`:
///
/// ```text
/// {"version": 1, "models": {"digits": {"file": "digits-89abcdef.safetensors", "size_bytes": 5120, "crc32": "89abcdef",
///                                      "description": "LeNet on the built-in digits, 98.1 %"}}}
/// ```
///
/// ```no_run
/// # use thalweg_graph::{Module, Result};
/// # fn f(net: &dyn Module) -> Result<()> {
/// use thalweg_train::Hub;
///
/// let hub = Hub::new("models");
/// hub.add("digits", "LeNet on the built-in digits, 98.1 %", net)?;
/// for model in hub.list()? {
///     println!("{}: {}", model.name, model.description);
/// }
/// hub.load("digits", net)?;
/// # Ok(())
/// # }
/// ```
///
/// Files are written aside, through to the disk, and renamed, the manifest last: a crash at any moment leaves the old model or the new
/// one. Two programs that add to one hub at a time are not told of each other.
#[derive(Clone, Debug)]
pub struct Hub {
    folder: PathBuf,
}

/// A model of a [`Hub`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// What it is loaded by.
    pub name: String,
    /// Its file in the folder of the hub.
    pub file: String,
    /// The size of the file.
    pub size_bytes: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
    /// What whoever added it says of it.
    pub description: String,
}

impl Hub {
    /// The hub in a folder, which is made when the first model is added.
    pub fn new(folder: impl Into<PathBuf>) -> Hub {
        Hub { folder: folder.into() }
    }

    /// Its models, by name.
    ///
    /// # Errors
    /// [`ErrorKind::File`] for a manifest that cannot be read, or is none.
    #[track_caller]
    pub fn list(&self) -> Result<Vec<HubModel>> {
        Ok(self.manifest()?.into_values().collect())
    }

    /// The model of a name.
    ///
    /// # Errors
    /// As [`Hub::list`]; that there is none, and which there are.
    #[track_caller]
    pub fn find(&self, name: &str) -> Result<HubModel> {
        let mut models = self.manifest()?;
        match models.remove(name) {
            Some(model) => Ok(model),
            None => {
                let names: Vec<String> = models.into_keys().collect();
                let there = if names.is_empty() { "none".into() } else { names.join(", ") };
                Err(problem("hub", &self.folder, format!("has no model '{name}'; it has {there}")))
            }
        }
    }

    /// Adds the weights of a model, in place of those of this name if there are any. A name is made of letters, digits, `-`, `_` and `.`,
    /// and does not begin with a point.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when something cannot be written; another name; as [`save`](crate::save()).
    #[track_caller]
    pub fn add(&self, name: &str, description: &str, module: &dyn Module) -> Result<HubModel> {
        match weights::to_bytes(module) {
            Ok(bytes) => self.keep(name, description, "safetensors", &bytes),
            Err(error) => Err(relay("hub", &self.folder, "", &error)),
        }
    }

    /// Adds a copy of a file that [`Load`] reads: safetensors, or what `torch.save` wrote.
    ///
    /// # Errors
    /// As [`Hub::add`]; a file that cannot be read, or has no weights in it.
    #[track_caller]
    pub fn add_file(&self, name: &str, description: &str, path: impl AsRef<Path>) -> Result<HubModel> {
        let path = path.as_ref();
        let known = file::bytes(path).map(Arc::new).and_then(|bytes| source::from_bytes(&bytes).map(|_| bytes));
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("safetensors");
        match known {
            Ok(bytes) => self.keep(name, description, ending, &bytes),
            Err(text) => Err(problem("hub", path, text)),
        }
    }

    /// Loads all of a model by its name, as [`load`](crate::load()) does from a file.
    ///
    /// # Errors
    /// As [`Hub::find`] and [`load`](crate::load()); a file of another size or checksum than the manifest has.
    #[track_caller]
    pub fn load(&self, name: &str, module: &dyn Module) -> Result<()> {
        self.load_with(name, &Load::new(), module).map(drop)
    }

    /// The same, as these settings say.
    ///
    /// # Errors
    /// As [`Hub::load`].
    #[track_caller]
    pub fn load_with(&self, name: &str, how: &Load, module: &dyn Module) -> Result<Loaded> {
        let model = self.find(name)?;
        let path = self.folder.join(&model.file);
        let checked = file::bytes(&path).and_then(|bytes| {
            let crc = crc32(&bytes);
            match (bytes.len() as u64, crc) == (model.size_bytes, model.crc32) {
                true => Ok(bytes),
                false => Err(format!(
                    "is not what was added as '{name}': {} bytes with checksum {crc:08x}, not {} with {:08x}",
                    bytes.len(),
                    model.size_bytes,
                    model.crc32
                )),
            }
        });
        match checked {
            Ok(bytes) => how.load_bytes(&path.display().to_string(), bytes, module),
            Err(text) => Err(problem("hub", &path, text)),
        }
    }

    /// Takes a model out, and removes its file.
    ///
    /// # Errors
    /// As [`Hub::find`]; [`ErrorKind::File`] when something cannot be written or removed.
    #[track_caller]
    pub fn remove(&self, name: &str) -> Result<()> {
        let model = self.find(name)?;
        let mut models = self.manifest()?;
        let _ = models.remove(name);
        self.write(&models)?;
        let path = self.folder.join(&model.file);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) => Err(problem("hub", &path, format!("cannot be removed: {e}"))),
        }
    }

    /// Writes a file and then the manifest, and removes the file that was there before.
    #[track_caller]
    fn keep(&self, name: &str, description: &str, ending: &str, bytes: &[u8]) -> Result<HubModel> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fine) {
            let text = format!("'{name}' is no name for a model: letters, digits, -, _ and . make one");
            return Err(thalweg_graph::Error::new("hub", ErrorKind::Invalid(text)));
        }
        let mut models = self.manifest()?;
        let crc32 = crc32(bytes);
        // Another file than that of before: until the manifest is written, the old model is there.
        let file = format!("{name}-{crc32:08x}.{ending}");
        if let Err(e) = atomic::write(&self.folder.join(&file), bytes) {
            return Err(problem("hub", &self.folder.join(&file), format!("cannot be written: {e}")));
        }
        let (name, description) = (name.to_string(), description.to_string());
        let model = HubModel { name, file, size_bytes: bytes.len() as u64, crc32, description };
        let before = models.insert(model.name.clone(), model.clone());
        self.write(&models)?;
        if let Some(before) = before.filter(|before| before.file != model.file) {
            // What cannot be removed harms nobody.
            let _ = fs::remove_file(self.folder.join(before.file));
        }
        Ok(model)
    }

    #[track_caller]
    fn write(&self, models: &BTreeMap<String, HubModel>) -> Result<()> {
        let models: Vec<String> = models.values().map(HubModel::to_json).collect();
        let text = format!("{{\"version\":{VERSION},\"models\":{{\n{}\n}}}}\n", models.join(",\n"));
        match atomic::write(&self.folder.join(MANIFEST), text.as_bytes()) {
            Ok(()) => Ok(()),
            Err(e) => Err(problem("hub", &self.folder.join(MANIFEST), format!("cannot be written: {e}"))),
        }
    }

    #[track_caller]
    fn manifest(&self) -> Result<BTreeMap<String, HubModel>> {
        let path = self.folder.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(e) => return Err(problem("hub", &path, format!("cannot be read: {e}"))),
            Ok(text) => text,
        };
        match RawJson::parse(&text).and_then(|json| models(json.value())) {
            Ok(models) => Ok(models),
            Err(e) => Err(problem("hub", &path, format!("is damaged, or no manifest ({e})"))),
        }
    }
}

impl HubModel {
    fn to_json(&self) -> String {
        let HubModel { name, file, size_bytes, crc32, description } = self;
        let (name, file, description) = (Json(name), Json(file), Json(description));
        format!(
            "{name}:{{\"file\":{file},\"size_bytes\":{size_bytes},\"crc32\":\"{crc32:08x}\",\"description\":{description}}}"
        )
    }
}

fn models(manifest: RawJsonValue) -> Result<BTreeMap<String, HubModel>, JsonParseError> {
    let parts = members(manifest)?;
    let part = |name| parts.get(name).copied().ok_or_else(|| manifest.invalid(format!("it has no '{name}'")));
    let version: u32 = part("version")?.try_into()?;
    if version > VERSION {
        return Err(manifest.invalid(format!("it is of version {version}, and versions up to {VERSION} are known")));
    }
    let named = members(part("models")?)?.into_iter();
    named.map(|(name, value)| Ok((name.clone(), model(name, value)?))).collect()
}

fn model(name: String, value: RawJsonValue) -> Result<HubModel, JsonParseError> {
    let parts = members(value)?;
    let part = |name| parts.get(name).copied().ok_or_else(|| value.invalid(format!("it has no '{name}'")));
    let crc: String = part("crc32")?.try_into()?;
    let crc32 = u32::from_str_radix(&crc, 16).map_err(|_| value.invalid(format!("'{crc}' is no checksum")))?;
    let file: String = part("file")?.try_into()?;
    if !is_plain(&file) {
        return Err(value.invalid(format!("'{file}' is no name of a file")));
    }
    let (size_bytes, description) = (part("size_bytes")?.try_into()?, part("description")?.try_into()?);
    Ok(HubModel { name, file, size_bytes, crc32, description })
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use thalweg_cpu::StrictCpu;
    use thalweg_graph::{Device, Param, Tensor};

    use super::*;
    use crate::{save, scratch::Scratch};

    fn net(x: f32) -> Vec<Param> {
        let device = Device::new(Arc::new(StrictCpu::new()));
        vec![Param::new(Tensor::from_slice(&device, &[x, 2.0 * x], [2])).unwrap()]
    }

    fn values(net: &[Param]) -> Vec<f32> {
        net[0].tensor().to_vec().unwrap()
    }

    #[test]
    fn models_are_added_listed_loaded_and_removed() {
        let folder = Scratch::new("hub");
        let hub = Hub::new(&folder.0);
        assert_eq!(hub.list().unwrap(), []);
        let one = hub.add("one", "the \"first\"\nof all", &net(1.0)).unwrap();
        hub.add("two.b", "", &net(2.0)).unwrap();
        let names = |hub: &Hub| hub.list().unwrap().into_iter().map(|model| model.name).collect::<Vec<_>>();
        assert_eq!(names(&hub), ["one", "two.b"]);
        assert_eq!(Hub::new(&folder.0).find("one").unwrap(), one);
        let other = net(0.0);
        hub.load("two.b", &other).unwrap();
        assert_eq!(values(&other), [2.0, 4.0]);
        // In place of what was there, whose file goes.
        hub.add("one", "better", &net(3.0)).unwrap();
        hub.load("one", &other).unwrap();
        assert_eq!((values(&other), hub.find("one").unwrap().description), (vec![3.0, 6.0], "better".into()));
        assert!(!folder.0.join(&one.file).exists());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 3);
        // A file of somebody's, under another name of ours.
        let file = Scratch::new("hub-file");
        save(&file.0, &net(4.0)[0]).unwrap();
        hub.add_file("three", "from a file", &file.0).unwrap();
        let loaded = hub.load_with("three", &Load::new().rename(|_| Some("0".into())), &other).unwrap();
        assert_eq!((loaded.loaded, values(&other)), (vec!["0".to_string()], vec![4.0, 8.0]));
        hub.remove("one").unwrap();
        assert_eq!(names(&hub), ["three", "two.b"]);
        let error = hub.load("one", &other).unwrap_err().to_string();
        assert!(error.contains("has no model 'one'; it has three, two.b"), "{error}");
    }

    #[test]
    fn what_is_not_what_was_added_is_not_loaded() {
        let folder = Scratch::new("hub-damage");
        let hub = Hub::new(&folder.0);
        let model = hub.add("net", "", &net(1.0)).unwrap();
        let (path, manifest) = (folder.0.join(&model.file), folder.0.join(MANIFEST));
        let other = net(0.0);
        // A whole file, but another one.
        save(&path, &net(5.0)).unwrap();
        let error = hub.load("net", &other).unwrap_err().to_string();
        assert!(error.contains("is not what was added as 'net'") && error.contains(&model.file), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(hub.load("net", &other).unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(values(&other), [0.0, 0.0]);
        let good = fs::read_to_string(&manifest).unwrap();
        for (from, to, what) in [
            (model.file.as_str(), "../elsewhere", "'../elsewhere' is no name of a file"),
            ("\"version\":1", "\"version\":2", "it is of version 2"),
            ("size_bytes", "bytes", "it has no 'size_bytes'"),
            ("crc32\":\"", "crc32\":\"x", "is no checksum"),
            ("{", "", "is damaged, or no manifest"),
        ] {
            fs::write(&manifest, good.replacen(from, to, 1)).unwrap();
            let error = hub.list().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        fs::write(&manifest, good).unwrap();
        for name in ["", ".hidden", "a/b", "ü", "a b"] {
            let error = hub.add(name, "", &other).unwrap_err().to_string();
            assert!(error.contains("is no name for a model"), "{error}");
        }
        fs::write(folder.0.join("text"), b"no weights").unwrap();
        assert!(hub.add_file("text", "", folder.0.join("text")).is_err());
        assert_eq!(hub.list().unwrap().len(), 1);
    }
}
