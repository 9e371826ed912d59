//! Files that PyTorch wrote; `pt/make.py` made them.

use std::path::PathBuf;

use thalweg::{
    prelude::*,
    train::{self, Hub, Load},
};
use thalweg_tests::{cpu, strict, test_gpu};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("weights/pt").join(format!("{name}.pt"))
}

/// `[B, 2, 4, 4]` → `[B, 3]`.
#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let rng = &mut Rng::seed(1);
        Net {
            conv: Conv2d::new(2, 4, 3).padding(1).bias(false).init(device, rng).unwrap(),
            norm: BatchNorm2d::new(4).init(device, rng).unwrap(),
            head: Linear::new(64, 3).init(device, rng).unwrap(),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.norm.forward(&self.conv.forward(x)).relu().flatten(1..))
    }

    /// How far its outputs are from PyTorch's, at most.
    fn error(&self, device: &Device) -> f64 {
        let [x, y] = [[5, 2, 4, 4].as_slice(), &[5, 3]].map(|shape| State::new(Tensor::zeros(device, shape)).unwrap());
        train::load(path("net-output"), &Pair { x: x.clone(), y: y.clone() }).unwrap();
        self.eval();
        (self.forward(&x.tensor()) - y.tensor()).abs().amax(..).item().unwrap()
    }
}

#[derive(Module)]
struct Pair {
    x: State,
    y: State,
}

