//! What is loaded, what is refused, and what is told.

use std::{cell::Cell, sync::Arc};

use safetensors::{Dtype, tensor::TensorView};
use thalweg_cpu::StrictCpu;
use thalweg_derive::Module;
use thalweg_graph::{DType, Device, Error, Mode, Param, Rng, State, Stream, Tensor, module::snapshot::Stateful};

use super::*;
use crate::{Checkpoint, save, scratch::Scratch};

#[derive(Module)]
struct Net {
    weight: Param,
    steps: State,
}

fn device() -> Device {
    Device::new(Arc::new(StrictCpu::new()))
}

impl Net {
    fn new(weights: &[f32], steps: i32) -> Net {
        let device = device();
        Net {
            weight: Param::new(Tensor::from_slice(&device, weights, [weights.len()])).unwrap(),
            steps: State::new(Tensor::from_slice(&device, &[steps], [1])).unwrap(),
        }
    }

    fn values(&self) -> (Vec<f32>, Vec<i32>) {
        (self.weight.tensor().to_vec().unwrap(), self.steps.tensor().to_vec().unwrap())
    }
}

/// A file as PyTorch would write it.
fn foreign(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, Some([("format".to_string(), "pt".to_string())].into())).unwrap()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Every dtype that a variable has, bit by bit, and what is no tensor.
#[test]
fn what_is_saved_is_loaded_bit_by_bit() {
    #[derive(Module)]
    struct All {
        params: Vec<Param>,
        states: Vec<State>,
        mode: Mode,
        draws: Stream,
    }
    let device = device();
    let make = |seed: u64| {
        let mut rng = Rng::seed(seed);
        let draws = rng.stream();
        let x: Vec<f32> = (0..5).map(|_| rng.normal() as f32).collect();
        let x = Tensor::from_slice(&device, &x, [5]);
        let odd = Tensor::from_slice(&device, &[f32::NAN, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 0.1], [5]);
        let floats = [DType::F32, DType::F16, DType::BF16, DType::F64];
        let others = [DType::I32, DType::U32, DType::Bool];
        All {
            params: [&x, &odd].into_iter().flat_map(|x| floats.map(|d| Param::new(x.cast(d)).unwrap())).collect(),
            states: floats.into_iter().chain(others).map(|d| State::new((&x * 9.0).cast(d)).unwrap()).collect(),
            mode: Mode::default(),
            draws,
        }
    };
    let bits = |net: &All| {
        let mut all = Snapshot::new();
        Stateful::save(net, &mut all).unwrap();
        all.iter()
            .filter(|(n, _)| !n.starts_with("#mode") && !n.starts_with("#flags"))
            .map(|(n, v)| (n.to_string(), v.clone()))
            .collect::<Vec<_>>()
    };
    let file = Scratch::new("round-trip");
    let (net, other) = (make(1), make(2));
    (0..3).for_each(|_| net.draws.uniform(&device, [2]).eval().unwrap());
    net.params[3].freeze(true);
    save(&file.0, &net).unwrap();
    assert_ne!(bits(&other), bits(&net));
    other.mode.set(false);
    other.params[4].freeze(true);
    load(&file.0, &other).unwrap();
    assert_eq!(bits(&other), bits(&net));
    assert_eq!(other.draws.draws(), 3);
    // A run's own: weights do not change them.
    assert!(!other.mode.is_training() && other.params[4].is_frozen() && !other.params[3].is_frozen());
}

#[test]
fn files_that_do_not_fit_are_errors_and_change_nothing() {
    let file = Scratch::new("misfit");
    save(&file.0, &Net::new(&[1.0, 2.0], 7)).unwrap();
    let net = Net::new(&[0.0; 3], 0);
    let message = |module: &dyn Module| load(&file.0, module).unwrap_err().to_string();
    assert!(message(&net).contains("has 'weight' with shape [2], and the model's has [3]"));
    assert_eq!(net.values(), (vec![0.0; 3], vec![0]));
    assert!(message(&net.weight).contains("has no '' [3], which the model needs"));
    assert!(message(&vec![net.weight.clone()]).contains("has no '0' [3], which the model needs"));

    #[derive(Module)]
    struct Less {
        steps: State,
    }
    assert!(message(&Less { steps: net.steps.clone() }).contains("has 'weight' [2], which the model has not"));

    #[derive(Module)]
    struct Other {
        weight: State,
        steps: State,
    }
    let integers = Tensor::from_slice(net.weight.tensor().device(), &[1, 2], [2]);
    let other = Other { weight: State::new(integers).unwrap(), steps: net.steps.clone() };
    assert!(message(&other).contains("has 'weight' in F32, and the model's is i32"));
}

