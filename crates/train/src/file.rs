//! Snapshots in safetensors files.
//!
//! ```text
//! | 8 bytes: length of the header | the header, JSON | the tensors' bytes, one behind the other |
//!
//! {"__metadata__": {"crc32": "89abcdef", "format": "thalweg", "value:#stream.dropout": "words 7 1 40", "version": "1"},
//!  "head.weight": {"dtype": "F32", "shape": [10, 128], "data_offsets": [0, 5120]}, ..}
//! ```
//!
//! Everything that is no tensor is a text in the metadata, and means the same number to the last bit. The same snapshot gives the
//! same bytes. The checksum is that of the whole file with zeros in its own place, so that no damage is read as a number.

use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc};

use nojson::Json;
use thalweg_graph::{
    DType,
    module::snapshot::{Snapshot, Value},
};

use crate::{
    safetensors::{LONGEST, METADATA, parse},
    stored::{Stored, stored_dtype},
};

/// What the file says it is, and which version of that is written.
const FORMAT: &str = "thalweg";
const VERSION: u32 = 1;
/// The metadata's keys of values begin with this.
const VALUE: &str = "value:";
/// What every header begins with; the checksum's eight digits follow.
const HEAD: &str = r#"{"__metadata__":{"crc32":""#;
/// Where these digits are.
const CRC: std::ops::Range<usize> = 8 + HEAD.len()..16 + HEAD.len();

/// What a file has.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub tensors: BTreeMap<String, Stored>,
    pub values: BTreeMap<String, Value>,
    /// The rest of the metadata.
    pub notes: BTreeMap<String, String>,
}

/// A snapshot as a file's bytes, with a note beside it.
pub(crate) fn to_bytes(snapshot: &Snapshot, note: Option<(&str, &str)>) -> Result<Vec<u8>, String> {
    let mut notes = BTreeMap::from([
        ("crc32".to_string(), "0".repeat(CRC.len())),
        ("format".to_string(), FORMAT.to_string()),
        ("version".to_string(), VERSION.to_string()),
    ]);
    notes.extend(note.map(|(name, text)| (name.to_string(), text.to_string())));
    let mut tensors = Vec::new();
    for (name, value) in snapshot.iter() {
        match value {
            Value::Array(_) if name == METADATA => return Err(format!("'{name}' is no name for a tensor")),
            Value::Array(array) => tensors.push((name, array)),
            value => {
                notes.insert(format!("{VALUE}{name}"), to_text(value));
            }
        }
    }
    // So that every tensor stands at a multiple of its elements' size.
    tensors.sort_by_key(|(_, array)| std::cmp::Reverse(stored_size(array.dtype)));
    let mut header = format!(r#"{{"{METADATA}":{}"#, Json(&notes));
    let mut data = Vec::new();
    for (name, array) in tensors {
        let first = data.len();
        match array.dtype {
            DType::Bool => data.extend(array.bytes.chunks_exact(4).map(|word| u8::from(word != [0; 4]))),
            _ => data.extend_from_slice(&array.bytes),
        }
        let (name, dtype, shape, end) = (Json(name), stored_dtype(array.dtype), &array.shape, data.len());
        let tensor = format!(r#",{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{first},{end}]}}"#);
        header.push_str(&tensor);
    }
    header.push('}');
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    if header.len() > LONGEST {
        return Err(format!("the names and numbers take {} bytes, and a header has {LONGEST}", header.len()));
    }
    let mut bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    let crc = format!("{:08x}", checksum(&bytes));
    bytes[CRC].copy_from_slice(crc.as_bytes());
    Ok(bytes)
}

/// Reads a safetensors file, of Thalweg or of others.
pub(crate) fn read(path: &Path) -> Result<Contents, String> {
    from_bytes(&Arc::new(bytes(path)?))
}

/// What is in a file.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))
}

pub(crate) fn from_bytes(bytes: &Arc<Vec<u8>>) -> Result<Contents, String> {
    let file = parse(bytes)?;
    let mut contents = Contents::default();
    let notes = file.metadata;
    let ours = notes.get("format").is_some_and(|format| format == FORMAT);
    if let (Some(version), true) = (notes.get("version"), ours)
        && version.parse::<u32>().is_ok_and(|version| version > VERSION)
    {
        return Err(format!("is of version {version} of the format, and versions up to {VERSION} are known"));
    }
    if ours || notes.contains_key("crc32") {
        let crc = bytes.get(CRC).and_then(|digits| std::str::from_utf8(digits).ok());
        if crc != Some(&format!("{:08x}", checksum(bytes))) {
            return Err("is damaged: its checksum is another".into());
        }
    }
    for (key, text) in notes {
        match key.strip_prefix(VALUE).filter(|_| ours) {
            Some(name) => {
                let value = from_text(&text).ok_or_else(|| format!("is damaged in '{name}': '{text}' is no value"))?;
                contents.values.insert(name.to_string(), value);
            }
            None => {
                contents.notes.insert(key, text);
            }
        }
    }
    let first = bytes.len() - file.data.len();
    for (name, entry) in file.tensors {
        let at = first + entry.at.start..first + entry.at.end;
        contents.tensors.insert(name, Stored::contiguous(bytes, at, entry.dtype, entry.shape));
    }
    Ok(contents)
}

fn stored_size(dtype: DType) -> usize {
    if dtype == DType::Bool { 1 } else { dtype.size_bytes() }
}

/// CRC-32 of a file with zeros in the place of its checksum.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[..CRC.start.min(bytes.len())]);
    crc.update("0".repeat(CRC.len()).as_bytes());
    crc.update(&bytes[CRC.end.min(bytes.len())..]);
    crc.sum()
}

