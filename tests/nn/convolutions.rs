//! Convolutions as layers, held against loops over their definitions.

use thalweg::{
    nn::{Conv, ConvTranspose, ConvTransposeSettings, DepthwiseSeparable, Padding, PaddingMode, Weighted},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, wave};

/// Positions of an array of this shape, row-major.
fn positions(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for extent in shape {
        all = all.iter().flat_map(|p| (0..*extent).map(|i| [&p[..], &[i]].concat())).collect();
    }
    all
}

/// What stands at position `i` of an axis of extent `n`, as a position inside it.
fn inside(i: isize, n: usize, mode: PaddingMode) -> Option<usize> {
    let n = n as isize;
    let j = match mode {
        PaddingMode::Zeros => i,
        PaddingMode::Reflect if i < 0 => -i,
        PaddingMode::Reflect if i >= n => 2 * (n - 1) - i,
        PaddingMode::Reflect => i,
        PaddingMode::Replicate => i.clamp(0, n - 1),
        PaddingMode::Circular => i.rem_euclid(n),
    };
    usize::try_from(j).ok().filter(|j| *j < n as usize)
}

struct Setting<const N: usize> {
    channels: [usize; 2],
    kernel: [usize; N],
    stride: [usize; N],
    padding: Padding<N>,
    dilation: [usize; N],
    groups: usize,
    mode: PaddingMode,
    input: [usize; N],
}

/// `y[b, o, s] = b_o + Σ_{c, k} w[o, c, k] x[b, c, s · stride + k · dilation - front]`.
fn definition<const N: usize>(s: &Setting<N>, x: &[f64], w: &[f64], bias: &[f64], out: &[usize]) -> Vec<f64> {
    let [inputs, outputs] = s.channels;
    let (per_group, filters) = (inputs / s.groups, outputs / s.groups);
    let offset = |shape: &[usize], at: &[usize]| at.iter().zip(shape).fold(0, |sum, (i, n)| sum * n + i);
    let front: [usize; N] = std::array::from_fn(|d| match s.padding {
        Padding::Each(pad) => pad[d],
        Padding::Same => s.dilation[d] * (s.kernel[d] - 1) / 2,
    });
    let image = [&[2, inputs], &s.input[..]].concat();
    let weight = [&[outputs, per_group], &s.kernel[..]].concat();
    let value = |p: Vec<usize>| {
        let (batch, o, place) = (p[0], p[1], &p[2..]);
        let taps = positions(&[&[per_group], &s.kernel[..]].concat());
        let sum: f64 = taps
            .iter()
            .filter_map(|tap| {
                let mut at = vec![batch, o / filters * per_group + tap[0]];
                for d in 0..N {
                    let i = (place[d] * s.stride[d] + tap[1 + d] * s.dilation[d]) as isize - front[d] as isize;
                    at.push(inside(i, s.input[d], s.mode)?);
                }
                Some(x[offset(&image, &at)] * w[offset(&weight, &[&[o], &tap[..]].concat())])
            })
            .sum();
        bias[o] + sum
    };
    positions(out).into_iter().map(value).collect()
}

fn check<const N: usize>(device: &Device, s: &Setting<N>) -> Result<()> {
    let [inputs, outputs] = s.channels;
    let settings = Conv::<N>::new(inputs, outputs, s.kernel).stride(s.stride).padding(s.padding).dilation(s.dilation);
    let conv = settings.groups(s.groups).padding_mode(s.mode).init(device, &mut Rng::seed(1))?;
    let x = wave(device, &[&[2, inputs], &s.input[..]].concat());
    let y = conv.forward(&x);
    let bias = conv.bias.as_ref().expect("a bias").tensor().to_vec::<f64>()?;
    let want = definition(s, &x.to_vec()?, &conv.weight.tensor().to_vec()?, &bias, y.shape());
    close(&y.to_vec::<f64>()?, &want, 1e-5);
    if s.padding == Padding::Same {
        assert_eq!(y.shape()[2..], s.input);
    }
    // One sample is a batch of one.
    let single = conv.forward(&x.select(0, 1));
    assert_eq!(single.shape(), &y.shape()[1..]);
    close(&single.to_vec::<f64>()?, &y.select(0, 1).to_vec::<f64>()?, 1e-5);
    Ok(())
}

