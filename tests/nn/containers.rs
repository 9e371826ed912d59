//! Layers in lists, tuples and maps, layers chosen by values, and weights in two places.

use std::collections::BTreeMap;

use thalweg::{
    graph::{Snapshot, Stateful},
    nn::{
        Activation, Bilinear, Flatten, Identity, Layer, PixelShuffle, Prelu, Residual, Sequential, Unflatten, Upsample,
    },
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, names, wave};

fn sequential(device: &Device, rng: &mut Rng) -> Result<Sequential> {
    Ok(Sequential::new()
        .then(Conv2d::new(1, 4, 3).init(device, rng)?)
        .then(BatchNorm2d::new(4).init(device, rng)?)
        .then(Activation::Relu)
        .then(Flatten::new())
        .then(Dropout::new(0.5).init(device, rng)?)
        .then_named("head", Linear::new(64, 3).init(device, rng)?))
}

#[test]
fn a_sequence_calls_its_layers_by_place() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let net = sequential(&device, &mut Rng::seed(1))?;
        assert_eq!(names(&net), ["0.weight", "0.bias", "1.weight", "1.bias", "head.weight", "head.bias"]);
        assert_eq!(net.layers().map(|(name, _)| name).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "head"]);
        let x = wave(&device, &[2, 1, 6, 6]);
        let training = net.forward(&x).to_vec::<f64>()?;
        let grads = net.forward(&x).square().sum(..).backward()?;
        assert!(grads.missing(&net).is_empty());
        net.eval();
        let evaluated = net.forward(&x).to_vec::<f64>()?;
        assert_ne!(training, evaluated);
        // A fork goes its own way, a clone is the same net.
        let (fork, clone) = (net.fork()?, net.clone());
        net.params()[5].1.set(&Tensor::ones(&device, [3]))?;
        assert_eq!(fork.forward(&x).to_vec::<f64>()?, evaluated);
        assert_eq!(clone.forward(&x).to_vec::<f64>()?, net.forward(&x).to_vec::<f64>()?);
        let mut saved = Snapshot::new();
        net.save(&mut saved)?;
        fork.load(&saved)?;
        assert_eq!(fork.forward(&x).to_vec::<f64>()?, net.forward(&x).to_vec::<f64>()?);
    }
    Ok(())
}

/// A tuple, a list and a sequence of the same layers compute the same and call them the same.
#[test]
fn lists_and_tuples_are_layers() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(2));
    let linear = || Linear::new(5, 5).init(&device, &mut Rng::seed(7));
    let list = vec![linear()?, linear()?, linear()?];
    let tuple = (linear()?, linear()?, Some(linear()?));
    let boxed: Vec<Box<dyn Layer>> = vec![Box::new(linear()?), Box::new(linear()?), Box::new(linear()?)];
    let sequence = Sequential::new().then(linear()?).then(linear()?).then(linear()?);
    let x = wave(&device, &[3, 5]);
    let want = list.forward(&x).to_vec::<f64>()?;
    let all: [&dyn Layer; 3] = [&tuple, &boxed, &sequence];
    for net in all {
        assert_eq!(names(net), names(&list));
        assert_eq!(net.forward(&x).to_vec::<f64>()?, want);
    }
    assert_eq!(names(&list)[4], "2.weight");
    let none: Option<Linear> = None;
    assert!(none.forward(&x).same(&x) && Identity.forward(&x).same(&x));
    let heads: BTreeMap<&str, Linear> =
        [("verb", Linear::new(5, 2).init(&device, rng)?), ("noun", Linear::new(5, 3).init(&device, rng)?)].into();
    assert_eq!(names(&heads), ["noun.weight", "noun.bias", "verb.weight", "verb.bias"]);
    // Two ways, and which of them is plain Rust.
    let body = Residual::new(sequence);
    close(&body.forward(&x).to_vec::<f64>()?, &(list.forward(&x) + &x).to_vec::<f64>()?, 1e-6);
    let shortcut = Residual::with_shortcut(heads["noun"].clone(), heads["noun"].clone());
    close(&shortcut.forward(&x).to_vec::<f64>()?, &(heads["noun"].forward(&x) * 2).to_vec::<f64>()?, 1e-6);
    assert_eq!(names(&shortcut), ["body.weight", "body.bias"], "tied");
    Ok(())
}

