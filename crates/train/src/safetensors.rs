//! The safetensors format: which bytes of a file are which tensor. Nothing in a file is believed.
//!
//! ```text
//! | 8 bytes: length of the header | the header, JSON | the tensors' bytes, one behind the other |
//!
//! {"__metadata__": {"format": "pt"}, "head.weight": {"dtype": "F32", "shape": [10, 128], "data_offsets": [0, 5120]}, ..}
//! ```
//!
//! The format's own crate would do, but brings `serde_json` to all who use this one; and with that in reach `6 == numbers.sum()` no longer
//! says what the sum is.
//!
//! # Source
//! <https://github.com/huggingface/safetensors>, "Format".

use std::{collections::BTreeMap, ops::Range};

use nojson::{JsonParseError, RawJson, RawJsonValue};

/// The header's member that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";
/// The longest header that readers take, in bytes.
pub(crate) const LONGEST: usize = 100_000_000;

/// The format's dtypes, and the bits of an element.
pub(crate) const BITS: [(&str, usize); 22] = [
    ("BOOL", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

/// A tensor as a file has it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// One of the format's names.
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    /// Its bytes of the data.
    pub at: Range<usize>,
}

/// What a file has.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    pub metadata: BTreeMap<String, String>,
    pub tensors: BTreeMap<String, Entry>,
    /// What is behind the header.
    pub data: &'a [u8],
}

/// What a file has, or what is wrong with it. Its tensors lie one behind the other, from the first byte of the data to the last.
pub(crate) fn parse(bytes: &[u8]) -> Result<Contents<'_>, String> {
    let truncated = |what: String| format!("is truncated, or no safetensors file ({what})");
    let damaged = |what: String| format!("is damaged, or no safetensors file ({what})");
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return Err(truncated(format!("of {} bytes", bytes.len())));
    };
    let len = u64::from_le_bytes(*len);
    if len > LONGEST as u64 {
        return Err(damaged(format!("a header of {len} bytes")));
    }
    let Some((header, data)) = rest.split_at_checked(len as usize) else {
        return Err(truncated(format!("a header of {len} bytes in a file of {}", bytes.len())));
    };
    let header = std::str::from_utf8(header).map_err(|e| damaged(format!("invalid UTF-8 in header: {e}")))?;
    let parsed = RawJson::parse(header).and_then(|json| entries(json.value()));
    let (metadata, tensors) = parsed.map_err(|e| damaged(format!("invalid JSON in header: {e}")))?;
    let mut in_order: Vec<(&String, &Entry)> = tensors.iter().collect();
    in_order.sort_by_key(|(_, entry)| (entry.at.start, entry.at.end));
    let mut end = 0;
    for (name, Entry { dtype, shape, at }) in in_order {
        if at.start != end {
            return Err(damaged(format!("'{name}' begins at byte {}, and what is before it ends at {end}", at.start)));
        }
        if size_bytes(dtype, shape) != at.end.checked_sub(at.start) {
            return Err(damaged(format!("'{name}' has the bytes {at:?}, and is {dtype} of shape {shape:?}")));
        }
        end = at.end;
    }
    match end == data.len() {
        true => Ok(Contents { metadata, tensors, data }),
        false => Err(format!("is truncated or has bytes behind its end ({} bytes of data, not {end})", data.len())),
    }
}

/// The metadata and the tensors of a header.
fn entries(header: RawJsonValue) -> Result<(BTreeMap<String, String>, BTreeMap<String, Entry>), JsonParseError> {
    let (mut metadata, mut tensors) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in members(header)? {
        if name == METADATA {
            for (name, text) in members(value)? {
                metadata.insert(name, text.try_into()?);
            }
        } else {
            tensors.insert(name, entry(value)?);
        }
    }
    Ok((metadata, tensors))
}

fn entry(tensor: RawJsonValue) -> Result<Entry, JsonParseError> {
    let members = members(tensor)?;
    let member = |name| members.get(name).copied().ok_or_else(|| tensor.invalid(format!("it has no '{name}'")));
    let dtype: String = member("dtype")?.try_into()?;
    let known = BITS.iter().find(|(name, _)| *name == dtype);
    let (dtype, _) = known.ok_or_else(|| tensor.invalid(format!("there is no dtype '{dtype}'")))?;
    let [start, end] = member("data_offsets")?.try_into()?;
    Ok(Entry { dtype, shape: member("shape")?.try_into()?, at: start..end })
}

/// The members of an object, whose names differ.
pub(crate) fn members<'text, 'raw>(
    object: RawJsonValue<'text, 'raw>,
) -> Result<BTreeMap<String, RawJsonValue<'text, 'raw>>, JsonParseError> {
    let mut members = BTreeMap::new();
    for (name, value) in object.to_object()? {
        if members.insert(String::try_from(name)?, value).is_some() {
            return Err(name.invalid("it is there twice"));
        }
    }
    Ok(members)
}

/// `None` if they are no whole bytes, or none that an address reaches.
fn size_bytes(dtype: &str, shape: &[usize]) -> Option<usize> {
    let (_, bits) = BITS.iter().find(|(name, _)| *name == dtype)?;
    let elements = shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent))?;
    let bits = elements.checked_mul(*bits)?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

