//! Views of what is not there.

use thalweg_graph::Tensor;

use super::{ones, says};

#[test]
fn axes() {
    let x = ones(&[2, 3]);
    says(&x.squeeze(0), line!(), &["squeeze", "[2, 3]", "has not extent 1 at axis 0"]);
    says(&x.squeeze(isize::MIN), line!(), &["squeeze", "axis -9223372036854775808 is not one of", "2 axes"]);
    says(&x.unsqueeze(4), line!(), &["unsqueeze", "axis 4", "[2, 3, 1]"]);
    says(&x.permute([0, 2]), line!(), &["permute", "axis 2", "[2, 3]"]);
    says(&x.permute([1]), line!(), &["permute", "[1] does not name each of 2 axes once"]);
    says(&x.permute([1, 1]), line!(), &["permute", "[1, 1] does not name each of 2 axes once"]);
    says(&x.transpose(0, 2), line!(), &["transpose", "axis 2", "[2, 3]"]);
    says(&x.movedim(&[0], &[5]), line!(), &["movedim", "axis 5", "[2, 3]"]);
    says(&x.flip(-3), line!(), &["flip", "axis -3", "[2, 3]"]);
    says(&x.sum([0, 0]), line!(), &["sum", "an axis is named twice in [0, 0]"]);
    says(&x.flip([1, -1]), line!(), &["flip", "an axis is named twice in [1, -1]"]);
    says(&x.rot90(1, 0, 2), line!(), &["rot90", "axis 2", "[2, 3]"]);
    says(&x.diagonal(0, 0, 2), line!(), &["diagonal", "axis 2", "[2, 3]"]);
    says(&x.unflatten(2, [1]), line!(), &["unflatten", "axis 2", "[2, 3]"]);
    says(&x.diff(1, 2), line!(), &["diff", "axis 2", "[2, 3]"]);
    says(&x.glu(1), line!(), &["glu", "[2, 3]", "no halves at axis 1"]);
    says(&x.swiglu(1), line!(), &["swiglu", "[2, 3]", "no halves at axis 1"]);
}

#[test]
fn ranges_and_pieces() {
    let x = ones(&[2, 3]);
    says(&x.slice(2, ..), line!(), &["slice", "axis 2", "[2, 3]"]);
    says(&x.slice_step(1, .., 0), line!(), &["slice", "a step of 0 goes nowhere"]);
    says(&x.narrow(1, usize::MAX, 2), line!(), &["narrow", "axis 1 of extent 3"]);
    says(&x.select(0, isize::MIN), line!(), &["select", "index -9223372036854775808", "axis 0 of extent 2"]);
    says(&x.pad(&[(0, 0); 3], 0.0), line!(), &["pad", "[2, 3]", "fewer axes than the 3 pairs"]);
    says(&x.pad(&[(-2, -2)], 0.0), line!(), &["pad", "[2, 3]", "cannot lose 2 and 2 elements at axis 1"]);
    says(&x.pad(&[(isize::MIN, isize::MIN)], 0.0), line!(), &["pad", "[2, 3]", "cannot lose 9223372036854775808"]);
    says(&x.split([1, 3], 1)[1], line!(), &["split", "[2, 3]", "[1, 3] at axis 1"]);
    says(&x.split([usize::MAX, 4], 1)[0], line!(), &["split", "[2, 3]", "4] at axis 1"]);
    says(&x.split([1], 2)[0], line!(), &["split", "axis 2"]);
    says(&x.repeat([2]), line!(), &["repeat", "[2, 3]", "more axes than the 1 counts"]);
    says(&x.broadcast_to([3]), line!(), &["broadcast_to", "[2, 3]", "[3]", "cannot be broadcast"]);
    says(&x.reshape([-1, -1]), line!(), &["reshape", "[2, 3]", "[-1, -1]"]);
    says(&x.reshape([-1, 0]), line!(), &["reshape", "[2, 3]", "[-1, 0]"]);
    says(&x.reshape([-2, -3]), line!(), &["reshape", "[2, 3]", "[-2, -3]"]);
    says(&Tensor::meshgrid(&[x.sum(0), x])[0], line!(), &["meshgrid", "[2, 3]", "is no vector"]);
}
