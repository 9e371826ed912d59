//! A GPU that could do much less: small bindings, so that tensors are bound in windows, few workgroups along an axis, so that
//! grids are folded, small workgroups.

use std::sync::{Arc, OnceLock};

use thalweg_gpu::{GpuBackend, Limits, Selector};
use thalweg_graph::{DType, Device, Tensor};
use thalweg_tests::{Seed, assert_agree, cases, test_gpu};

fn limited() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let selector = Selector::Name(test_gpu!().properties().name.clone());
        let limits = Limits { binding: Some(2048), grid: Some(3), workgroup: Some(64), ..Limits::default() };
        Device::new(Arc::new(GpuBackend::open_limited(&selector, limits).unwrap()))
    };
    DEVICE.get_or_init(open).clone()
}

/// Workgroups of a size that is no power of two: trees halve what is left, and must not lose a third.
#[test]
fn trees_in_odd_workgroups() {
    for workgroup in [96, 48, 7] {
        let selector = Selector::Name(test_gpu!().properties().name.clone());
        let limits = Limits { workgroup: Some(workgroup), ..Limits::default() };
        let device = Device::new(Arc::new(GpuBackend::open_limited(&selector, limits).unwrap()));
        let mut all = cases::reduce(&[&[3, 700], &[2, 3, 4], &[513, 3], &[1, 20_011]]);
        all.extend(cases::norm(&[&[12, 64], &[5, 4099]]));
        all.extend(cases::matmul(&[(&[40, 33], &[33, 35]), (&[3, 1000], &[1000, 2])]));
        all.push(cases::strided(37, 101));
        all.iter().for_each(|case| assert_agree(&device, case, Seed::of(&case.name)));
    }
}

/// A device that does not come to an end is an error that says so, at once and from then on, and no program that hangs.
#[test]
fn a_device_that_takes_too_long_is_lost() {
    let selector = Selector::Name(test_gpu!().properties().name.clone());
    let limits = Limits { wait: Some(1), ..Limits::default() };
    let device = Device::new(Arc::new(GpuBackend::open_limited(&selector, limits).unwrap()));
    let x = Tensor::from_slice(&device, &vec![0.5f32; 1 << 20], [1024, 1024]);
    let error = x.matmul(&x).matmul(&x).to_vec::<f32>().unwrap_err().to_string();
    assert!(error.contains("the device was lost (it has not finished in 1ms); open it again"), "{error}");
    let error = Tensor::ones(&device, [3]).exp().to_vec::<f32>().unwrap_err().to_string();
    assert!(error.contains("the device was lost"), "{error}");
}

fn agree(cases: Vec<cases::Case>) {
    cases.iter().for_each(|case| assert_agree(&limited(), case, Seed::of(&case.name)));
}

#[test]
fn maps_and_reductions() {
    agree(cases::unary(&[&[3, 257]]));
    agree(cases::binary(&[(&[2, 1, 65], &[3, 1]), (&[1500], &[1500])]));
    agree(cases::reduce(&[&[2, 3, 4], &[3, 700], &[513, 3]]));
    agree(cases::norm(&[&[12, 64]]));
}

#[test]
fn contractions() {
    agree(cases::matmul(&[(&[7, 13], &[13, 5]), (&[40, 33], &[33, 35]), (&[3, 1000], &[1000, 2])]));
    agree(cases::conv());
    agree(cases::pool());
}

#[test]
fn indices_and_order() {
    agree(cases::index());
    agree(cases::scatter());
    agree(cases::movement());
    agree(cases::order(5));
}

#[test]
fn halves_in_windows() {
    for dtype in [DType::F16, DType::BF16] {
        let values: Vec<f32> = (0..5000).map(|i| (i % 97) as f32 - 48.0).collect();
        let x = Tensor::from_slice(&limited(), &values, [5000]).cast(dtype);
        x.eval().unwrap();
        let y = (&x * 2.0).flip(0);
        let want: Vec<f32> = values.iter().rev().map(|v| v * 2.0).collect();
        assert_eq!(y.to_vec::<f32>().unwrap(), want);
        assert_eq!(
            x.narrow(0, 1, 4998).cast(DType::F32).sum(..).item().unwrap(),
            f64::from(values[1..4999].iter().sum::<f32>())
        );
    }
}

#[test]
fn a_kernel_of_too_many_pieces_says_so() {
    let x = Tensor::from_slice(&limited(), &vec![1.0f32; 40_000], [40_000]);
    let text = (&x + &x.flip(0)).to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("bindings of at most 2048 bytes") && text.contains("40000 elements"), "{text}");
}

#[test]
fn a_tensor_larger_than_the_largest_binding() {
    // 160 MiB; software Vulkan binds 128 at once. Elsewhere it is one of many sizes.
    let device = test_gpu!();
    let n = 40 << 20;
    let x = Tensor::arange(&device, n).cast(DType::I32);
    x.eval().unwrap();
    let y = (&x * 3 + 1).flip(0);
    assert_eq!(y.narrow(0, 5, 3).to_vec::<i32>().unwrap(), [5, 6, 7].map(|i| 3 * (n as i32 - 1 - i) + 1));
    y.eval().unwrap();
    for i in [0usize, (32 << 20) - 1, 32 << 20, n - 1] {
        assert_eq!(y.narrow(0, i, 1).to_vec::<i32>().unwrap(), [3 * (n - 1 - i) as i32 + 1], "element {i}");
    }
    assert_eq!(y.amax(..).item().unwrap(), 3.0 * (n as f64 - 1.0) + 1.0);
}

/// The kernels that are for hardware.
fn as_hardware() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let selector = Selector::Name(test_gpu!().properties().name.clone());
        let limits = Limits { hardware: true, ..Limits::default() };
        Device::new(Arc::new(GpuBackend::open_limited(&selector, limits).unwrap()))
    };
    DEVICE.get_or_init(open).clone()
}

/// Products of every tile: 32, 64 and 128 rows and columns, ragged and not, with k in one part and in several.
#[test]
fn products_as_on_hardware() {
    let sizes: [(&[usize], &[usize]); 5] = [
        (&[63, 50], &[50, 37]),
        (&[2, 40, 1024], &[2, 1024, 36]),
        (&[1024, 20], &[20, 780]),
        (&[770, 33], &[33, 1021]),
        (&[1600, 16], &[16, 1999]),
    ];
    cases::matmul(&sizes).iter().chain(&cases::conv()).for_each(|case| {
        assert_agree(&as_hardware(), case, Seed::of(&case.name));
    });
}

#[test]
fn loops_as_on_hardware() {
    let mut all = cases::reduce(&[&[3, 700], &[513, 3], &[300, 130]]);
    all.extend(cases::norm(&[&[12, 64], &[5, 4099]]));
    all.extend(cases::scatter());
    all.iter().for_each(|case| assert_agree(&as_hardware(), case, Seed::of(&case.name)));
}