#[test]
fn damaged_files_are_errors() {
    let file = Scratch::new("damaged");
    let net = Net::new(&[1.0, 2.0], 7);
    let message = || load(&file.0, &net).unwrap_err().to_string();
    assert!(message().contains("cannot be read"));
    save(&file.0, &net).unwrap();
    let whole = std::fs::read(&file.0).unwrap();
    for end in 0..whole.len() {
        std::fs::write(&file.0, &whole[..end]).unwrap();
        assert!(message().contains("is truncated"), "{end}: {}", message());
    }
    std::fs::write(&file.0, [&whole[..], b"x"].concat()).unwrap();
    assert!(message().contains("is truncated or has bytes behind its end"));
    let mut broken = whole.clone();
    broken[8] = b'!';
    std::fs::write(&file.0, &broken).unwrap();
    assert!(message().contains("is damaged, or no safetensors file (invalid JSON in header"), "{}", message());
    let mut torn = whole.clone();
    *torn.last_mut().unwrap() ^= 1;
    std::fs::write(&file.0, &torn).unwrap();
    assert!(message().contains("is damaged: its checksum is another"), "{}", message());
    assert_eq!(net.values(), (vec![1.0, 2.0], vec![7]));
}

#[test]
fn errors_name_the_file_and_the_line_that_asked() {
    let file = Scratch::new("lines");
    let net = Net::new(&[1.0], 7);
    let here = |line: u32, error: Error, op: &str| {
        assert_eq!((error.op(), error.location().file(), error.location().line()), (op, file!(), line), "{error}");
        assert!(error.to_string().contains("thalweg-lines"), "{error}");
    };
    here(line!(), load(&file.0, &net).unwrap_err(), "load");
    here(line!(), Load::new().cast().load(&file.0, &net).unwrap_err(), "load");
    here(line!(), Checkpoint::new().part("a", &net).load(&file.0).unwrap_err(), "load");
    save(&file.0, &Net::new(&[1.0, 2.0], 7)).unwrap();
    here(line!(), load(&file.0, &net).unwrap_err(), "load");
    here(line!(), Checkpoint::new().part("a", &net).load(&file.0).unwrap_err(), "load");
    here(line!(), save(file.0.join("below"), &net).unwrap_err(), "save");
    here(line!(), Checkpoint::new().part("a", &net).save(file.0.join("below")).unwrap_err(), "save");
}

/// Of two parts of one name, one would be lost.
#[test]
fn two_parts_of_one_name_are_an_error() {
    use std::collections::BTreeMap;
    let file = Scratch::new("twice");
    let part = |x: f32| Net::new(&[x], 0).weight;
    let net =
        BTreeMap::from([("a.0", BTreeMap::from([("c", part(1.0))])), ("a", BTreeMap::from([("0.c", part(2.0))]))]);
    let error = save(&file.0, &net).unwrap_err().to_string();
    assert!(error.contains("two parts of the model are called 'a.0.c'"), "{error}");
}

