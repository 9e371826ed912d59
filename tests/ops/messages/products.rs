//! Contractions, windows and reductions that do not fit.

use thalweg_graph::{ConvConfig, DType, Pool};

use super::{ones, says};

#[test]
fn matrix_products() {
    let (x, scalar) = (ones(&[2, 3]), ones(&[]));
    says(&x.matmul(&scalar), line!(), &["matmul", "[2, 3]", "[]", "a scalar has no axis to sum over"]);
    says(&ones(&[2, 1, 3]).matmul(&ones(&[4, 3, 1])), line!(), &["matmul", "[2, 1, 3]", "batch axes do not broadcast"]);
    let ids = x.cast(DType::I32);
    says(&ids.matmul(&ids.t()), line!(), &["matmul", "i32", "cast to a float first"]);
}

#[test]
fn convolutions() {
    let (x, w, plain) = (ones(&[1, 4, 5]), ones(&[2, 2, 3]), ConvConfig::default());
    says(&x.conv(&w, &plain), line!(), &["conv", "[1, 4, 5]", "[2, 2, 3]", "4 channels in 1 groups"]);
    says(&x.conv(&w, &ConvConfig { groups: 0, ..plain.clone() }), line!(), &["conv", "4 channels in 0 groups"]);
    says(&x.conv(&ones(&[2, 4, 3, 3]), &plain), line!(), &["conv", "[2, 4, 3, 3]", "equally many spatial ones"]);
    let flat = x.conv2d(&w, &plain);
    says(&flat, line!() - 1, &["conv2d", "[1, 4, 5]", "is not [batch, channels, height, width]"]);
    let ids = x.cast(DType::I32);
    says(&ids.conv(&ids, &plain), line!(), &["conv", "i32", "is not convolved"]);
    says(&x.conv_transpose(&w, &plain, &[0]), line!(), &["conv_transpose", "[2, 2, 3]", "4 channels in 1 groups"]);
    says(&x.conv_transpose(&ones(&[4]), &plain, &[0]), line!(), &["conv_transpose", "[4]", "do not convolve"]);
}

#[test]
fn windows() {
    let (x, plain) = (ones(&[2, 3, 4]), ConvConfig::default());
    says(&x.max_pool(&Pool::new(&[1, 1, 1, 1])), line!(), &["max_pool", "[2, 3, 4]", "fewer than the 4 axes"]);
    says(&x.avg_pool(&Pool::new(&[])), line!(), &["avg_pool", "[2, 3, 4]", "fewer than the 0 axes"]);
    says(&x.max_pool(&Pool::new(&[5])), line!(), &["max_pool", "[2, 3, 4]", "smaller than the window [5]"]);
    let padded = Pool { padding: vec![2], ..Pool::new(&[3]) };
    says(&x.avg_pool(&padded), line!(), &["avg_pool", "padding 2 is more than half of the window 3 at axis 0"]);
    says(&x.max_pool2d(0), line!(), &["max_pool", "kernel [0, 0] has a 0"]);
    says(&x.unfold(&[2], &ConvConfig { groups: 2, ..plain.clone() }), line!(), &["unfold", "windows have no groups"]);
    says(&ones(&[4]).unfold(&[2], &plain), line!(), &["unfold", "[4]", "has not a channel axis and 1 more"]);
    says(&ones(&[4]).fold(&[2], &[2], &plain), line!(), &["fold", "[4]", "has not two axes"]);
    says(&x.sliding_windows(3, 1, 1), line!(), &["sliding_windows", "axis 3"]);
    says(&x.sliding_windows(2, 1, 0), line!(), &["sliding_windows", "windows of 1 elements, 0 apart, at axis 2"]);
}

#[test]
fn reductions() {
    let (none, truth) = (ones(&[2, 0]), ones(&[2]).gt(0.0));
    says(&none.amax(1), line!(), &["amax", "[2, 0]", "no elements to choose from"]);
    says(&none.argmin(1), line!(), &["argmin", "[2, 0]", "no elements to choose from"]);
    says(&none.softmax(1), line!(), &["amax", "[2, 0]", "no elements to choose from"]);
    says(&truth.amin(0), line!(), &["amin", "bool", "has no order"]);
    says(&truth.lt(&truth), line!(), &["lt", "bool", "is not what this is for"]);
    says(&truth.cast(DType::I32).trigamma(), line!(), &["trigamma", "i32", "is not what this is for"]);
    says(&ones(&[2]).var(1, 1), line!(), &["mean", "axis 1", "[2]"]);
}
