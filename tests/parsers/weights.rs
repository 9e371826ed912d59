//! Files of weights that are damaged on the way: every format that is read, 10⁵ files of each, in memory.

use thalweg::{prelude::*, train::Load};
use thalweg_tests::strict;

use crate::{Reading, mangle::mangled};

/// Files of each kind that are read.
const FILES: usize = 100_000;

/// `weight [2, 3]`, `bias [0]`, `steps [1]`.
#[derive(Module)]
struct Net {
    weight: Param,
    bias: Param,
    steps: State,
}

impl Net {
    fn new() -> Net {
        let device = strict();
        Net {
            weight: Param::new(Tensor::zeros(&device, [2, 3])).unwrap(),
            bias: Param::new(Tensor::zeros(&device, [0])).unwrap(),
            steps: State::new(Tensor::zeros(&device, [1]).cast(DType::I32)).unwrap(),
        }
    }

    fn bits(&self) -> Vec<u32> {
        let bits = |t: Tensor| t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let steps = self.steps.tensor().to_vec::<i32>().unwrap();
        [bits(self.weight.tensor()), steps.into_iter().map(|n| n as u32).collect()].concat()
    }
}

/// Reads damaged copies of a file. Each is loaded, or an error that changes nothing; `seal` is what is done to a copy before.
fn damage(seed: u64, whole: &[u8], seal: impl Fn(Vec<u8>) -> Vec<u8>) -> usize {
    let (net, rng) = (Net::new(), &mut Rng::seed(seed));
    let how = Load::new().missing_ok().misshapen_ok().extra_ok().cast();
    let sound = Net::new();
    let _ = how.load_bytes("sound", seal(whole.to_vec()), &sound).unwrap();
    assert_ne!(sound.bits(), net.bits());
    let (mut loaded, mut before) = (0, net.bits());
    for i in 0..FILES {
        let bytes = seal(mangled(whole, rng));
        let _reading = Reading(&bytes);
        match how.load_bytes("damaged", bytes.clone(), &net) {
            Ok(_) => {
                loaded += 1;
                before = net.bits();
            }
            Err(error) => {
                assert!(error.to_string().contains("damaged: "), "{error}");
                // Reading the values takes longer than all the rest.
                assert!(i % 8 > 0 || net.bits() == before);
            }
        }
    }
    loaded
}

/// A zip archive of stored entries without checksums, so that damage goes as far in as it can.
fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let at = bytes.len() as u32;
        let [len, name_len] = [data.len(), name.len()].map(|n| n as u32);
        // From the version that is needed to the length of extra fields: the same in a header and in the directory.
        let common = [&[0; 14][..], &len.to_le_bytes(), &len.to_le_bytes(), &name_len.to_le_bytes()].concat();
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\0\0", &common[..], &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let (count, start) = ((entries.len() as u16).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &(directory.len() as u32).to_le_bytes(), &start, &[0; 2]];
    [bytes, directory, end.concat()].concat()
}

/// What `torch.save({"weight": .., "bias": .., "steps": ..})` has in its pickle.
fn pickle() -> Vec<u8> {
    let tensor = |name: &str, storage: &str, key: &str, shape: &[u8], strides: &[u8]| {
        let text = |text: &str| [&[b'X', text.len() as u8, 0, 0, 0], text.as_bytes()].concat();
        let tuple = |ints: &[u8]| {
            let ints: Vec<u8> = ints.iter().flat_map(|n| [b'K', *n]).collect();
            [b"(", &ints[..], b"t"].concat()
        };
        [
            &text(name)[..],
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            &text("storage"),
            format!("ctorch\n{storage}\n").as_bytes(),
            &text(key),
            &text("cpu"),
            b"K\x06tQK\0",
            &tuple(shape),
            &tuple(strides),
            b"\x89ccollections\nOrderedDict\n)RtR",
        ]
        .concat()
    };
    [
        b"\x80\x02}q\0(".to_vec(),
        tensor("weight", "FloatStorage", "0", &[2, 3], &[1, 2]),
        tensor("bias", "FloatStorage", "0", &[0], &[1]),
        tensor("steps", "LongStorage", "1", &[1], &[1]),
        b"u.".to_vec(),
    ]
    .concat()
}

const NUMBERS: [u8; 24] = [0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64, 0, 0, 160, 64, 0, 0, 192, 64];

#[test]
fn damaged_archives_of_pytorch_are_errors_or_other_weights() {
    let entries = [("x/data.pkl", &pickle()[..]), ("x/data/0", &NUMBERS), ("x/data/1", &[7, 0, 0, 0, 0, 0, 0, 0])];
    let loaded = damage(1, &zipped(&entries), |bytes| bytes);
    assert!(loaded > FILES / 100 && loaded < FILES / 2, "{loaded}");
    // What PyTorch itself wrote has checksums: what is loaded has not been touched where it matters.
    let net = include_bytes!("../weights/pt/views.pt");
    let how = Load::new().missing_ok().extra_ok();
    let (base, rng) = (vec![("base", State::new(Tensor::zeros(&strict(), [4, 6])).unwrap())], &mut Rng::seed(2));
    let base: std::collections::BTreeMap<_, _> = base.into_iter().collect();
    for _ in 0..FILES / 10 {
        let bytes = mangled(net, rng);
        let _reading = Reading(&bytes);
        if how.load_bytes("damaged", bytes.clone(), &base).is_ok() {
            let values = base["base"].tensor().to_vec::<f32>().unwrap();
            assert!(values.iter().enumerate().all(|(i, x)| *x == i as f32), "{values:?}");
        }
    }
}

