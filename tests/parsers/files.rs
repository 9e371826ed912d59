//! Checkpoints and data sets.

use std::{
    cell::{Cell, RefCell},
    fs,
    io::Write,
    path::PathBuf,
};

use thalweg::{
    data::{Dataset, Mnist, Shuffled, Stack},
    module::snapshot::{Snapshot, Stateful, Value},
    prelude::*,
    train::{self, Checkpoint, Journal},
};
use thalweg_tests::strict;

use crate::{
    Reading,
    mangle::{below, mangled},
};

/// Files of each kind that are read.
const FILES: usize = 4000;

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("thalweg-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Module)]
struct Net {
    weight: Param,
    bias: Param,
    steps: State,
}

impl Net {
    fn new(weight: f32) -> Net {
        let device = strict();
        Net {
            weight: Param::new(Tensor::from_slice(&device, &[weight; 6], [2, 3])).unwrap(),
            bias: Param::new(Tensor::from_slice::<f32>(&device, &[], [0])).unwrap(),
            steps: State::new(Tensor::from_slice(&device, &[7], [1])).unwrap(),
        }
    }

    /// Bits, as some of them may be no numbers.
    fn bits(&self) -> (Vec<u32>, Vec<u32>, Vec<i32>) {
        let bits = |param: &Param| param.tensor().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        (bits(&self.weight), bits(&self.bias), self.steps.tensor().to_vec().unwrap())
    }
}

#[test]
fn damaged_checkpoints_change_all_of_a_model_or_nothing() {
    let scratch = Scratch::new("checkpoints");
    let file = scratch.0.join("model.safetensors");
    train::save(&file, &Net::new(1.5)).unwrap();
    let whole = fs::read(&file).unwrap();
    let (net, rng) = (Net::new(0.25), &mut Rng::seed(0));
    let mut loaded = 0;
    for _ in 0..FILES {
        let bytes = mangled(&whole, rng);
        let _reading = Reading(&bytes);
        fs::write(&file, &bytes).unwrap();
        let before = net.bits();
        match train::load(&file, &net) {
            Ok(()) => {
                assert_eq!(bytes, whole);
                loaded += 1;
            }
            Err(error) => {
                assert_eq!(net.bits(), before);
                assert!(error.to_string().contains("model.safetensors: "), "{error}");
            }
        }
    }
    // What is overwritten with what was there.
    assert!(loaded < FILES / 20, "{loaded}");
}

/// With the checksum that it would have, damage goes as far into the parts of a run as it can.
#[test]
fn damaged_runs_change_all_parts_or_nothing() {
    let scratch = Scratch::new("runs");
    let file = scratch.0.join("run.safetensors");
    let net = Net::new(1.5);
    let opt = Adam { amsgrad: true, ..Adam::default() }.init(&net).unwrap();
    let data = vec![1i32; 10].loader(3, Shuffled(Seed(1)), Stack).unwrap();
    let (rng, best, journal) = (RefCell::new(Rng::seed(1)), Cell::new(0.5f64), Journal::new(&strict(), 1));
    let parts: [(&str, &dyn Stateful); 6] =
        [("model", &net), ("opt", &opt), ("data", &data), ("rng", &rng), ("best", &best), ("journal", &journal)];
    let run = parts.iter().fold(Checkpoint::new(), |run, (name, part)| run.part(name, *part));
    let step = || {
        let loss = (net.weight.tensor() * net.weight.tensor()).sum(..);
        opt.step(&loss).and_then(|()| journal.step(1, &loss, || loss.clone()))
    };
    step().unwrap();
    let bits = || {
        let mut all = Snapshot::new();
        for (name, part) in &parts {
            let mut snapshot = Snapshot::new();
            part.save(&mut snapshot).unwrap();
            all.add(name, snapshot);
        }
        // As text: NaN is not equal to itself.
        let entry = |(name, value): (&str, &Value)| match value {
            Value::Array(array) => format!("{name} {array:?} {:?}", array.bytes),
            value => format!("{name} {value:?}"),
        };
        all.iter().map(entry).collect::<Vec<_>>()
    };
    run.save(&file).unwrap();
    let (whole, draws) = (fs::read(&file).unwrap(), &mut Rng::seed(3));
    let first = br#"{"__metadata__":{"crc32":""#.len() + 8;
    let (mut loaded, mut before) = (0, bits());
    for _ in 0..FILES {
        let mut bytes = mangled(&whole, draws);
        if bytes.len() > first + 8 {
            bytes[first..first + 8].fill(b'0');
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            bytes[first..first + 8].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
        }
        let _reading = Reading(&bytes);
        fs::write(&file, &bytes).unwrap();
        match run.load(&file) {
            Ok(()) => {
                loaded += 1;
                // Whatever numbers it has, they can be gone on with.
                let _ = (step(), data.next_batch(), rng.borrow_mut().normal());
                before = bits();
            }
            Err(error) => {
                assert!(error.to_string().contains("run.safetensors: "), "{error}");
                assert_eq!(bits(), before);
            }
        }
    }
    assert!(loaded > 0 && loaded < FILES / 2, "{loaded}");
}

/// Headers that are well formed, of tensors that are not.
#[test]
fn headers_with_absurd_tensors_are_errors() {
    let scratch = Scratch::new("headers");
    let file = scratch.0.join("model.safetensors");
    let (net, rng) = (Net::new(0.25), &mut Rng::seed(1));
    let sizes = [0u64, 1, 2, 3, 4, 24, 28, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    let size = |rng: &mut Rng| sizes[below(rng, sizes.len())];
    for _ in 0..FILES {
        let tensor = |rng: &mut Rng| {
            let shape: Vec<u64> = (0..rng.below(10)).map(|_| size(rng)).collect();
            let dtype = ["F32", "I32", "U32", "F16", "I64", "BOOL", "F8_E4M3", "C64", "X"][below(rng, 9)];
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [size(rng), size(rng)] })
        };
        let header =
            serde_json::json!({ "weight": tensor(rng), "bias": tensor(rng), "steps": tensor(rng) }).to_string();
        let _reading = Reading(&header);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + below(rng, 40), 1);
        fs::write(&file, &bytes).unwrap();
        let _ = train::load(&file, &net);
        assert_eq!(net.bits().0.len(), 6);
    }
}