#[cfg(test)]
mod tests {
    use ::safetensors::{SafeTensors, serialize, tensor::TensorView};
    use thalweg_graph::Rng;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![1; data]].concat()
    }

    fn problem(header: &str, data: usize) -> String {
        parse(&file(header, data)).unwrap_err()
    }

    fn tensor(dtype: &str, shape: &str, offsets: &str) -> String {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    }

    #[test]
    fn what_the_format_forbids_is_an_error() {
        let (a, b) = (tensor("F32", "[2]", "[0,8]"), tensor("I8", "[3]", "[8,11]"));
        let good = format!(r#"{{"b":{b},"a":{a},"none":{}}}  "#, tensor("U64", "[4,0]", "[8,8]"));
        let whole = file(&good, 11);
        let contents = parse(&whole).unwrap();
        assert_eq!((contents.tensors["b"].at.clone(), contents.data.len()), (8..11, 11));
        for (header, data, want) in [
            (good.clone(), 10, "truncated or has bytes behind"),
            (good.clone(), 12, "truncated or has bytes behind"),
            (format!(r#"{{"a":{a},"a":{a}}}"#), 8, "twice"),
            (format!(r#"{{"\u0061":{a},"a":{a}}}"#), 8, "twice"),
            (format!(r#"{{"a":{a},"b":{}}}"#, tensor("I8", "[3]", "[7,10]")), 10, "'b' begins at byte 7"),
            (format!(r#"{{"a":{a},"b":{}}}"#, tensor("I8", "[3]", "[9,12]")), 12, "'b' begins at byte 9"),
            (format!(r#"{{"a":{}}}"#, tensor("F32", "[2]", "[0,7]")), 7, "'a' has the bytes 0..7, and is F32"),
            (format!(r#"{{"a":{}}}"#, tensor("F32", "[]", "[0,-4]")), 4, "invalid JSON"),
            (format!(r#"{{"a":{a},"b":{}}}"#, tensor("F32", "[1]", "[8,4]")), 8, "'b' has the bytes 8..4"),
            (format!(r#"{{"a":{}}}"#, tensor("F4", "[3]", "[0,2]")), 2, "'a' has the bytes"),
            (format!(r#"{{"a":{}}}"#, tensor("F64", "[4611686018427387904,4]", "[0,0]")), 0, "'a' has the bytes"),
            (format!(r#"{{"a":{}}}"#, tensor("F7", "[]", "[0,1]")), 1, "no dtype 'F7'"),
            (format!(r#"{{"a":{}}}"#, tensor("I8", "[1.0]", "[0,1]")), 1, "invalid JSON"),
            (format!(r#"{{"a":{}}}"#, tensor("I8", "[1]", "[0,1,1]")), 1, "invalid JSON"),
            (r#"{"a":{"dtype":"I8","shape":[1]}}"#.into(), 1, "no 'data_offsets'"),
            (r#"{"__metadata__":{"a":1}}"#.into(), 0, "invalid JSON"),
            ("[".repeat(100_000), 0, "invalid JSON"),
            (r#"{"a":"#.repeat(100_000), 0, "invalid JSON"),
            ("[]".into(), 0, "invalid JSON"),
            (String::new(), 0, "invalid JSON"),
        ] {
            let problem = problem(&header, data);
            assert!(problem.contains(want), "{header:.80}: {problem}");
        }
        assert!(parse(&[255; 64]).unwrap_err().contains("damaged"));
        assert!(parse(&file("{}", 0)[..9]).unwrap_err().contains("truncated"));
    }

    /// What is read here is what the format's own crate reads, and what it refuses is refused.
    #[test]
    fn agrees_with_the_crate_of_the_format() {
        let data = [7u8; 24];
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), &data[..bytes]).unwrap();
        let views = [
            ("a", view(::safetensors::Dtype::F32, &[2, 3], 24)),
            ("b.c", view(::safetensors::Dtype::I64, &[], 8)),
            ("ü\"\\\n", view(::safetensors::Dtype::BOOL, &[0, 4], 0)),
            ("half", view(::safetensors::Dtype::BF16, &[5], 10)),
        ];
        let whole = serialize(views, Some([("format".to_string(), "pt".to_string())].into())).unwrap();
        let mut rng = Rng::seed(5);
        let (mut read, mut refused) = (0, 0);
        for i in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..i % 3 {
                // Digits, brackets and quotes do the most harm.
                let at = rng.below(bytes.len() as u32 + 1) as usize;
                match (rng.below(8), br#"0123456789{}[]",:\"#[rng.below(18) as usize]) {
                    (0, _) => bytes.truncate(at),
                    (1, byte) => bytes.insert(at, byte),
                    (_, byte) => drop(bytes.get_mut(at).map(|old| *old = byte)),
                }
            }
            match (parse(&bytes), SafeTensors::deserialize(&bytes)) {
                (Ok(ours), Ok(theirs)) => {
                    read += 1;
                    assert_eq!(ours.tensors.len(), theirs.len());
                    for (name, view) in theirs.iter() {
                        let entry = &ours.tensors[name];
                        assert_eq!(
                            (format!("{:?}", view.dtype()), view.shape()),
                            (entry.dtype.into(), &entry.shape[..])
                        );
                        assert_eq!(&ours.data[entry.at.clone()], view.data());
                    }
                    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
                    assert!(metadata.metadata().iter().flatten().all(|(name, text)| ours.metadata[name] == *text));
                }
                (Ok(_), Err(error)) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
                (Err(_), Err(_)) => refused += 1,
                // Of two members of one name that crate takes the last.
                (Err(problem), Ok(_)) => assert!(problem.contains("twice"), "{problem}"),
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} {refused}");
    }
}
