//! Weights in several files, and the index that says which tensor is where.
//!
//! ```text
//! model.safetensors.index.json                       {"metadata": {"total_size": 12}, "weight_map": {"head.bias": "model-…"}}
//! model-89abcdef-00001-of-00002.safetensors          some of the tensors
//! model-89abcdef-00002-of-00002.safetensors          the others
//! ```
//!
//! The eight digits are a checksum of all tensors. So files of another state have other names, and the index, which is written last,
//! changes from all of the old ones to all of the new ones at once.
//!
//! # Source
//! Hugging Face, `huggingface_hub`, "Serialization": the format of the index.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use nojson::{Json, RawJson};
use thalweg_graph::module::snapshot::{Snapshot, Value};

use crate::{atomic, file, file::Contents, safetensors::members};

/// What the name of an index ends with.
pub(crate) const INDEX: &str = ".index.json";
const ENDING: &str = ".safetensors";
const MAP: &str = "weight_map";

/// What is in all files of an index, each of which `one` reads.
pub(crate) fn read(
    path: &Path,
    index: &[u8],
    one: impl Fn(&Path) -> Result<Contents, String>,
) -> Result<Contents, String> {
    let map = parse(index).map_err(|problem| format!("is no index of weights ({problem})"))?;
    let mut all = Contents::default();
    for file in map.values().collect::<BTreeSet<_>>() {
        let Contents { tensors, values, .. } =
            one(&beside(path, file)).map_err(|problem| format!("names '{file}', which {problem}"))?;
        for (name, stored) in tensors {
            match map.get(&name) {
                Some(place) if place == file => drop(all.tensors.insert(name, stored)),
                Some(place) => return Err(format!("has '{name}' in '{place}', and '{file}' has it too")),
                None => return Err(format!("does not have '{name}', which is in '{file}'")),
            }
        }
        all.values.extend(values);
    }
    match map.iter().find(|(name, _)| !all.tensors.contains_key(*name)) {
        Some((name, file)) => Err(format!("has '{name}' in '{file}', where it is not")),
        None => Ok(all),
    }
}

/// Which file each tensor is in. A name of a file is no path: an index reaches nothing but what is beside it.
fn parse(index: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(index).map_err(|e| e.to_string())?;
    let json = RawJson::parse(text).map_err(|e| e.to_string())?;
    let parts = members(json.value()).map_err(|e| e.to_string())?;
    let map = parts.get(MAP).ok_or_else(|| format!("it has no '{MAP}'"))?;
    let mut files = BTreeMap::new();
    for (name, file) in members(*map).map_err(|e| e.to_string())? {
        let file: String = file.try_into().map_err(|e: nojson::JsonParseError| e.to_string())?;
        if !is_plain(&file) {
            return Err(format!("'{file}' is no name of a file"));
        }
        files.insert(name, file);
    }
    Ok(files)
}