#[test]
fn parts_of_files_go_into_parts_of_models() {
    let file = Scratch::new("parts");
    let old = (Net::new(&[1.0, 2.0], 3), Net::new(&[4.0], 5));
    save(&file.0, &old).unwrap();
    // By prefix, and back under one.
    let net = Net::new(&[0.0; 2], 0);
    let loaded = Load::new().part("0").load(&file.0, &net).unwrap();
    assert_eq!((loaded.loaded.join(" "), loaded.skipped.join(" ")), ("weight steps".into(), "1.steps 1.weight".into()));
    assert_eq!(net.values(), (vec![1.0, 2.0], vec![3]));
    save(&file.0, &net).unwrap();
    let both = (Net::new(&[0.0; 2], 0), Net::new(&[9.0], 9));
    let error = Load::new().under("0").load(&file.0, &both).unwrap_err().to_string();
    assert!(error.contains("has no '1.weight' [1], '1.steps' [1], which the model needs"), "{error}");
    let loaded = Load::new().under("0").missing_ok().load(&file.0, &both).unwrap();
    assert_eq!(loaded.missing, ["1.weight", "1.steps"]);
    assert_eq!((both.0.values(), both.1.values()), (net.values(), (vec![9.0], vec![9])));
    assert_eq!(loaded.to_string(), "2 tensors loaded; not in the file: 1.weight, 1.steps");
    // A subset by the model's names.
    save(&file.0, &old).unwrap();
    let both = (Net::new(&[0.0; 2], 0), Net::new(&[0.0; 3], 0));
    let error = load(&file.0, &both).unwrap_err().to_string();
    assert!(error.contains("has '1.weight' with shape [1], and the model's has [3]"), "{error}");
    assert_eq!(both.0.values(), (vec![0.0; 2], vec![0]));
    let loaded = Load::new().only(|name| name != "1.weight").load(&file.0, &both).unwrap();
    assert_eq!((loaded.skipped, loaded.left), (vec!["1.weight".to_string()], vec![]));
    assert_eq!((both.0.values(), both.1.values()), (old.0.values(), (vec![0.0; 3], vec![5])));
    // Other names; what is left out by name; what is left over.
    let error = Load::new().part("0").load(&file.0, &net.weight).unwrap_err().to_string();
    assert!(error.contains("has no '' [2], which the model needs"), "{error}");
    let rename = |name: &str| (name == "weight").then(String::new);
    let loaded = Load::new().part("1").rename(rename).load(&file.0, &Net::new(&[0.0], 0).weight).unwrap();
    assert_eq!(loaded.skipped, ["0.steps", "0.weight", "1.steps"]);
    let error = Load::new().rename(|_| Some("weight".into())).load(&file.0, &net).unwrap_err().to_string();
    assert!(error.contains("has '0.steps' and '0.weight', which would both become 'weight'"), "{error}");
    let states = vec![net.steps.clone()];
    let rename = |name: &str| Some(if name == "0.steps" { "0".into() } else { name.to_string() });
    let error = Load::new().rename(rename).load(&file.0, &states).unwrap_err().to_string();
    assert!(error.contains("has '0.weight' [2], '1.steps' [1], '1.weight' [1], which the model has not"), "{error}");
    let _ = Load::new().rename(rename).extra_ok().load(&file.0, &states).unwrap();
    // A prefix that is none is found out, whatever is allowed; one that was forgotten is named.
    let error = Load::new().part("body").missing_ok().extra_ok().load(&file.0, &net).unwrap_err().to_string();
    assert!(
        error.contains("has nothing that has a place in the model; it has 0.steps, 0.weight, 1.steps, .."),
        "{error}"
    );
    let error = load(&file.0, &net).unwrap_err().to_string();
    assert!(
        error.contains(
            "has no 'weight' [2], 'steps' [1], which the model needs; it has '0.weight': Load::new().part(\"0\")"
        ),
        "{error}"
    );
    // The model of a whole run.
    let epoch = Cell::new(7u64);
    Checkpoint::new().part("model", &net).part("epoch", &epoch).save(&file.0).unwrap();
    let other = Net::new(&[0.0; 2], 0);
    other.weight.freeze(true);
    let _ = Load::new().part("model").load(&file.0, &other).unwrap();
    assert_eq!(other.values(), net.values());
    assert!(other.weight.is_frozen());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_nothing_changes() {
    #[derive(Module)]
    struct Wide {
        weight: Param,
        bias: Param,
        scale: Param,
        steps: State,
    }
    let device = device();
    let param = |n: usize| Param::new(Tensor::zeros(&device, [n])).unwrap();
    let steps = State::new(Tensor::from_slice(&device, &[5], [1])).unwrap();
    let net = Wide { weight: param(3), bias: param(4), scale: param(2), steps };
    let ten = floats(&[1.0; 10]);
    let bytes = foreign(&[
        ("weight", Dtype::F32, &[2, 1], &ten[..8]),
        ("scale", Dtype::F64, &[2], &ten[..16]),
        ("steps", Dtype::F32, &[1], &ten[..4]),
        ("norm.shift", Dtype::F32, &[1, 2], &ten[..8]),
        ("norm.gain", Dtype::F32, &[2], &ten[..8]),
    ]);
    let error = Load::new().load_bytes("wide", bytes.clone(), &net).unwrap_err().to_string();
    let want = "wide: does not fit:
  it has no 'bias' [4], which the model needs
  it has 'norm.gain' [2], 'norm.shift' [1, 2], which the model has not
  it has 'weight' with shape [2, 1], and the model's has [3]
  it has 'scale' in F64, and the model's is f32; Load::new().cast() rounds
  it has 'steps' in F32, and the model's is i32";
    assert!(error.contains(want), "{error}");
    let how = Load::new().missing_ok().misshapen_ok().extra_ok().cast();
    let error = how.load_bytes("wide", bytes.clone(), &net).unwrap_err().to_string();
    assert!(error.contains("wide: has 'steps' in F32, and the model's is i32"), "{error}");
    assert_eq!(net.scale.tensor().to_vec::<f32>().unwrap(), [0.0; 2]);
    let loaded = how.only(|name| name != "steps").load_bytes("wide", bytes, &net).unwrap();
    assert_eq!(
        loaded.to_string(),
        "1 tensors loaded; converted: scale (F64 to f32); not in the file: bias; of another shape: weight; skipped: \
         steps; left over: norm.gain, norm.shift"
    );
}

#[test]
fn axes_are_put_in_the_models_order() {
    let device = device();
    let param = |shape: &[usize]| Param::new(Tensor::zeros(&device, shape)).unwrap();
    let net = vec![param(&[3, 2]), param(&[3]), param(&[2, 1, 1, 2])];
    let values = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let bytes = foreign(&[
        ("0", Dtype::F32, &[2, 3], &values),
        ("1", Dtype::F32, &[3], &values[..12]),
        ("2", Dtype::F32, &[1, 2, 1, 2], &values[..16]),
    ]);
    let read = |i: usize| net[i].tensor().to_vec::<f32>().unwrap();
    let _ = Load::new().transpose(|name| name != "2").only(|n| n != "2").load_bytes("t", bytes.clone(), &net).unwrap();
    assert_eq!((read(0), read(1)), (vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0], vec![0.0, 1.0, 2.0]));
    let order = |name: &str| match name {
        "0" => Some(vec![1, 0]),
        "2" => Some(vec![3, 2, 0, 1]),
        _ => None,
    };
    let _ = Load::new().permute(order).load_bytes("t", bytes.clone(), &net).unwrap();
    assert_eq!((read(0), read(2)), (vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0], vec![0.0, 2.0, 1.0, 3.0]));
    let error = Load::new().permute(|_| Some(vec![1, 1])).load_bytes("t", bytes, &net).unwrap_err().to_string();
    assert!(error.contains("has '0' with shape [2, 3], whose axes [1, 1] are no order of"), "{error}");
}

