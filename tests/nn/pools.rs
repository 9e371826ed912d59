//! Pooling as layers.

use thalweg::{
    nn::{
        AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d,
        LpPool1d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool2d,
    },
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

use super::{close, wave};

#[test]
fn pools_are_the_methods_with_their_settings() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = wave(&device, &[2, 3, 7, 6]);
        let pool = Pool { stride: vec![2, 1], padding: vec![1, 0], ceil_mode: true, ..Pool::new(&[3, 2]) };
        let max = MaxPool2d::new([3, 2]).stride([2, 1]).padding([1, 0]).ceil_mode(true);
        close(&max.forward(&x).to_vec::<f64>()?, &x.max_pool(&pool).to_vec::<f64>()?, 0.0);
        let uncounted = Pool { count_include_pad: false, ..pool.clone() };
        let avg = AvgPool2d::new([3, 2]).stride([2, 1]).padding([1, 0]).ceil_mode(true).count_include_pad(false);
        close(&avg.forward(&x).to_vec::<f64>()?, &x.avg_pool(&uncounted).to_vec::<f64>()?, 0.0);
        let single = max.forward(&x.select(0, 1));
        close(&single.to_vec::<f64>()?, &max.forward(&x).select(0, 1).to_vec::<f64>()?, 0.0);
        assert_eq!(MaxPool2d::new(2).dilation(2).stride(1).forward(&x).shape(), [2, 3, 5, 4]);
        assert_eq!(AvgPool2d::new(2).divisor(3).forward(&x.ones_like()).to_vec::<f64>()?[0], f64::from(4.0f32 / 3.0));
        assert_eq!(AdaptiveAvgPool2d::new([None, Some(4)]).forward(&x).shape(), [2, 3, 7, 4]);
        let (values, places) = AdaptiveMaxPool2d::new(1).forward_with_indices(&x);
        let flat = x.flatten(2..).gather(2, &places.flatten(2..));
        close(&values.to_vec::<f64>()?, &flat.to_vec::<f64>()?, 0.0);
    }
    Ok(())
}

#[test]
fn pools_of_every_rank() -> Result<()> {
    let device = cpu();
    let series = Tensor::from_slice(&device, &[1.0f32, 5.0, 2.0, 8.0, 3.0, 4.0], [1, 1, 6]);
    let values = |y: Tensor| y.to_vec::<f64>();
    assert_eq!(values(MaxPool1d::new(2).forward(&series))?, [5.0, 8.0, 4.0]);
    assert_eq!(values(AvgPool1d::new(3).forward(&series))?, [8.0 / 3.0, 5.0].map(|v| f64::from(v as f32)));
    close(&values(LpPool1d::new(2.0, 2).forward(&series))?, &[26f64.sqrt(), 68f64.sqrt(), 5.0], 1e-6);
    assert_eq!(values(AdaptiveAvgPool1d::new(4).forward(&series))?, [3.0, 3.5, 5.5, 3.5]);
    let volume = wave(&device, &[1, 2, 4, 4, 4]);
    assert_eq!(MaxPool3d::new([2, 1, 4]).forward(&volume).shape(), [1, 2, 2, 4, 1]);
    assert_eq!(AvgPool3d::new(2).stride(1).forward(&volume).shape(), [1, 2, 3, 3, 3]);
    assert_eq!(AdaptiveMaxPool3d::new(3).forward(&volume.squeeze(0)).shape(), [2, 3, 3, 3]);
    Ok(())
}

/// Maxima go back to where they were found; the rest is 0.
#[test]
fn unpooling_puts_maxima_back() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = wave(&device, &[2, 3, 5, 7]);
        let (y, places) = MaxPool2d::new(2).forward_with_indices(&x);
        let back = MaxUnpool2d::new(2);
        assert_eq!(back.forward(&y, &places).shape(), [2, 3, 4, 6]);
        let whole = back.forward_to(&y, &places, [5, 7]);
        assert_eq!(whole.shape(), x.shape());
        let kept = whole.ne(0.0).where_(&x, 0.0);
        close(&whole.to_vec::<f64>()?, &kept.to_vec::<f64>()?, 0.0);
        close(&MaxPool2d::new(2).forward(&whole).to_vec::<f64>()?, &y.clamp_min(0).to_vec::<f64>()?, 0.0);
    }
    Ok(())
}