/// As a machine whose highest byte comes first writes them.
#[test]
fn numbers_of_the_other_order_of_bytes_are_read() {
    let swapped: Vec<u8> = NUMBERS.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    let (net, data) = (Net::new(), pickle());
    for (order, first, second) in
        [("little", &NUMBERS[..], [7, 0, 0, 0, 0, 0, 0, 0]), ("big", &swapped[..], [0, 0, 0, 0, 0, 0, 0, 8])]
    {
        let entries =
            [("x/data.pkl", &data[..]), ("x/byteorder", order.as_bytes()), ("x/data/0", first), ("x/data/1", &second)];
        let _ = Load::new().load_bytes(order, zipped(&entries), &net).unwrap();
        assert_eq!(net.weight.tensor().to_vec::<f32>().unwrap(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(net.steps.tensor().to_vec::<i32>().unwrap(), [if order == "big" { 8 } else { 7 }]);
    }
}

#[test]
fn damaged_pickles_are_errors_or_other_weights() {
    let loaded = damage(3, &pickle(), |pickle| {
        zipped(&[("x/data.pkl", &pickle), ("x/data/0", &NUMBERS), ("x/data/1", &[7, 0, 0, 0, 0, 0, 0, 0])])
    });
    assert!(loaded > FILES / 100 && loaded < FILES / 2, "{loaded}");
}

#[test]
fn damaged_safetensors_of_others_are_errors_or_other_weights() {
    let header = br#"{"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"bias":{"dtype":"F32","shape":[0],"data_offsets":[24,24]},"steps":{"dtype":"I64","shape":[1],"data_offsets":[24,32]}}"#;
    let whole = [&(header.len() as u64).to_le_bytes(), &header[..], &NUMBERS, &[7, 0, 0, 0, 0, 0, 0, 0]].concat();
    let loaded = damage(4, &whole, |bytes| bytes);
    assert!(loaded > FILES / 100 && loaded < FILES / 2, "{loaded}");
}

/// Pickles of a few hundred bytes that would be gigabytes.
#[test]
fn bombs_are_errors() {
    let load = |pickle: &[u8]| {
        let file = zipped(&[("x/data.pkl", pickle), ("x/data/0", &NUMBERS), ("x/data/1", &[7, 0, 0, 0, 0, 0, 0, 0])]);
        Load::new().load_bytes("bomb", file, &Net::new()).unwrap_err().to_string()
    };
    // A tensor of 2⁶² elements that are all one.
    let mut wide = pickle();
    let at = wide.windows(9).position(|w| w == b"(K\x02K\x03t(K\x01").unwrap();
    let big = [b"(\x8a\x08".as_slice(), &(1u64 << 62).to_le_bytes(), b"K\x01t(K\0K\x01t"].concat();
    wide.splice(at..at + 12, big);
    assert!(load(&wide).contains("'weight' is F32 of shape [4611686018427387904, 1]"), "{}", load(&wide));
    // The same, as large as a file may say: told as a shape, and never made.
    let mut large = pickle();
    large.splice(at..at + 12, b"(J\0\0\0\x40K\x01t(K\0K\x01t".iter().copied());
    assert!(
        load(&large).contains("'weight' with shape [1073741824, 1], and the model's has [2, 3]"),
        "{}",
        load(&large)
    );
    // A list that holds one twice that holds one twice, and so on.
    let pickle = pickle();
    let tensor = &pickle[6..];
    let end = tensor.iter().position(|b| *b == b'R').unwrap();
    let end = end + 1 + tensor[end + 1..].iter().position(|b| *b == b'R').unwrap() + 1;
    let doubled: Vec<u8> = (0..60u8).flat_map(|i| [b'q', i, b'0', b'(', b'h', i, b'h', i, b't']).collect();
    let twice = [b"\x80\x02", &tensor[11..end], &doubled[..], b"."].concat();
    assert!(load(&twice).contains("names too many tensors"), "{}", load(&twice));
    // A list in itself, and lists in lists.
    assert!(load(b"\x80\x02]q\0h\0a.").contains("more than 64 dictionaries"));
    let deep = [b"\x80\x02".to_vec(), b"(".repeat(100_000), b"t".repeat(100_000), b".".to_vec()].concat();
    assert!(load(&deep).contains("more than 64 dictionaries"));
    // A directory of more entries than there are bytes.
    let mut many = zipped(&[("x/data.pkl", b".")]);
    let at = many.len() - 12;
    many[at..at + 2].fill(0xfe);
    let error = Load::new().load_bytes("bomb", many, &Net::new()).unwrap_err().to_string();
    assert!(error.contains("its directory ends too early"), "{error}");
}