/// `words 3 1`, `number 3fb999999999999a` (its bits), `text ..`.
fn to_text(value: &Value) -> String {
    match value {
        Value::Words(words) => words.iter().fold("words".to_string(), |mut text, word| {
            let _ = write!(text, " {word}"); // To a string: cannot fail.
            text
        }),
        Value::Number(number) => format!("number {:016x}", number.to_bits()),
        Value::Text(text) => format!("text {text}"),
        Value::Array(_) => unreachable!("an array is a tensor"),
    }
}

fn from_text(text: &str) -> Option<Value> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        "words" => Some(Value::Words(rest.split_terminator(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?)),
        "number" => Some(Value::Number(f64::from_bits(u64::from_str_radix(rest, 16).ok()?))),
        "text" => Some(Value::Text(rest.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;
    use thalweg_graph::module::snapshot::Array;

    use super::*;

    fn read_back(bytes: &[u8]) -> Result<Contents, String> {
        from_bytes(&Arc::new(bytes.to_vec()))
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::new();
        let array = |dtype, shape: &[usize], bytes: &[u8]| {
            Value::Array(Array { dtype, shape: shape.to_vec(), bytes: bytes.to_vec() })
        };
        snapshot.insert("f32", array(DType::F32, &[1, 2], &[0, 0, 192, 127, 1, 2, 3, 4]));
        snapshot.insert("f16", array(DType::F16, &[3], &[1, 2, 3, 4, 5, 6]));
        snapshot.insert("bf16", array(DType::BF16, &[], &[255, 255]));
        snapshot.insert("i32", array(DType::I32, &[1], &[255, 255, 255, 127]));
        snapshot.insert("u32", array(DType::U32, &[0, 7], &[]));
        snapshot.insert("bool", array(DType::Bool, &[3], &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]));
        snapshot.insert("f64", array(DType::F64, &[1], &[1, 2, 3, 4, 5, 6, 7, 8]));
        snapshot.insert("A\"\\\n ü", array(DType::F32, &[1], &[1, 2, 3, 4]));
        snapshot.insert("", array(DType::F32, &[1], &[4, 3, 2, 1]));
        snapshot.insert("#words", Value::Words(vec![0, u64::MAX, 1 << 53 | 1]));
        snapshot.insert("#none", Value::Words(vec![]));
        for (name, number) in [("#nan", f64::from_bits(0x7ff8_0000_0000_0123)), ("#zero", -0.0), ("#tenth", 0.1)] {
            snapshot.insert(name, Value::Number(number));
        }
        snapshot.insert("#text", Value::Text("two\nlines, \"quoted\" ".into()));
        snapshot.insert("#empty", Value::Text(String::new()));
        snapshot
    }

    fn back(contents: &Contents) -> Snapshot {
        let mut snapshot = Snapshot::new();
        contents.values.iter().for_each(|(name, value)| snapshot.insert(name, value.clone()));
        contents.tensors.iter().for_each(|(name, stored)| snapshot.insert(name, Value::Array(stored.as_is().unwrap())));
        snapshot
    }

    /// NaN differs from itself, and its bits do not.
    fn same(a: &Snapshot, b: &Snapshot) -> bool {
        let bits = |value: &Value| match value {
            Value::Number(number) => Value::Words(vec![number.to_bits()]),
            value => value.clone(),
        };
        a.iter().map(|(name, value)| (name, bits(value))).eq(b.iter().map(|(name, value)| (name, bits(value))))
    }

    #[test]
    fn what_is_written_is_read_to_the_last_bit() {
        let bytes = to_bytes(&snapshot(), Some(("parts", "a b"))).unwrap();
        let contents = read_back(&bytes).unwrap();
        assert!(same(&back(&contents), &snapshot()), "{:?}", back(&contents));
        assert_eq!(contents.notes["parts"], "a b");
        assert_eq!(bytes, to_bytes(&snapshot(), Some(("parts", "a b"))).unwrap());
        assert_eq!(contents.tensors["bool"].bytes(), [1, 0, 1]);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for (name, view) in file.iter() {
            let at = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
            assert!(at.is_multiple_of(view.dtype().bitsize() / 8), "{name} at {at}");
        }
    }

    #[test]
    fn any_byte_that_is_missing_or_another_is_an_error() {
        let bytes = to_bytes(&snapshot(), None).unwrap();
        for end in 0..bytes.len() {
            let problem = read_back(&bytes[..end]).unwrap_err();
            assert!(problem.contains("is truncated"), "{end}: {problem}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80] {
                let mut torn = bytes.clone();
                torn[at] ^= flip;
                assert!(read_back(&torn).is_err(), "byte {at} with {flip:x} flipped");
            }
        }
        let problem = read_back(&[&bytes[..], b"x"].concat()).unwrap_err();
        assert!(problem.contains("is truncated or has bytes behind its end"), "{problem}");
    }

    #[test]
    fn a_later_version_is_named() {
        let mut later = to_bytes(&Snapshot::new(), None).unwrap();
        let at = later.windows(11).position(|window| window == b"\"version\":\"").unwrap() + 11;
        later[at] = b'7';
        assert_eq!(read_back(&later).unwrap_err(), "is of version 7 of the format, and versions up to 1 are known");
        let mut metadata = Snapshot::new();
        metadata.insert("__metadata__", Value::Array(Array { dtype: DType::F32, shape: vec![0], bytes: vec![] }));
        assert!(to_bytes(&metadata, None).unwrap_err().contains("is no name"));
    }
}