#[test]
fn files_of_others_are_loaded() {
    let file = Scratch::new("foreign");
    let counted = |n: i64| {
        let bytes = foreign(&[
            ("weight", Dtype::F32, &[2], &floats(&[1.0, -2.5])),
            ("steps", Dtype::I64, &[1], &n.to_le_bytes()),
            ("bn.num_batches_tracked", Dtype::I64, &[], &(1i64 << 40).to_le_bytes()),
        ]);
        std::fs::write(&file.0, bytes).unwrap();
    };
    let net = Net::new(&[0.0; 2], 0);
    counted(41);
    load(&file.0, &net).unwrap();
    assert_eq!(net.values(), (vec![1.0, -2.5], vec![41]));
    counted(1 << 31);
    let error = load(&file.0, &net).unwrap_err().to_string();
    assert!(error.contains("has 'steps' in I64, with 2147483648, which the model's i32 does not hold"), "{error}");
    assert_eq!(net.values(), (vec![1.0, -2.5], vec![41]));
    let wide = [0.1f64, -3.0].map(f64::to_le_bytes).concat();
    let bytes = foreign(&[("weight", Dtype::F64, &[2], &wide), ("steps", Dtype::I32, &[1], &7i32.to_le_bytes())]);
    std::fs::write(&file.0, bytes).unwrap();
    let error = load(&file.0, &net).unwrap_err().to_string();
    assert!(error.contains("has 'weight' in F64, and the model's is f32; Load::new().cast() rounds"), "{error}");
    let _ = Load::new().cast().load(&file.0, &net).unwrap();
    assert_eq!(net.values(), (vec![0.1, -3.0], vec![7]));
}