/// PyTorch's `nn.Softplus(2, 0.5)`, `nn.CELU(0.7)`, `nn.Threshold(0.2, 9)`, `nn.Hardshrink(0.3)`, `nn.GLU(-1)`, `nn.PReLU(2)` and
/// `nn.ELU(0.6)` of `sin(0.7 i + 0.3)` with shape [2, 2, 4]: elements 3 to 8.
#[test]
fn activations_have_the_numbers_of_pytorch() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = wave(&device, &[2, 2, 4]);
        for (activation, want) in [
            (
                Activation::Softplus { beta: 2.0, threshold: 0.5 },
                [0.6754632, 0.367796, 0.1289213, 0.0661961, 0.0788694],
            ),
            (Activation::Celu(0.7), [0.6754632, 0.0415807, -0.4079288, -0.526772, -0.5018544]),
            (Activation::Threshold { threshold: 0.2, value: 9.0 }, [0.6754632, 9.0, 9.0, 9.0, 9.0]),
            (Activation::Hardshrink(0.3), [0.6754632, 0.0, -0.6118579, -0.9775301, -0.8834547]),
            (Activation::Elu(0.6), [0.6754632, 0.0415807, -0.2745946, -0.3742565, -0.3519885]),
        ] {
            close(&activation.forward(&x).to_vec::<f64>()?[3..8], &want, 1e-6);
        }
        let glu = [0.2155574, 0.5576642, 0.0113674, -0.1789454, -0.2619599, 0.2271015, 0.2311304, 0.0067564];
        close(&Activation::Glu(-1).forward(&x).to_vec::<f64>()?, &glu, 1e-6);
        let prelu = Prelu::new().channels(2).init(&device, &mut Rng::seed(0))?;
        let slopes = Tensor::from_slice(&device, &[0.25f32, 0.5], [2]);
        prelu.weight.set(&slopes)?;
        let y = prelu.forward(&x).to_vec::<f64>()?;
        close(&y[3..8], &[0.6754632, 0.0415807, -0.305929, -0.4887651, -0.4417273], 1e-6);
        close(&y[8..9], &[-0.0934692], 1e-6);
    }
    Ok(())
}

/// Every activation is what the method of its name is.
#[test]
fn activations_are_methods() -> Result<()> {
    let x = wave(&strict(), &[3, 4]) * 4;
    let hardtanh = Activation::Hardtanh { min: -0.5, max: 1.5 };
    type Of = fn(&Tensor) -> Tensor;
    let all: [(Activation, Of); 20] = [
        (Activation::Identity, Tensor::clone),
        (Activation::Relu, Tensor::relu),
        (Activation::Relu6, Tensor::relu6),
        (Activation::LeakyRelu(0.1), |x| x.leaky_relu(0.1)),
        (Activation::Selu, Tensor::selu),
        (Activation::Gelu, Tensor::gelu),
        (Activation::GeluTanh, Tensor::gelu_tanh),
        (Activation::Silu, Tensor::silu),
        (Activation::Mish, Tensor::mish),
        (Activation::Sigmoid, Tensor::sigmoid),
        (Activation::LogSigmoid, Tensor::log_sigmoid),
        (Activation::Tanh, Tensor::tanh),
        (Activation::Tanhshrink, Tensor::tanhshrink),
        (Activation::Softsign, Tensor::softsign),
        (hardtanh, |x| x.hardtanh(-0.5, 1.5)),
        (Activation::Hardsigmoid, Tensor::hardsigmoid),
        (Activation::Hardswish, Tensor::hardswish),
        (Activation::Softshrink(0.4), |x| x.softshrink(0.4)),
        (Activation::Softmax(0), |x| x.softmax(0)),
        (Activation::LogSoftmax(-1), |x| x.log_softmax(-1)),
    ];
    for (activation, of) in all {
        let (got, want) = (activation.forward(&x).to_vec::<f64>()?, of(&x).to_vec::<f64>()?);
        assert_eq!(got, want, "{activation:?}");
    }
    assert_eq!(Activation::default(), Activation::Relu);
    Ok(())
}

