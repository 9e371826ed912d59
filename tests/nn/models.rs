//! Models of the literature: how many parameters and multiply-adds they have, what they call them, and that they learn.

use thalweg::{graph::multiply_adds, nn::models::*, prelude::*};
use thalweg_tests::cpu;

use super::{names, wave};

/// What a model is called, how it is made without values, and the images that its multiply-adds are published for.
struct Published {
    name: &'static str,
    params: usize,
    /// In 10⁹, as they are written.
    multiply_adds: f64,
    counted: fn(&Device, usize) -> Result<(usize, u64)>,
    size: usize,
}

/// Parameters and multiply-adds of a model for an image of this size.
macro_rules! published {
    ($($model:ident: $params:literal, $adds:literal at $size:literal;)*) => {
        &[$(Published {
            name: stringify!($model),
            params: $params,
            multiply_adds: $adds,
            counted: |device, size| {
                let net = $model().init(device, &mut Rng::seed(0))?;
                net.eval();
                let y = net.forward(&Tensor::zeros(device, [1, 3, size, size]));
                assert_eq!(y.shape(), [1, 1000], "{}", stringify!($model));
                Ok((net.count(), multiply_adds([&y])))
            },
            size: $size,
        }),*]
    };
}

/// Parameters and `GFLOPS` (multiply-adds) of torchvision's `IMAGENET1K_V1` weights, from the table at
/// pytorch.org/vision/stable/models.html and each entry's `num_params`; for the size that its images are cropped to.
const TORCHVISION: &[Published] = published! {
    alexnet: 61_100_840, 0.71 at 224;
    vgg11: 132_863_336, 7.61 at 224;
    vgg11_bn: 132_868_840, 7.61 at 224;
    vgg13: 133_047_848, 11.31 at 224;
    vgg13_bn: 133_053_736, 11.31 at 224;
    vgg16: 138_357_544, 15.47 at 224;
    vgg16_bn: 138_365_992, 15.47 at 224;
    vgg19: 143_667_240, 19.63 at 224;
    vgg19_bn: 143_678_248, 19.63 at 224;
    resnet18: 11_689_512, 1.81 at 224;
    resnet34: 21_797_672, 3.66 at 224;
    resnet50: 25_557_032, 4.09 at 224;
    resnet101: 44_549_160, 7.80 at 224;
    resnet152: 60_192_808, 11.51 at 224;
    mobilenet_v2: 3_504_872, 0.30 at 224;
    shufflenet_v2_x0_5: 1_366_792, 0.04 at 224;
    shufflenet_v2_x1_0: 2_278_604, 0.14 at 224;
    shufflenet_v2_x1_5: 3_503_624, 0.30 at 224;
    shufflenet_v2_x2_0: 7_393_996, 0.58 at 224;
    efficientnet_b0: 5_288_548, 0.39 at 224;
    efficientnet_b1: 7_794_184, 0.69 at 240;
    efficientnet_b2: 9_109_994, 1.09 at 288;
    efficientnet_b3: 12_233_232, 1.83 at 300;
    efficientnet_b4: 19_341_616, 4.39 at 380;
    efficientnet_b5: 30_389_784, 10.27 at 456;
    efficientnet_b6: 43_040_704, 19.07 at 528;
    efficientnet_b7: 66_347_960, 37.75 at 600;
    densenet121: 7_978_856, 2.83 at 224;
    densenet161: 28_681_000, 7.73 at 224;
    densenet169: 14_149_480, 3.36 at 224;
    densenet201: 20_013_928, 4.29 at 224;
    vit_b_16: 86_567_656, 17.56 at 224;
    vit_b_32: 88_224_232, 4.41 at 224;
    vit_l_16: 304_326_632, 61.55 at 224;
    vit_l_32: 306_535_400, 15.38 at 224;
};

/// The model card of timm's `mixer_b16_224.goog_in21k_ft_in1k` has 59.9 million parameters and 12.6 of multiply-adds. The other two were
/// counted here, on models whose layers `reference.rs` holds against PyTorch: they show what changes, not that it was right.
const COUNTED: &[Published] = published! {
    mixer_b16: 59_880_472, 12.60 at 224;
    mixer_l16: 208_196_168, 44.55 at 224;
    vit_s_16: 22_050_664, 4.60 at 224;
};

#[test]
fn models_have_the_published_numbers() -> Result<()> {
    let device = Device::meta();
    for model in TORCHVISION.iter().chain(COUNTED) {
        let (params, adds) = (model.counted)(&device, model.size)?;
        assert_eq!(params, model.params, "parameters of {}", model.name);
        let (got, want) = (adds as f64 / 1e9, model.multiply_adds);
        // As they are rounded.
        assert!((got - want).abs() <= 0.005, "{}: {got:.4} thousand million multiply-adds, not {want}", model.name);
    }
    Ok(())
}