/// Zeros of a dtype, to be loaded into.
fn states<const N: usize>(of: [(&'static str, DType, &[usize]); N]) -> std::collections::BTreeMap<&'static str, State> {
    let device = strict();
    of.into_iter()
        .map(|(name, dtype, shape)| (name, State::new(Tensor::zeros(&device, shape).cast(dtype)).unwrap()))
        .collect()
}

fn error(name: &str, net: &dyn Module) -> String {
    train::load(path(name), net).unwrap_err().to_string()
}

#[test]
fn a_state_dict_loads_by_name_and_gives_pytorchs_outputs() {
    for device in [strict(), cpu(), test_gpu!()] {
        for (file, part) in [("net", None), ("protocol4", None), ("run", Some("model"))] {
            let net = Net::new(&device);
            assert!(net.error(&device) > 0.01, "not loaded yet");
            let how = part.map_or(Load::new(), |part| Load::new().part(part));
            let loaded = how.load(path(file), &net).unwrap();
            assert_eq!(loaded.loaded.len(), 7);
            let prefix = part.map_or(String::new(), |part| format!("{part}."));
            assert_eq!(loaded.left, [format!("{prefix}norm.num_batches_tracked")]);
            assert!(net.error(&device) < 1e-5, "{file} on {device}: {}", net.error(&device));
        }
    }
}

/// Ours, of PyTorch's: written, read back, and written in parts.
#[test]
fn what_came_from_pytorch_goes_on_as_ours() {
    let folder = std::env::temp_dir().join(format!("thalweg-from-torch-{}", std::process::id()));
    let device = strict();
    let [net, one, several, hub] = [(); 4].map(|()| Net::new(&device));
    train::load(path("net"), &net).unwrap();
    let bits = |net: &Net| {
        let params = net.params().into_iter().map(|(name, p)| (name, p.tensor()));
        let all = params.chain(net.states().into_iter().map(|(name, s)| (name, s.tensor())));
        all.map(|(name, t)| (name, t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    train::save(folder.join("net.safetensors"), &net).unwrap();
    train::load(folder.join("net.safetensors"), &one).unwrap();
    train::save_sharded(folder.join("net.safetensors.index.json"), &net, 300).unwrap();
    train::load(folder.join("net.safetensors.index.json"), &several).unwrap();
    Hub::new(folder.join("hub")).add_file("net", "from PyTorch", path("net")).unwrap();
    Hub::new(folder.join("hub")).load("net", &hub).unwrap();
    assert_eq!(bits(&one), bits(&net));
    assert_eq!(bits(&several), bits(&net));
    assert_eq!(bits(&hub), bits(&net));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_dtype_is_read() {
    let shape: &[usize] = &[2, 3];
    let net = states([
        ("float64", DType::F64, shape),
        ("float32", DType::F32, shape),
        ("float16", DType::F16, shape),
        ("bfloat16", DType::BF16, shape),
        ("int64", DType::I32, shape),
        ("int32", DType::I32, shape),
        ("int16", DType::I32, shape),
        ("int8", DType::I32, shape),
        ("uint8", DType::U32, shape),
        ("bool", DType::Bool, shape),
        ("uint16", DType::U32, shape),
        ("uint32", DType::U32, shape),
        ("uint64", DType::U32, shape),
    ]);
    let loaded = Load::new().load(path("dtypes"), &net).unwrap();
    assert_eq!(loaded.converted.len(), 6, "{loaded}");
    for (name, state) in &net {
        let want = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|n: f64| if *name == "bool" { n.min(1.0) } else { n });
        assert_eq!(state.tensor().cast(DType::F64).to_vec::<f64>().unwrap(), want, "{name}");
    }
    // Into other floats: wider ones as they are, narrower ones and integers where that is asked for.
    let floats =
        states([("float16", DType::F32, shape), ("float64", DType::F16, shape), ("int64", DType::BF16, shape)]);
    let text = Load::new().extra_ok().load(path("dtypes"), &floats).unwrap_err().to_string();
    assert!(text.contains("it has 'float64' in F64, and the model's is f16"), "{text}");
    assert!(text.contains("it has 'int64' in I64, and the model's is bf16") && !text.contains("float16'"), "{text}");
    let loaded = Load::new().extra_ok().cast().load(path("dtypes"), &floats).unwrap();
    assert!(loaded.to_string().contains("converted: float16 (F16 to f32), float64 (F64 to f16), int64 (I64 to bf16)"));
    for state in floats.values() {
        assert_eq!(state.tensor().cast(DType::F64).to_vec::<f64>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}

#[test]
fn views_are_what_they_show() {
    let net = states([
        ("base", DType::F32, &[4, 6]),
        ("transposed", DType::F32, &[6, 4]),
        ("slice", DType::F32, &[2, 3]),
        ("steps", DType::F32, &[2, 2]),
        ("repeated", DType::F32, &[2, 3]),
        ("parameter", DType::F32, &[6]),
        ("empty", DType::F32, &[0, 3]),
        ("scalar", DType::F32, &[]),
        ("channels_last", DType::F32, &[1, 2, 2, 3]),
    ]);
    train::load(path("views"), &net).unwrap();
    let read = |name: &str| net[name].tensor().to_vec::<f32>().unwrap();
    assert_eq!(read("base"), (0..24u8).map(f32::from).collect::<Vec<_>>());
    assert_eq!(read("transposed")[..6], [0.0, 6.0, 12.0, 18.0, 1.0, 7.0]);
    assert_eq!(read("slice"), [8.0, 9.0, 10.0, 14.0, 15.0, 16.0]);
    assert_eq!(read("steps"), [0.0, 3.0, 12.0, 15.0]);
    assert_eq!(read("repeated"), [15.0; 6]);
    assert_eq!(read("parameter"), [18.0, 19.0, 20.0, 21.0, 22.0, 23.0]);
    assert_eq!((read("empty"), read("scalar")), (vec![], vec![7.0]));
    assert_eq!(read("channels_last"), (0..12u8).map(f32::from).collect::<Vec<_>>());
}

#[test]
fn dictionaries_and_lists_in_one_another_are_paths() {
    let net = states([("a.0", DType::F32, &[2]), ("a.1.b.0", DType::F32, &[3]), ("3", DType::F32, &[1])]);
    train::load(path("nested"), &net).unwrap();
    assert_eq!(net["a.1.b.0"].tensor().to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0]);
    // An optimizer's moments, of the second parameter.
    let moment = states([("exp_avg", DType::F32, &[4])]);
    let loaded = Load::new().part("optimizer.state.1").extra_ok().load(path("run"), &moment).unwrap();
    assert_eq!((loaded.loaded, loaded.left.len()), (vec!["exp_avg".to_string()], 2));
    let unchecked = states([("weight", DType::F32, &[2, 3])]);
    train::load(path("unchecked"), &unchecked).unwrap();
    assert_eq!(unchecked["weight"].tensor().to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn what_would_have_to_be_executed_is_refused_by_name() {
    let net = states([("weight", DType::F32, &[2])]);
    for (file, what) in [
        (
            "namespace",
            "needs 'argparse.Namespace', which would have to be executed: torch.save(model.state_dict(), ..)",
        ),
        ("module", "needs 'torch.nn.modules.linear.Linear'"),
        ("sparse", "needs 'torch._utils._rebuild_sparse_tensor'"),
        ("legacy", "is of before PyTorch 1.6"),
        ("script", "is a TorchScript program"),
    ] {
        let text = error(file, &net);
        assert!(text.contains(what) && text.contains(&format!("{file}.pt: ")), "{text}");
    }
    assert_eq!(net["weight"].tensor().to_vec::<f32>().unwrap(), [0.0; 2]);
}