#[test]
fn layers_that_move_elements() -> Result<()> {
    let x = wave(&cpu(), &[2, 8, 3, 5]);
    assert_eq!(Flatten::new().forward(&x).shape(), [2, 120]);
    assert_eq!(Flatten::new().first(0).last(-2).forward(&x).shape(), [48, 5]);
    assert_eq!(Unflatten::new(1, (2, -1)).forward(&x).shape(), [2, 2, 4, 3, 5]);
    assert_eq!(PixelShuffle::new(2).forward(&x).shape(), [2, 2, 6, 10]);
    assert_eq!(Upsample::new(Resize::factor(2.0, Resample::Nearest)).forward(&x).shape(), [2, 8, 6, 10]);
    let text = Flatten::new().first(3).last(1).forward(&x).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("flatten") && text.contains("axis 3 stands behind axis 1"), "{text}");
    Ok(())
}

/// PyTorch: `b = nn.Bilinear(2, 3, 2)` with weight, bias and both inputs being `sin(0.7 i + 0.3)`.
#[test]
fn bilinear_has_the_numbers_of_pytorch() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let layer = Bilinear::new(2, 3, 2).init(&device, &mut Rng::seed(0))?;
        layer.weight.set(&wave(&device, &[2, 2, 3]))?;
        layer.bias.as_ref().expect("a bias").set(&wave(&device, &[2]))?;
        let y = layer.forward(&wave(&device, &[2, 2]), &wave(&device, &[2, 3]));
        close(&y.to_vec::<f64>()?, &[0.5080345, 1.932064, 0.4886877, 0.1342503], 1e-6);
    }
    Ok(())
}

/// A language model whose head is the table of its embedding.
#[derive(Clone, Module)]
struct Tied {
    embedding: Embedding,
    head: Linear,
}

impl Tied {
    fn new(device: &Device, rng: &mut Rng) -> Result<Tied> {
        let embedding = Embedding::new(6, 4).init(device, rng)?;
        let head = Linear { weight: embedding.weight.clone(), bias: None };
        Ok(Tied { embedding, head })
    }

    fn loss(&self, ids: &Tensor) -> Tensor {
        self.head.forward(&self.embedding.forward(ids).tanh()).cross_entropy(ids)
    }
}

#[test]
fn a_weight_in_two_places_is_one() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let net = Tied::new(&device, &mut Rng::seed(3))?;
        assert_eq!((names(&net), net.count()), (vec!["embedding.weight".to_string()], 24));
        let ids = Tensor::from_slice(&device, &[0i32, 3, 5, 3], [4]);
        // The gradient is the sum of both places': that of two weights with the same value.
        let apart = Tied { embedding: net.embedding.clone(), head: net.head.fork()? };
        let whole = net.loss(&ids).backward()?;
        let parts = apart.loss(&ids).backward()?;
        let sum = parts.get(&apart.embedding.weight).expect("one") + parts.get(&apart.head.weight).expect("two");
        close(&whole.get(&net.head.weight).expect("tied").to_vec::<f64>()?, &sum.to_vec::<f64>()?, 1e-6);
        // It is saved once, and what is loaded stands in both places; a fork is tied in itself.
        let mut saved = Snapshot::new();
        net.save(&mut saved)?;
        let other = Tied::new(&device, &mut Rng::seed(4))?;
        other.load(&saved)?;
        assert_eq!(other.head.weight.tensor().to_vec::<f64>()?, net.embedding.weight.tensor().to_vec::<f64>()?);
        let fork = net.fork()?;
        assert!(fork.head.weight.same(&fork.embedding.weight) && !fork.head.weight.same(&net.head.weight));
        let opt = Sgd { lr: 0.1, ..Sgd::default() }.init(&net)?;
        opt.step(&net.loss(&ids))?;
        assert_eq!(net.head.weight.tensor().to_vec::<f64>()?, net.embedding.weight.tensor().to_vec::<f64>()?);
    }
    Ok(())
}