/// Parameters of the models that no table has: their source, or the sum.
#[test]
fn small_models_have_the_numbers_of_their_formulas() -> Result<()> {
    let (device, rng) = (Device::meta(), &mut Rng::seed(0));
    // Every map of the second convolution sees all six: 156 + 2416 + 48120 + 10164 + 850.
    assert_eq!(lenet().init(&device, rng)?.count(), 61_706);
    assert_eq!(mlp(&[784, 256, 10]).init(&device, rng)?.count(), 784 * 256 + 256 + 256 * 10 + 10);
    // He et al. 2016, arXiv:1512.03385, table 6, to two digits: 0.27, 0.46, 0.66, 0.85 and 1.7 million. The multiply-adds below are the sum
    // over the layers.
    let cifar: [(fn() -> CifarResNetConfig, usize); 5] = [
        (cifar_resnet20, 269_722),
        (cifar_resnet32, 464_154),
        (cifar_resnet44, 658_586),
        (cifar_resnet56, 853_018),
        (cifar_resnet110, 1_727_962),
    ];
    for (model, params) in cifar {
        assert_eq!(model().init(&device, rng)?.count(), params);
    }
    let images = Tensor::zeros(&device, [1, 3, 32, 32]);
    let adds = multiply_adds([&cifar_resnet20().init(&device, rng)?.forward(&images)]);
    assert_eq!(adds, 40_551_040);
    // github.com/milesial/Pytorch-UNet, which has the same layers: 31,037,698 parameters for two classes.
    assert_eq!(unet().init(&device, rng)?.count(), 31_037_698);
    // Filters of 27 numbers each, two numbers for each channel's norm, and the last layer.
    let filters: usize = [(1, 16), (16, 32), (32, 64), (64, 128)].iter().map(|(i, o)| 27 * i * o + 2 * o).sum();
    assert_eq!(video_cnn().init(&device, rng)?.count(), filters + 128 * 10 + 10);
    // Narrow and wide ones, from table 4 of Sandler et al. 2018, arXiv:1801.04381: 6.9 million for 1.4.
    let wide = mobilenet_v2().width(1.4).init(&device, rng)?.count();
    assert!((6_000_000..7_000_000).contains(&wide), "{wide}");
    let scaled = EfficientNetConfig::scaled(1.1, 1.2).init(&device, rng)?.count();
    assert_eq!(scaled, 9_109_994, "B2 but for its dropout");
    Ok(())
}

/// What torchvision calls them, from first to last.
#[test]
fn parameters_have_the_names_of_torchvision() -> Result<()> {
    let (device, rng) = (Device::meta(), &mut Rng::seed(0));
    let check = |net: &dyn Module, some: &[&str]| {
        let names = names(net);
        assert_eq!(names[0], some[0]);
        assert_eq!(names[names.len() - 1], some[some.len() - 1]);
        for name in some {
            assert!(names.iter().any(|n| n == name), "no {name} in {names:?}");
        }
    };
    check(
        &alexnet().init(&device, rng)?,
        &["features.0.weight", "features.10.bias", "classifier.1.weight", "classifier.6.bias"],
    );
    check(
        &vgg16().init(&device, rng)?,
        &["features.0.weight", "features.28.bias", "classifier.3.weight", "classifier.6.bias"],
    );
    check(
        &vgg11_bn().init(&device, rng)?,
        &["features.0.weight", "features.1.weight", "features.26.bias", "classifier.6.bias"],
    );
    let resnet = resnet50().init(&device, rng)?;
    check(
        &resnet,
        &[
            "conv1.weight",
            "bn1.bias",
            "layer1.0.conv3.weight",
            "layer2.0.downsample.0.weight",
            "layer4.2.bn3.bias",
            "fc.bias",
        ],
    );
    let states: Vec<String> = resnet.states().into_iter().map(|(name, _)| name).collect();
    assert!(states.contains(&"layer2.0.downsample.1.running_var".to_string()));
    check(
        &mobilenet_v2().init(&device, rng)?,
        &[
            "features.0.0.weight",
            "features.1.conv.0.0.weight",
            "features.1.conv.2.bias",
            "features.17.conv.3.bias",
            "features.18.1.weight",
            "classifier.1.bias",
        ],
    );
    check(
        &shufflenet_v2_x1_0().init(&device, rng)?,
        &["conv1.0.weight", "stage2.0.branch1.3.bias", "stage4.3.branch2.6.weight", "conv5.1.bias", "fc.bias"],
    );
    check(
        &efficientnet_b0().init(&device, rng)?,
        &[
            "features.0.0.weight",
            "features.1.0.block.1.fc1.weight",
            "features.2.0.block.2.fc2.bias",
            "features.7.0.block.3.1.bias",
            "features.8.1.weight",
            "classifier.1.bias",
        ],
    );
    check(
        &densenet121().init(&device, rng)?,
        &[
            "features.conv0.weight",
            "features.denseblock1.denselayer1.norm1.weight",
            "features.transition3.conv.weight",
            "features.denseblock4.denselayer16.conv2.weight",
            "features.norm5.bias",
            "classifier.bias",
        ],
    );
    check(
        &vit_b_16().init(&device, rng)?,
        &[
            "class_token",
            "conv_proj.weight",
            "encoder.pos_embedding",
            "encoder.layers.encoder_layer_11.self_attention.in_proj_weight",
            "encoder.layers.encoder_layer_0.mlp.3.bias",
            "encoder.ln.bias",
            "heads.head.bias",
        ],
    );
    check(
        &mixer_s16().init(&device, rng)?,
        &["stem.proj.weight", "blocks.7.mlp_tokens.fc2.bias", "norm.weight", "head.bias"],
    );
    check(&mlp(&[4, 5, 6, 7]).init(&device, rng)?, &["0.weight", "3.weight", "6.bias"]);
    Ok(())
}

