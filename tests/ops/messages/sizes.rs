//! Sizes that no tensor has, and settings that mean nothing.

use thalweg_graph::{ConvConfig, NewtonSchulz, Resample, Resize, Rng, Tensor};
use thalweg_tests::strict;

use super::{ones, says};

const HUGE: usize = usize::MAX / 3;

#[test]
fn more_elements_than_fit_an_address() {
    let (x, column) = (ones(&[2, 3]), ones(&[3, 1]));
    says(&ones(&[HUGE, 7]), line!(), &["full", "7]", "too large", "an address"]);
    says(&Tensor::from_slice(&strict(), &[0f32; 0], [0, HUGE, 7]), line!(), &["from_slice", "[0, ", "too large"]);
    says(&x.reshape([0, isize::MAX, 7]), line!(), &["reshape", "[2, 3]", "7]", "too large"]);
    says(&column.broadcast_to([3, HUGE]), line!(), &["broadcast_to", "[3, ", "too large"]);
    says(&column.expand([isize::MAX, 3, 2]), line!(), &["broadcast_to", "3, 2]", "too large"]);
    says(&x.repeat([HUGE, HUGE]), line!(), &["repeat", "too large"]);
    says(&x.repeat_interleave(HUGE, 1), line!(), &["repeat_interleave", "[2, ", "too large"]);
    says(&x.diag_embed(isize::MIN, -2, -1), line!(), &["diag_embed", "too large"]);
    says(&x.pad(&[(isize::MAX, isize::MAX)], 0.0), line!(), &["pad", "[2, ", "too large"]);
    says(&ones(&[9, 1, 1]).pixel_shuffle(3).pixel_shuffle(HUGE), line!(), &["pixel_shuffle", "squares of"]);
    says(&ones(&[1, 1]).fold(&[HUGE, 7], &[1, 1], &ConvConfig::default()), line!(), &["fold", "7]", "too large"]);
}

#[test]
fn more_axes_than_eight() {
    says(&Tensor::ones(&strict(), [1; 9]), line!(), &["full", "[1, 1, 1, 1, 1, 1, 1, 1, 1]", "more than 8 axes"]);
    says(&Tensor::from_slice(&strict(), &[1.0f32], [1; 9]), line!(), &["from_slice", "more than 8 axes"]);
    says(&ones(&[1; 8]).unsqueeze(0), line!(), &["reshape", "[1, 1, 1, 1, 1, 1, 1, 1]", "more than 8 axes"]);
    says(&Tensor::meshgrid(vec![ones(&[2]); 9])[8], line!(), &["meshgrid", "[2, 2, 2, 2, 2, 2, 2, 2, 2]", "8 axes"]);
    says(&ones(&[2]).broadcast_to([2; 9]), line!(), &["broadcast_to", "[2, 2, 2, 2, 2, 2, 2, 2, 2]", "8 axes"]);
}

#[test]
fn positions_beyond_32_bits() {
    let x = ones(&[2, 3]);
    says(&Tensor::arange(&strict(), (1 << 31) + 1), line!(), &["arange", "[2147483649]", "axis 0", "32 bits"]);
    says(&x.repeat_interleave_each(&[HUGE, HUGE], 0), line!(), &["repeat_interleave", "axis 0", "32 bits"]);
    says(&x.adaptive_avg_pool(&[1 << 31]), line!(), &["adaptive_avg_pool", "[2147483648]", "32 bits"]);
    says(&ones(&[(1 << 30) + 1]).sort(0, true).0, line!(), &["sort", "[1073741825]", "axis 0", "32 bits"]);
    says(&x.one_hot(3), line!(), &["one_hot", "f32", "use i32"]);
}

#[test]
fn settings_of_windows() {
    let (x, w) = (ones(&[1, 1, 5]), ones(&[1, 1, 3]));
    let with = |f: fn(&mut ConvConfig)| {
        let mut config = ConvConfig::default();
        f(&mut config);
        config
    };
    says(&x.conv(&w, &with(|c| c.stride = vec![0])), line!(), &["conv", "stride [0]", "has a 0"]);
    says(&x.conv(&w, &with(|c| c.dilation = vec![1, 2])), line!(), &["dilation [1, 2]", "1 spatial axes"]);
    says(&x.conv(&w, &with(|c| c.padding = vec![HUGE])), line!(), &["conv", "padding", "more than 2147483647"]);
    says(&x.conv(&w, &with(|c| c.groups = HUGE)), line!(), &["conv", "[1, 1, 5]", "1 channels in"]);
    says(&x.conv_padded(&w, &with(|_| ()), &[(1, 1), (1, 1)]), line!(), &["conv", "padding [1, 1]", "1 spatial axes"]);
    let wide = with(|c| c.padding = vec![9]);
    says(&x.conv_transpose(&w, &wide, &[0]), line!(), &["conv_transpose", "padding 9 leaves nothing of 7"]);
    says(&x.conv_transpose(&w, &wide, &[]), line!(), &["conv_transpose", "output padding []", "1 axes"]);
    let many = NewtonSchulz { steps: HUGE, ..NewtonSchulz::default() };
    says(&ones(&[2, 2]).orthogonalise(&many), line!(), &["orthogonalise", "steps, more than 1000"]);
    let far = Resize::factor(1e12, Resample::Linear);
    says(&x.interpolate(&far), line!(), &["interpolate", "axis of 5", "5000000000000", "too large"]);
    says(&x.interpolate(&Resize::factor(f64::INFINITY, Resample::Linear)), line!(), &["interpolate", "not finite"]);
    says(&x.split([], 0)[0], line!(), &["split", "[1, 1, 5]", "into [] at axis 0"]);
    says(&x.expand([2, -7, 1, 5]), line!(), &["expand", "[2, -7, 1, 5]", "below -1"]);
}

#[test]
fn distributions_that_do_not_exist() {
    let (device, stream) = (strict(), Rng::seed(0).stream());
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    says(&stream.bernoulli(&device, 1.5, [2]), line!(), &["bernoulli", "1.5 is no probability"]);
    says(&stream.bernoulli(&device, nan, [2]), line!(), &["bernoulli", "NaN is no probability"]);
    says(&stream.uniform_in(&device, 1.0, 0.0, [2]), line!(), &["uniform_in", "from 1 to 0"]);
    says(&stream.uniform_in(&device, 0.0, inf, [2]), line!(), &["uniform_in", "from 0 to inf"]);
    says(&stream.normal_of(&device, 0.0, -1.0, [2]), line!(), &["normal_of", "standard deviation -1"]);
    says(&stream.exponential(&device, 0.0, [2]), line!(), &["exponential", "rate of 0"]);
    let backwards = stream.truncated_normal(&device, 0.0, 1.0, (2.0, 1.0), [2]);
    says(&backwards, line!() - 1, &["truncated_normal", "between 2 and 1"]);
    says(&stream.multinomial(&ones(&[2, 3]), 4, false), line!(), &["multinomial", "[2, 3]", "for 4 draws"]);
}

#[test]
fn no_memory_for_a_value() {
    let text = ones(&[1 << 50]).to_vec::<f32>().expect_err("an error").to_string();
    assert!(text.contains("no memory for 1125899906842624 elements of shape [1125899906842624]"), "{text}");
    assert!(text.contains("messages/sizes.rs"), "{text}");
}
