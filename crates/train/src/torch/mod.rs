//! Files that PyTorch's `torch.save` writes: the tensors in whatever dictionaries and lists were saved. Nothing is executed.
//!
//! ```text
//! net/data.pkl    a pickle: dictionaries, and of each tensor where its elements are
//! net/data/0      the elements of a storage
//! net/byteorder   little or big
//! ```
//!
//! The tensor `{"model": {"conv1.weight": ..}}` is `model.conv1.weight`, that of a list `[.., ..]` is `0` or `1`.
//!
//! # Source
//! PyTorch 2.15, `torch/serialization.py` (`persistent_id`, `_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`).

mod pickle;
mod zip;

use std::{collections::BTreeMap, sync::Arc};

use crate::stored::{Layout, Stored};
use pickle::{Made, Pickle, Value};
use zip::Archive;
pub(crate) use zip::MAGIC;

/// What files of before PyTorch 1.6 begin with: a pickle of a number that only they have.
pub(crate) const LEGACY: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The names that a state dictionary may need, and what they mean here.
const NAMES: [(&str, &str); 37] = [
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("_codecs", "encode"),
    ("torch.storage", "UntypedStorage"),
    ("torch", "UntypedStorage"),
    // Storages, by their elements.
    ("torch", "DoubleStorage"),
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "BFloat16Storage"),
    ("torch", "LongStorage"),
    ("torch", "IntStorage"),
    ("torch", "ShortStorage"),
    ("torch", "CharStorage"),
    ("torch", "ByteStorage"),
    ("torch", "BoolStorage"),
    ("torch", "ComplexFloatStorage"),
    // Dtypes.
    ("torch", "float64"),
    ("torch", "float32"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
    ("torch", "int64"),
    ("torch", "int32"),
    ("torch", "int16"),
    ("torch", "int8"),
    ("torch", "uint8"),
    ("torch", "bool"),
    ("torch", "complex64"),
    ("torch", "uint64"),
    ("torch", "uint32"),
    ("torch", "uint16"),
    ("torch", "float8_e4m3fn"),
    ("torch", "float8_e5m2"),
];

/// Of a storage or a dtype, how safetensors calls its elements.
const DTYPES: [(&str, &str, &str); 16] = [
    ("DoubleStorage", "float64", "F64"),
    ("FloatStorage", "float32", "F32"),
    ("HalfStorage", "float16", "F16"),
    ("BFloat16Storage", "bfloat16", "BF16"),
    ("LongStorage", "int64", "I64"),
    ("IntStorage", "int32", "I32"),
    ("ShortStorage", "int16", "I16"),
    ("CharStorage", "int8", "I8"),
    ("ByteStorage", "uint8", "U8"),
    ("BoolStorage", "bool", "BOOL"),
    ("ComplexFloatStorage", "complex64", "C64"),
    ("", "uint64", "U64"),
    ("", "uint32", "U32"),
    ("", "uint16", "U16"),
    ("", "float8_e4m3fn", "F8_E4M3"),
    ("", "float8_e5m2", "F8_E5M2"),
];
/// A storage of bytes: its tensors say what their elements are.
const UNTYPED: &str = "UntypedStorage";

/// The longest pickle that is read, in bytes, as what is made of it takes a hundred times as many. A tensor takes about a hundred.
const LONGEST: usize = 100_000_000;
/// How deep dictionaries and lists may be in one another.
const DEPTH: usize = 64;
/// Of the names of all tensors and what is between them, how many bytes there may be for one byte of the pickle. What a pickle has once
/// it may show at many places; a few bytes could otherwise name more tensors than there is memory for.
const NAMED: usize = 16;
const NAMED_ALWAYS: usize = 1 << 16;

/// The tensors of a file, by name, or what is wrong with it.
pub(crate) fn read(file: &Arc<Vec<u8>>) -> Result<BTreeMap<String, Stored>, String> {
    let archive = Archive::parse(file)?;
    let mut roots = archive.names().filter_map(|name| name.strip_suffix("/data.pkl"));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err("is a zip archive, but none that torch.save writes (it has no data.pkl)".into());
    };
    if archive.names().any(|name| name.starts_with(&format!("{root}/code/"))) {
        return Err("is a TorchScript program; torch.save(model.state_dict(), ..) gives its weights".into());
    }
    let damaged = |problem: String| format!("is damaged: it {problem}");
    let is_big = match archive.names().find(|name| *name == format!("{root}/byteorder")) {
        Some(name) => archive.read(name).map_err(damaged)? == b"big",
        None => false,
    };
    let text = archive.read(&format!("{root}/data.pkl")).map_err(damaged)?;
    if text.len() > LONGEST {
        return Err(format!("has a pickle of {} bytes, and {LONGEST} are read", text.len()));
    }
    let pickle = Pickle::read(text, &NAMES)?;
    let budget = text.len().saturating_mul(NAMED).saturating_add(NAMED_ALWAYS);
    let mut found = Found {
        file,
        archive: &archive,
        root,
        is_big,
        pickle: &pickle,
        budget,
        storages: BTreeMap::new(),
        tensors: BTreeMap::new(),
    };
    found.visit("", pickle.value, 0)?;
    match found.tensors.is_empty() {
        true => Err("has no tensor in it".into()),
        false => Ok(found.tensors),
    }
}