/// Twenty steps on one small batch: every kind of model learns it by heart, and evaluates what it learned.
#[test]
fn small_models_learn() -> Result<()> {
    fn learns<M: Module>(name: &str, net: M, x: &Tensor, forward: impl Fn(&M, &Tensor) -> Tensor) -> Result<()> {
        let labels = Tensor::arange(x.device(), x.shape()[0]).fmod(4.0).cast(DType::I32);
        let opt = Adam { lr: 3e-3, ..Adam::default() }.init(&net)?;
        let loss = || forward(&net, x).cross_entropy(&labels);
        let before = loss().item()?;
        for _ in 0..20 {
            opt.step(&loss())?;
        }
        let after = loss().item()?;
        assert!(after < 0.8 * before, "{name}: {before} to {after}");
        net.eval();
        assert!(forward(&net, x).to_vec::<f32>()?.iter().all(|v| v.is_finite()), "{name}");
        Ok(())
    }
    let (device, rng) = (cpu(), &mut Rng::seed(1));
    let mut draw = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_: usize| rng.normal() as f32).collect();
        Tensor::from_slice(&device, &values, shape)
    };
    let (images, grey, clips) = (draw(&[4, 3, 32, 32]), draw(&[4, 1, 32, 32]), draw(&[4, 1, 8, 16, 16]));
    let rng = &mut Rng::seed(2);
    learns("mlp", mlp(&[1024, 32, 4]).init(&device, rng)?, &grey, |net, x| net.forward(&x.flatten(1..)))?;
    learns("lenet", lenet().classes(4).init(&device, rng)?, &grey, LeNet::forward)?;
    learns("cifar resnet", cifar_resnet20().classes(4).init(&device, rng)?, &images, CifarResNet::forward)?;
    learns("video", video_cnn().width(4).classes(4).init(&device, rng)?, &clips, VideoCnn::forward)?;
    let vit = vit_s_16().patch(8).size(32).depth(2).width(32).hidden(64).heads(2).classes(4);
    learns("vit", vit.init(&device, rng)?, &images, ViT::forward)?;
    learns("u-net", unet().width(4).classes(4).init(&device, rng)?, &images, |net, x| net.forward(x).mean([2, 3]))?;
    let mobile = mobilenet_v2().width(0.25).dropout(0.0).classes(4).init(&device, rng)?;
    learns("mobilenet", mobile, &images, MobileNetV2::forward)
}

/// A map of an image of any size has its size.
#[test]
fn a_unet_gives_maps_of_the_size_of_its_images() -> Result<()> {
    let device = cpu();
    let net = unet().channels(1).classes(3).width(2).init(&device, &mut Rng::seed(3))?;
    // Its smallest map has one place, which training cannot normalise by.
    net.eval();
    for [height, width] in [[16, 16], [17, 30], [35, 21]] {
        assert_eq!(net.forward(&wave(&device, &[1, 1, height, width])).shape(), [1, 3, height, width]);
    }
    let text = net.forward(&wave(&device, &[1, 2, 16, 16])).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("conv2d") && text.contains("has 2 channels, not 1"), "{text}");
    Ok(())
}

#[test]
fn settings_that_make_no_model_are_refused() {
    let (device, rng) = (Device::meta(), &mut Rng::seed(0));
    let says = |result: std::result::Result<(), Error>, parts: [&str; 2]| {
        let text = result.expect_err("an error").to_string();
        assert!(parts.iter().all(|part| text.contains(part)) && text.contains("models.rs"), "{text}");
    };
    says(mlp(&[3]).init(&device, rng).map(drop), ["mlp", "widths of [3]"]);
    says(mobilenet_v2().width(0.0).init(&device, rng).map(drop), ["mobilenet_v2", "a width of 0"]);
    says(vit_b_16().size(100).init(&device, rng).map(drop), ["vit", "images of 100"]);
    says(mixer_s16().size(0).init(&device, rng).map(drop), ["mixer", "images of 0"]);
    says(unet().width(0).init(&device, rng).map(drop), ["unet", "a width of 0"]);
    says(EfficientNetConfig::scaled(1.0, f64::NAN).init(&device, rng).map(drop), ["efficientnet", "a depth of NaN"]);
    says(resnet18().classes(0).init(&device, rng).map(drop), ["linear", "0 outputs"]);
    let vit = vit_s_16().size(32).init(&device, rng).expect("a model");
    let text = vit.forward(&Tensor::zeros(&device, [1, 3, 48, 32])).check().expect_err("an error").to_string();
    assert!(text.contains("vit") && text.contains("4 patches"), "{text}");
}
