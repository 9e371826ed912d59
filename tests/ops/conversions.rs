//! Tensors from what a program has, and back.

use ndarray::{Array2, ArrayView3, Axis, s};
use thalweg::{
    data::{Image, Normalise},
    prelude::Tensor,
};
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn arrays_in_one_another_are_tensors_and_back() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::from_nested(&device, [[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!(x.shape(), [2, 3]);
        assert_eq!(x.t().to_nested::<[[f32; 2]; 3]>().unwrap(), [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        let lists = vec![vec![[1i32, 2]; 3]; 2];
        let y = Tensor::from_nested(&device, lists.clone());
        assert_eq!((y.shape(), y.to_nested::<Vec<Vec<[i32; 2]>>>().unwrap()), (&[2, 3, 2][..], lists));
        // Slices, a number, nothing.
        let (row, rows): (&[bool], [&[bool]; 2]) = (&[true, false], [&[true], &[false]]);
        assert_eq!(Tensor::from_nested(&device, row).to_nested::<Vec<bool>>().unwrap(), row);
        assert_eq!(Tensor::from_nested(&device, rows).shape(), [2, 1]);
        assert_eq!(Tensor::from_nested(&device, 7.0f32).to_nested::<f32>().unwrap(), 7.0);
        assert_eq!(Tensor::from_nested(&device, Vec::<Vec<f32>>::new()).shape(), [0, 0]);
        assert_eq!(Tensor::from_nested(&device, [[0.0f32; 0]; 3]).shape(), [3, 0]);
        let error = Tensor::from_nested(&device, vec![vec![1.0f32, 2.0], vec![3.0]]).check().unwrap_err().to_string();
        assert!(
            error.contains("from_nested: rows of different lengths where the first have the shape [2, 2]"),
            "{error}"
        );
        assert!(error.contains("conversions.rs"), "{error}");
        for error in [x.to_nested::<Vec<f32>>().err(), x.to_nested::<[f32; 6]>().err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("[2, 3] is not that of") && error.contains("conversions.rs"), "{error}");
        }
        assert!(x.to_nested::<[[f32; 2]; 2]>().is_err() && x.to_nested::<[[i32; 3]; 2]>().is_err());
    }
}

#[test]
fn views_of_ndarray_are_tensors_and_back() {
    let device = cpu();
    let array = Array2::from_shape_fn((4, 6), |(i, j)| (6 * i + j) as f32);
    let x = Tensor::from_ndarray(&device, &array);
    assert_eq!(x.to_ndarray::<f32>().unwrap(), array.clone().into_dyn());
    // What does not lie in order.
    for view in [array.t(), array.slice(s![1..;2, ..;-1]), array.slice(s![.., 2..2])] {
        let x = Tensor::from_ndarray(&device, &view);
        assert_eq!(x.shape(), view.shape());
        assert_eq!(x.to_vec::<f32>().unwrap(), view.iter().copied().collect::<Vec<_>>());
    }
    let cube = ArrayView3::from_shape((1, 2, 2), &[1i32, 2, 3, 4]).unwrap();
    let back = Tensor::from_ndarray(&device, &cube.index_axis(Axis(0), 0)).to_ndarray::<i32>().unwrap();
    assert_eq!(back.into_dimensionality::<ndarray::Ix2>().unwrap(), ndarray::array![[1, 2], [3, 4]]);
    assert!(x.to_ndarray::<i32>().is_err());
}

#[test]
fn images_go_to_a_device_and_back_through_a_file() {
    let device = test_gpu!();
    let pixels: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 37 % 256) as u8).collect();
    let image = Image::new(pixels, [5, 7, 3]).unwrap();
    let path = std::env::temp_dir().join(format!("thalweg-image-{}.png", std::process::id()));
    let how = Normalise::imagenet();
    let mirrored = image.to(&device, &how).flip(-1).flip(-1);
    Image::from_tensor(&mirrored, &how).unwrap().write_png(&path).unwrap();
    assert_eq!(Image::read_png(&path).unwrap(), image);
    std::fs::remove_file(path).unwrap();
}