#[test]
fn damaged_idx_files_are_errors_or_other_pictures() {
    let scratch = Scratch::new("idx");
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[9; 12]].concat();
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 4, 7];
    let name = |what: &str, ending: &str| scratch.0.join(format!("{what}-ubyte{ending}"));
    for (what, whole) in [
        ("train-images-idx3", &images),
        ("train-labels-idx1", &labels),
        ("t10k-images-idx3", &images),
        ("t10k-labels-idx1", &labels),
    ] {
        fs::write(name(what, ""), whole).unwrap();
    }
    assert_eq!(Mnist::load(&scratch.0).unwrap().test.len(), 2);
    let rng = &mut Rng::seed(2);
    for (what, whole) in [("t10k-images-idx3", &images), ("t10k-labels-idx1", &labels)] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(whole).unwrap();
        let gzipped = encoder.finish().unwrap();
        for (ending, whole) in [("", whole), (".gz", &gzipped)] {
            fs::remove_file(name(what, "")).unwrap();
            for _ in 0..FILES / 4 {
                let bytes = mangled(whole, rng);
                let _reading = Reading(&bytes);
                fs::write(name(what, ending), &bytes).unwrap();
                if let Err(error) = Mnist::load(&scratch.0) {
                    assert!(error.to_string().contains(&format!("{what}-ubyte{ending}: ")), "{error}");
                }
            }
            fs::write(name(what, ""), if what.contains("images") { &images } else { &labels }).unwrap();
            let _ = fs::remove_file(name(what, ".gz"));
        }
    }
}