/// Whether a name is that of a file in the same folder.
pub(crate) fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn beside(path: &Path, file: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

/// Writes a snapshot to files of at most so many bytes of tensors, but for tensors that are larger alone, and an index. Then files go
/// that an older index of this name had.
pub(crate) fn write(path: &Path, snapshot: &Snapshot, most: usize) -> Result<(), String> {
    let stem = stem(path).ok_or_else(|| format!("is no name of an index: model{ENDING}{INDEX} is one"))?;
    let (parts, total) = parts(snapshot, most);
    let digest = digest(snapshot);
    let name = |i: usize| format!("{stem}-{digest:08x}-{:05}-of-{:05}{ENDING}", i + 1, parts.len());
    let mut map = BTreeMap::new();
    for (i, part) in parts.iter().enumerate() {
        let bytes = file::to_bytes(part, None)?;
        atomic::write(&beside(path, &name(i)), &bytes).map_err(|e| format!("cannot be written: {e}"))?;
        let tensors = part.iter().filter(|(_, value)| matches!(value, Value::Array(_)));
        map.extend(tensors.map(|(tensor, _)| (tensor.to_string(), name(i))));
    }
    let index = format!("{{\"metadata\":{{\"total_size\":{total}}},\"{MAP}\":{}}}\n", Json(&map));
    atomic::write(path, index.as_bytes()).map_err(|e| format!("cannot be written: {e}"))?;
    sweep(path, stem, |file| (0..parts.len()).any(|i| name(i) == file));
    Ok(())
}

/// What the names of an index's files begin with.
fn stem(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(INDEX)?.strip_suffix(ENDING).filter(|stem| !stem.is_empty())
}

/// A snapshot in parts, and the bytes of all tensors. What is no tensor is in the first.
fn parts(snapshot: &Snapshot, most: usize) -> (Vec<Snapshot>, usize) {
    let (mut parts, mut filled, mut total) = (vec![Snapshot::new()], 0, 0);
    for (name, value) in snapshot.iter() {
        match value {
            Value::Array(array) => {
                if filled > 0 && filled + array.bytes.len() > most {
                    parts.push(Snapshot::new());
                    filled = 0;
                }
                filled += array.bytes.len();
                total += array.bytes.len();
                parts.last_mut().into_iter().for_each(|part| part.insert(name, value.clone()));
            }
            value => parts[0].insert(name, value.clone()),
        }
    }
    (parts, total)
}

/// CRC-32 of everything that tells two snapshots apart.
fn digest(snapshot: &Snapshot) -> u32 {
    let mut crc = flate2::Crc::new();
    for (name, value) in snapshot.iter() {
        crc.update(format!("{name} {value:?}\n").as_bytes());
        if let Value::Array(array) = value {
            crc.update(&array.bytes);
        }
    }
    crc.sum()
}

/// Removes the files of other indices of this name. What cannot be removed stays: it harms nobody.
fn sweep(path: &Path, stem: &str, keep: impl Fn(&str) -> bool) {
    let is_shard = |name: &str| {
        let digits = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ENDING));
        let parts: Vec<&str> = digits.unwrap_or_default().split('-').collect();
        let [_, digest, i, "of", n] = parts.as_slice() else { return false };
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|c| c.is_ascii_digit());
        digest.len() == 8 && digest.bytes().all(|c| c.is_ascii_hexdigit()) && is_number(i) && is_number(n)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        if file.file_name().to_str().is_some_and(|name| is_shard(name) && !keep(name)) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_graph::{Device, Param, Rng, Tensor};

    use crate::{load, save_sharded};

    use super::*;

    /// Eight tensors of 40 bytes each.
    fn net(seed: u64) -> Vec<Param> {
        let (device, mut rng) = (Device::new(Arc::new(StrictCpu::new())), Rng::seed(seed));
        let mut param = || {
            let values: Vec<f32> = (0..10).map(|_| rng.normal() as f32).collect();
            Param::new(Tensor::from_slice(&device, &values, [10])).unwrap()
        };
        (0..8).map(|_| param()).collect()
    }

    fn values(net: &[Param]) -> Vec<Vec<f32>> {
        net.iter().map(|p| p.tensor().to_vec().unwrap()).collect()
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            Folder(std::env::temp_dir().join(format!("thalweg-{name}-{}", std::process::id())))
        }

        fn files(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn several_files_hold_what_one_would() {
        let folder = Folder::new("shards");
        let path = folder.0.join("model.safetensors.index.json");
        let (old, other) = (net(1), net(2));
        save_sharded(&path, &old, 100).unwrap();
        let names = folder.files();
        assert_eq!(names.len(), 5, "two tensors a file: {names:?}");
        assert!(names[0].ends_with("-00001-of-00004.safetensors") && names[4] == "model.safetensors.index.json");
        load(&path, &other).unwrap();
        assert_eq!(values(&other), values(&old));
        // Another state in another number of files: those of before are gone, and others are left alone.
        fs::write(folder.0.join("model-2.safetensors"), b"mine").unwrap();
        save_sharded(&path, &net(3), 1 << 20).unwrap();
        let names = folder.files();
        assert_eq!(names.len(), 3, "{names:?}");
        load(&path, &other).unwrap();
        assert_eq!(values(&other), values(&net(3)));
        // Smaller than any tensor.
        save_sharded(&path, &old, 1).unwrap();
        assert_eq!(folder.files().len(), 10);
        let error = save_sharded(folder.0.join("model.json"), &old, 1).unwrap_err().to_string();
        assert!(error.contains("is no name of an index: model.safetensors.index.json is one"), "{error}");
    }

    #[test]
    fn what_an_index_has_wrong_is_told() {
        let folder = Folder::new("indices");
        let path = folder.0.join("model.safetensors.index.json");
        let net = net(1);
        save_sharded(&path, &net, 160).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let [first, second] = [0, 1].map(|i| folder.files()[i].clone());
        let changed = |from: &str, to: &str| {
            assert!(good.contains(from), "{from} in {good}");
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            load(&path, &net).unwrap_err().to_string()
        };
        let map = |name: &str, file: &str| format!("\"{name}\":\"{file}\"");
        for (from, to, what) in [
            (map("3", &first), map("3", &second), format!("has '3' in '{second}', and '{first}' has it too")),
            (map("3", &first) + ",", String::new(), format!("does not have '3', which is in '{first}'")),
            (
                map("3", &first),
                map("x", &first) + "," + &map("3", &first),
                format!("has 'x' in '{first}', where it is not"),
            ),
            (map("3", &first), map("3", "../secret"), "'../secret' is no name of a file".into()),
            (map("3", &first), map("3", "/etc/passwd"), "'/etc/passwd' is no name of a file".into()),
            (map("3", &first), map("3", "absent"), "names 'absent', which cannot be read".into()),
            (map("3", &first), map("4", &first), "it is there twice".into()),
            (MAP.into(), "map".into(), "it has no 'weight_map'".into()),
            ("{".into(), "[".into(), "is no index of weights".into()),
        ] {
            let error = changed(&from, &to);
            assert!(error.contains(&what), "{error}");
        }
    }
}
