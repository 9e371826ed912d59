//! What a product multiplies is computed where it is read, if that is little work: the numbers are those of what is stored, and a launch
//! and a buffer are gone.

use thalweg_graph::{ConvConfig, DType, Device, Precision, Result, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

fn whole(device: &Device, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i * 37 % 11) as f32 - 5.0).collect();
    Tensor::from_slice(device, &values, shape)
}

/// A name, the launches of a step on a device that plans, and what is computed: of whole numbers, so that every order of the sums is exact.
type Case = (&'static str, usize, fn(&Device) -> Tensor);

const CASES: [Case; 11] = [
    ("integers with a scale for each row", 1, |d| {
        let q = whole(d, &[48, 40]).cast(DType::I32);
        q.eval().ok();
        ((q.cast(DType::F32) - 3.0) * whole(d, &[48, 1])).matmul(&whole(d, &[40, 100]))
    }),
    ("the right side too", 1, |d| whole(d, &[33, 40]).matmul(&((whole(d, &[40, 100]) - 1.0) * whole(d, &[40, 1])))),
    ("a triangle", 1, |d| whole(d, &[70, 70]).tril(0).matmul(&whole(d, &[70, 90]))),
    ("one of many", 1, |d| {
        let at = Tensor::from_slice(d, &(0..50).map(|i| i * 7 % 30).collect::<Vec<i32>>(), [50, 1]);
        Tensor::arange(d, 30).eq(&at).cast(DType::F32).matmul(&whole(d, &[30, 80]))
    }),
    ("transposed and cut behind it", 1, |d| {
        let x = (whole(d, &[40, 60]) * 2.0).transpose(0, 1).slice(0, 3..51);
        x.matmul(&whole(d, &[40, 70]))
    }),
    ("two of a few columns", 1, |d| {
        (whole(d, &[90, 50]) * whole(d, &[50, 90]).transpose(0, 1)).matmul(&whole(d, &[50, 8]))
    }),
    // Made of positions alone, but of hundreds of instructions.
    ("a table of cosines", 2, |d| {
        (Tensor::arange(d, 60).cast(DType::F32) * 0.0)
            .cos()
            .reshape([60, 1])
            .expand([60, 40])
            .matmul(&whole(d, &[40, 100]))
    }),
    // Both buffers would be read for every tile.
    ("two of many", 2, |d| (whole(d, &[90, 50]) * whole(d, &[50, 90]).transpose(0, 1)).matmul(&whole(d, &[50, 200]))),
    ("weights with a scale", 1, |d| {
        let w = whole(d, &[12, 4, 3, 3]) * whole(d, &[12, 1, 1, 1]);
        whole(d, &[2, 4, 9, 8]).conv2d(&w, &ConvConfig { padding: vec![1], ..ConvConfig::default() })
    }),
    // A pixel is in nine windows.
    ("pixels less their mean", 2, |d| {
        let x = whole(d, &[2, 4, 9, 8]) - whole(d, &[4, 1, 1]);
        x.conv2d(&whole(d, &[12, 4, 3, 3]), &ConvConfig { padding: vec![1], ..ConvConfig::default() })
    }),
    ("a number", 1, |d| (whole(d, &[1]) * 0.0 + 1.0).expand([20, 30]).matmul(&whole(d, &[30, 40]))),
];

#[test]
fn numbers_are_those_of_what_is_stored() -> Result<()> {
    let (strict, gpu) = (strict(), test_gpu!());
    for (name, launches, of) in CASES {
        let want = of(&strict).to_vec::<f32>()?;
        for device in [cpu(), gpu.clone()] {
            let device = device.with_precision(Precision::F32);
            let y = of(&device);
            let (done, profile) = device.profile(|| y.eval());
            done?;
            assert_eq!(profile.spans().len(), launches, "{device}: {name}");
            assert!(y.to_vec::<f32>()? == want, "{device}: {name}");
        }
    }
    Ok(())
}

/// Of every float dtype, with what mixed precision rounds.
#[test]
fn every_dtype_is_read_and_rounded() -> Result<()> {
    let (strict, gpu) = (strict(), test_gpu!());
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for precision in [Precision::F32, Precision::MixedF16] {
            let of = |d: &Device| -> Result<Vec<f32>> {
                let d = &d.with_precision(precision);
                let x = whole(d, &[36, 44]).cast(dtype) * whole(d, &[36, 1]).cast(dtype);
                // In a buffer, so that it is rounded wherever it is computed.
                let y = x.matmul(&whole(d, &[44, 72]).cast(dtype));
                y.eval()?;
                y.cast(DType::F32).to_vec()
            };
            let want = of(&strict)?;
            for device in [cpu(), gpu.clone()] {
                assert!(of(&device)? == want, "{device}: {dtype} {precision:?}");
            }
        }
    }
    Ok(())
}

/// Gradients flow through what is never stored.
#[test]
fn gradients_are_those_of_what_is_stored() -> Result<()> {
    let of = |d: &Device| -> Result<Vec<Vec<f32>>> {
        let (x, s, w) = (whole(d, &[21, 17]).track(), whole(d, &[21, 1]).track(), whole(d, &[17, 70]).track());
        let y = ((&x - 1.0) * &s).matmul(&(&w * 2.0));
        let grads = (y * whole(d, &[21, 70])).sum(..).backward()?;
        [&x, &s, &w].map(|t| grads.get(t).expect("tracked").to_vec()).into_iter().collect()
    };
    let want = of(&strict())?;
    for device in [cpu(), test_gpu!()] {
        assert_eq!(of(&device)?, want, "{device}");
    }
    Ok(())
}