#[test]
fn convolutions_are_their_definition() -> Result<()> {
    let (zeros, same) = (PaddingMode::Zeros, Padding::Same);
    for device in [strict(), cpu(), test_gpu!()] {
        for mode in [zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
            let plain = Setting {
                channels: [3, 4],
                kernel: [3],
                stride: [2],
                padding: Padding::Each([3]),
                dilation: [2],
                groups: 1,
                mode,
                input: [9],
            };
            check(&device, &plain)?;
            let image = Setting {
                channels: [4, 6],
                kernel: [3, 2],
                stride: [1, 2],
                padding: Padding::Each([2, 1]),
                dilation: [1, 3],
                groups: 2,
                mode,
                input: [5, 7],
            };
            check(&device, &image)?;
            check(&device, &Setting { kernel: [4, 3], stride: [1, 1], padding: same, ..image })?;
        }
        let volume = Setting {
            channels: [2, 2],
            kernel: [2, 3, 1],
            stride: [1, 2, 1],
            padding: Padding::Each([1, 0, 2]),
            dilation: [2, 1, 1],
            groups: 2,
            mode: zeros,
            input: [4, 5, 3],
        };
        check(&device, &volume)?;
    }
    Ok(())
}

/// `Σ conv(x) · y = Σ x · conv_transpose(y)`, and the extent that is asked for.
fn adjoint<const N: usize>(device: &Device, s: &Setting<N>) -> Result<()> {
    let ([inputs, outputs], rng) = (s.channels, &mut Rng::seed(2));
    let Padding::Each(padding) = s.padding else { unreachable!("a transposed convolution has numbers") };
    let conv = Conv::<N>::new(inputs, outputs, s.kernel).stride(s.stride).padding(padding).dilation(s.dilation);
    let conv = conv.groups(s.groups).bias(false).init(device, rng)?;
    let back: ConvTransposeSettings<N> = ConvTranspose::new(outputs, inputs, s.kernel).stride(s.stride);
    let back = back.padding(padding).dilation(s.dilation).groups(s.groups).bias(false).init(device, rng)?;
    assert_eq!(back.weight.shape(), conv.weight.shape());
    back.weight.set(&conv.weight.tensor().detach())?;
    let x = wave(device, &[&[2, inputs], &s.input[..]].concat());
    let y = conv.forward(&x);
    let up = wave(device, y.shape()) * 1.5;
    let down = back.forward_to(&up, s.input);
    assert_eq!(down.shape(), x.shape());
    close(&[(y * up).sum(..).item()?], &[(down * x).sum(..).item()?], 1e-4);
    Ok(())
}

#[test]
fn transposed_convolutions_are_the_adjoints() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let (groups, mode) = (2, PaddingMode::Zeros);
        let image = Setting {
            channels: [4, 6],
            kernel: [3, 2],
            stride: [2, 3],
            padding: Padding::Each([1, 0]),
            dilation: [1, 2],
            groups,
            mode,
            input: [6, 9],
        };
        adjoint(&device, &image)?;
        adjoint(&device, &Setting { input: [5, 8], ..image })?;
        let series = Setting {
            channels: [2, 4],
            kernel: [4],
            stride: [3],
            padding: Padding::Each([2]),
            dilation: [1],
            groups,
            mode,
            input: [11],
        };
        adjoint(&device, &series)?;
        let volume = Setting {
            channels: [2, 2],
            kernel: [2, 1, 3],
            stride: [1, 2, 2],
            padding: Padding::Each([0, 0, 1]),
            dilation: [1; 3],
            groups: 1,
            mode,
            input: [3, 4, 5],
        };
        adjoint(&device, &volume)?;
    }
    Ok(())
}

