use thalweg::{
    graph::Combine,
    nn::{
        AdaptiveMaxPool1d, AlphaDropout, AvgPool2d, Bag, BatchNorm1d, Bilinear, ChannelShuffle, Conv3d, ConvNorm,
        ConvTranspose2d, DepthwiseSeparable, DropConnect, Dropout2d, Dropping, EmbeddingBag, Flatten, GraphConv,
        Identity, InvertedResidual, LayerConfig, LocalResponseNorm, Lora, MaxPool2d, MaxUnpool2d, Padding, PaddingMode,
        Prelu, Residual, ShuffleUnit, SqueezeExcite, StochasticDepth, Unflatten, Upsample, Weighted,
        dropout::FeatureAlpha,
    },
    prelude::*,
};

use super::layers::made;
use crate::{Case, Draw, cases::floats};

/// Layers of vision and what they are put together by, as functions of their input; some also of their weight.
pub fn blocks() -> Vec<Case> {
    let image = || vec![floats(&[2, 2, 4, 3])];
    let table = || vec![floats(&[3, 4])];
    let mut cases = vec![
        of("Conv1d of a circle", &[2, 2, 5], || {
            Conv1d::new(2, 4, 3).padding(2).stride(2).groups(2).padding_mode(PaddingMode::Circular)
        }),
        of("Conv2d to the same extents", &[1, 2, 4, 3], || {
            Conv2d::new(2, 2, [2, 3]).padding(Padding::Same).padding_mode(PaddingMode::Reflect)
        }),
        of("Conv3d", &[1, 1, 3, 3, 2], || Conv3d::new(1, 2, 2).padding([1, 0, 0]).dilation([1, 2, 1])),
        Case::new("ConvTranspose2d", [image(), vec![floats(&[2, 3, 2, 2])]].concat(), |x| {
            let layer = ConvTranspose2d::new(2, 3, 2).stride([2, 1]).output_padding([1, 0]);
            made(layer.init(x[0].device(), &mut Rng::seed(1))).forward_with(&x[0], &x[1])
        }),
        of("DepthwiseSeparable", &[2, 2, 4, 3], || DepthwiseSeparable::<2>::new(2, 3, 3).padding(1)),
        of("BatchNorm1d of vectors", &[5, 3], || BatchNorm1d::new(3)),
        of("LocalResponseNorm", &[2, 5, 3], || LocalResponseNorm::new(3).alpha(0.5)),
        of("AvgPool2d", &[2, 2, 4, 3], || AvgPool2d::new(2).stride(1).padding(1).count_include_pad(false)),
        Case::new("Bilinear", vec![floats(&[3, 2]), floats(&[3, 4])], |x| {
            made(Bilinear::new(2, 4, 3).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0], &x[1])
        }),
        Case::new("EmbeddingBag with weights", vec![floats(&[3, 4]), Draw::Index(vec![3, 4], 5)], |x| {
            let layer = EmbeddingBag::new(5, 2).combine(Combine::Sum);
            // A bag has the dtype of its table, which is to show differences.
            let layer = made(made(layer.init(x[0].device(), &mut Rng::seed(1))).cast(x[0].dtype()));
            layer.forward(&x[1], Bag { weights: Some(&x[0]), ..Bag::default() })
        }),
        Case::new("GraphConv", vec![floats(&[4, 3]), Draw::Bools(vec![4, 4])], |x| {
            made(GraphConv::new(3, 2).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0], &x[1])
        }),
        of("Dropout2d", &[2, 3, 2, 2], || Dropout2d::new(0.4)),
        of("AlphaDropout", &[3, 4], || AlphaDropout::new(0.4)),
        of("FeatureAlphaDropout", &[3, 4, 2], || Dropping::<FeatureAlpha>::new(0.4)),
        of("StochasticDepth", &[5, 2], || StochasticDepth::new(0.5)),
        of("DropConnect", &[3, 4], || DropConnect::new(Linear::new(4, 5), 0.3)),
        Case::new("Lora", table(), |x| {
            let layer = made(Lora::new(Linear::new(4, 5), 2).alpha(3.0).init(x[0].device(), &mut Rng::seed(1)));
            made(layer.lora_b.set(&Tensor::ones(x[0].device(), [5, 2])));
            layer.forward(&x[0].square())
        }),
        of("Activation", &[3, 4], || Activation::Softplus { beta: 2.0, threshold: 1.0 }).kinked(),
        of("Prelu", &[2, 3, 2], || Prelu::new().channels(3)).kinked(),
        of("Flatten", &[2, 3, 4], Flatten::new),
        of("Unflatten", &[2, 6], || Unflatten::new(1, (2, -1))),
        of("Upsample", &[1, 2, 3, 2], || Upsample::new(Resize::factor(2.0, Resample::Linear))),
        of("ChannelShuffle", &[2, 6, 2], || ChannelShuffle::new(3)),
        of("SqueezeExcite", &[2, 3, 2, 2], || SqueezeExcite::new(3, 2).activation(Activation::Silu)),
        of("ConvNorm", &[2, 2, 4, 3], || ConvNorm::new(2, 3, 3).activation(Activation::Tanh)).terms(96),
        uneven("InvertedResidual", &[2, 2, 3, 3], || InvertedResidual::new(2, 2, 2).activation(Activation::Tanh))
            .terms(96),
        uneven("ShuffleUnit", &[2, 4, 3, 3], || ShuffleUnit::new(4, 4)).kinked().terms(96),
        Case::new("MaxPool2d and MaxUnpool2d", image(), |x| {
            let (y, places) = MaxPool2d::new(2).forward_with_indices(&x[0]);
            MaxUnpool2d::new(2).forward_to(&y.square(), &places, [4, 3])
        })
        .kinked(),
        of("AdaptiveMaxPool1d", &[2, 2, 5], || AdaptiveMaxPool1d::new(3)).kinked(),
    ];
    cases.push(Case::new("Sequential, Residual and Identity", table(), |x| {
        let (device, rng) = (x[0].device(), &mut Rng::seed(1));
        let linear = made(Linear::new(4, 4).init(device, rng));
        let body = Sequential::new().then(linear.clone()).then(Activation::Tanh).then(Identity);
        Residual::with_shortcut(body, (linear,)).forward(&x[0])
    }));
    cases
}

/// A layer as a function of its input, which starts anew each time from the same draws.
fn of<S: LayerConfig<Layer: Layer> + 'static>(name: &str, shape: &[usize], settings: fn() -> S) -> Case {
    Case::new(name, vec![floats(shape)], move |x| {
        made(settings().init(x[0].device(), &mut Rng::seed(1))).forward(&x[0].square())
    })
    .terms(32)
}

/// The same, where the elements of the input differ even if one number stands for all of them: a norm of norms of what does not vary
/// is rounding errors, magnified without bound.
fn uneven<S: LayerConfig<Layer: Layer> + 'static>(name: &str, shape: &[usize], settings: fn() -> S) -> Case {
    Case::new(name, vec![floats(shape)], move |x| {
        let slope = Tensor::arange(x[0].device(), x[0].shape()[x[0].rank() - 1]).cast(x[0].dtype());
        made(settings().init(x[0].device(), &mut Rng::seed(1))).forward(&(x[0].square() + slope * 0.5))
    })
}