/// What has been found so far.
struct Found<'a> {
    file: &'a Arc<Vec<u8>>,
    archive: &'a Archive<'a>,
    /// The folder of all entries.
    root: &'a str,
    is_big: bool,
    pickle: &'a Pickle<'a>,
    budget: usize,
    /// Where the storages are that were met.
    storages: BTreeMap<&'a str, std::ops::Range<usize>>,
    tensors: BTreeMap<String, Stored>,
}

impl<'a> Found<'a> {
    /// Everything that is in a value.
    fn visit(&mut self, path: &str, value: Value<'a>, depth: usize) -> Result<(), String> {
        // Numbers and texts are no tensors, and most of what there is.
        let Value::Made(_) = value else { return Ok(()) };
        self.budget = self.budget.checked_sub(path.len() + 1).ok_or("is damaged: it names too many tensors")?;
        if depth > DEPTH {
            return Err(format!("has more than {DEPTH} dictionaries in one another, at '{path:.60}'"));
        }
        let join =
            |key: &dyn std::fmt::Display| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match self.pickle.get(value) {
            Some(Made::Tuple(parts) | Made::List(parts)) => {
                parts.iter().enumerate().try_for_each(|(i, part)| self.visit(&join(&i), *part, depth + 1))
            }
            Some(Made::Dict(items)) => self.items(items, &join, depth),
            Some(Made::Call { name, arguments, items }) => match NAMES[*name].1 {
                "OrderedDict" => self.items(items, &join, depth),
                "_rebuild_parameter" | "_rebuild_parameter_with_state" => {
                    match self.pickle.parts(*arguments).and_then(<[Value]>::first) {
                        Some(data) => self.visit(path, *data, depth + 1),
                        None => Err(format!("is damaged: '{path}' is a parameter of nothing")),
                    }
                }
                "_rebuild_tensor_v2" | "_rebuild_tensor_v3" => {
                    let stored = self.tensor(*arguments).map_err(|what| format!("is damaged: '{path}' {what}"))?;
                    match self.tensors.insert(path.into(), stored) {
                        None => Ok(()),
                        Some(_) => Err(format!("has two tensors '{path}'")),
                    }
                }
                _ => Ok(()),
            },
            Some(Made::Outside(_)) | None => Ok(()),
        }
    }

    fn items(
        &mut self,
        items: &'a [(Value<'a>, Value<'a>)],
        join: &dyn Fn(&dyn std::fmt::Display) -> String,
        depth: usize,
    ) -> Result<(), String> {
        for (key, value) in items {
            match key {
                Value::Text(key) => self.visit(&join(key), *value, depth + 1)?,
                Value::Int(key) => self.visit(&join(key), *value, depth + 1)?,
                // What is kept under anything else has no name.
                _ => {}
            }
        }
        Ok(())
    }

    /// `(storage, offset, size, stride, requires_grad, hooks)`, and behind that perhaps a dtype.
    fn tensor(&mut self, arguments: Value<'a>) -> Result<Stored, String> {
        let pickle = self.pickle;
        let parts = pickle.parts(arguments).unwrap_or_default();
        let [storage, Value::Int(offset), size, stride, ..] = parts else {
            return Err("is rebuilt of something else than a storage, an offset, a size and strides".into());
        };
        let Some(Made::Outside(known_by)) = pickle.get(*storage) else { return Err("has no storage".into()) };
        let [Value::Text("storage"), Value::Name(of), Value::Text(key), _, Value::Int(_)] =
            pickle.parts(*known_by).unwrap_or_default()
        else {
            return Err("has a storage that is known by something else than its dtype and key".into());
        };
        let dtype = match (NAMES[*of].1, parts.get(6)) {
            (UNTYPED, Some(Value::Name(name))) => DTYPES.iter().find(|row| row.1 == NAMES[*name].1),
            (storage, _) => DTYPES.iter().find(|row| row.0 == storage),
        };
        let (_, _, dtype) = *dtype.ok_or("has a storage of elements that have no name")?;
        let extents = |value: Value<'a>| -> Option<Vec<usize>> {
            // `torch.Size` is called with the tuple that it is.
            let value = match pickle.get(value) {
                Some(Made::Call { name, arguments, .. }) if NAMES[*name].1 == "Size" => {
                    *pickle.parts(*arguments)?.first()?
                }
                _ => value,
            };
            let all = pickle.parts(value)?.iter();
            all.map(|n| if let Value::Int(n) = n { usize::try_from(*n).ok() } else { None }).collect()
        };
        let (Some(shape), Some(strides)) = (extents(*size), extents(*stride)) else {
            return Err("has a size or strides that are no counts".into());
        };
        let offset = usize::try_from(*offset).map_err(|_| format!("begins at element {offset}"))?;
        let at = match self.storages.get(key) {
            Some(at) => at.clone(),
            None => {
                let at = self.archive.find(&format!("{}/data/{key}", self.root));
                let at = at.map_err(|problem| format!("is in an archive that {problem}"))?;
                self.storages.insert(key, at.clone());
                at
            }
        };
        Stored::strided(self.file, at, dtype, Layout { shape, strides, offset, is_big: self.is_big })
    }
}