/// PyTorch: `nn.ConvTranspose2d(2, 2, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2, dilation=(1, 2))` with
/// `weight`, `bias` and x being `sin(0.7 i + 0.3)`.
#[test]
fn a_transposed_convolution_has_the_numbers_of_pytorch() -> Result<()> {
    let device = strict();
    let settings = ConvTranspose2d::new(2, 2, [3, 2]).stride([2, 3]).padding([1, 0]).output_padding([1, 2]);
    let layer = settings.groups(2).dilation([1, 2]).init(&device, &mut Rng::seed(0))?;
    layer.weight.set(&wave(&device, &[2, 1, 3, 2]))?;
    layer.bias.as_ref().expect("a bias").set(&wave(&device, &[2]))?;
    let y = layer.forward(&wave(&device, &[1, 2, 2, 2]));
    assert_eq!(y.shape(), [1, 2, 4, 8]);
    let rows = [
        [0.5885772, 0.2955202, 0.4951332, 1.1299774, 0.2955202, 0.8639029, 0.2955202, 0.2955202],
        [0.6008651, 0.2955202, 0.949161, 0.5301221, 0.2955202, 0.3490422, 0.2955202, 0.2955202],
    ];
    close(&y.to_vec::<f64>()?[..16], &rows.concat(), 1e-6);
    Ok(())
}

#[test]
fn a_separable_convolution_is_two() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(3));
    let layer = DepthwiseSeparable::<2>::new(3, 5, [3, 1]).stride(2).padding([1, 0]).init(&device, rng)?;
    let names: Vec<String> = layer.params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["depthwise.weight", "pointwise.weight", "pointwise.bias"]);
    assert_eq!((layer.depthwise.weight.shape(), layer.pointwise.weight.shape()), (vec![3, 1, 3, 1], vec![5, 3, 1, 1]));
    let y = layer.forward(&wave(&device, &[2, 3, 8, 6]));
    assert_eq!(y.shape(), [2, 5, 4, 3]);
    let grads = y.square().sum(..).backward()?;
    assert!(grads.missing(&layer).is_empty());
    Ok(())
}

/// Whatever takes a layer with a weight takes them.
#[test]
fn weights_of_convolutions_are_reparametrised() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(4));
    let x = wave(&device, &[2, 3, 10]);
    let conv = Conv1d::new(3, 4, 3).padding(Padding::Same).padding_mode(PaddingMode::Circular).init(&device, rng)?;
    let plain = conv.forward(&x).to_vec::<f64>()?;
    let halves = &conv.weight.tensor() * 0.5;
    assert_eq!(conv.forward_with(&x, &halves).shape(), [2, 4, 10]);
    let norm = thalweg::nn::WeightNorm::new(conv).init(&device, rng)?;
    close(&norm.forward(&x).to_vec::<f64>()?, &plain, 1e-5);
    let back = thalweg::nn::SpectralNorm::new(ConvTranspose1d::new(3, 4, 3)).axis(1).init(&device, rng)?;
    assert_eq!((back.u.shape(), back.forward(&x).shape()), (vec![4], &[2, 4, 12][..]));
    Ok(())
}

/// In mixed precision convolutions of every rank read 16 bits, and are near what they are in 32.
#[test]
fn convolutions_in_mixed_precision() -> Result<()> {
    for precision in [Precision::MixedF16, Precision::MixedBf16] {
        let run = |device: &Device| -> Result<Vec<f64>> {
            let rng = &mut Rng::seed(5);
            let net = (Conv1d::new(2, 4, 3).init(device, rng)?, ConvTranspose1d::new(4, 2, 3).init(device, rng)?);
            let loss = net.forward(&wave(device, &[2, 2, 16])).square().sum(..);
            let grads = loss.backward()?;
            let grad = grads.get(&net.0.weight).expect("a gradient").to_vec::<f64>()?;
            Ok([vec![loss.item()?], grad].concat())
        };
        close(&run(&cpu().with_precision(precision))?, &run(&cpu())?, 0.03);
    }
    Ok(())
}
