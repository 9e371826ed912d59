//! Positions, conditions and dtypes that do not fit.

use thalweg_graph::{DType, Tensor};
use thalweg_tests::{cpu, strict};

use super::{ones, refuses, says};

fn ids(values: &[i32]) -> Tensor {
    Tensor::from_slice(&strict(), values, [values.len()])
}

#[test]
fn of_indices() {
    let (x, at) = (ones(&[2, 3]), ids(&[0, 1]));
    says(&x.gather(0, &at), line!(), &["gather", "[2, 3]", "[2]", "longer at axis 0 only"]);
    says(&x.gather(2, &at), line!(), &["gather", "axis 2", "[2, 3]"]);
    says(&x.scatter_add(0, &at, &at), line!(), &["scatter_add", "[2, 3]", "[2]", "with values of shape [2]"]);
    let pairs = at.unsqueeze(0);
    says(&ones(&[0, 3]).scatter_add(0, &pairs, &x), line!(), &["scatter_add", "[1, 2]", "an axis that has none"]);
    says(&x.index_select(0, &pairs), line!(), &["index_select", "[1, 2]", "no vector of positions"]);
    says(&at.embedding(&at), line!(), &["embedding", "[2]", "no table of rows"]);
    says(&x.index_at(&[&at, &ids(&[0, 0, 0])]), line!(), &["index_at", "[2]", "[3]", "do not broadcast"]);
    says(&x.index_put(&[&at], &ones(&[5]), true), line!(), &["broadcast_to", "[5]", "[2, 3]"]);
    says(&x.take(&x), line!(), &["index_at", "f32", "use i32"]);
    refuses(x.unique_along(2), line!(), &["unique", "axis 2", "[2, 3]"]);
    refuses(at.bincount(Some(&x), 0), line!(), &["bincount", "[2]", "[2, 3]", "one weight for each element"]);
    refuses(at.gt(0).unsqueeze(0).bincount(None, 0), line!(), &["bincount", "[1, 2]", "no vector of bins"]);
}

#[test]
fn of_conditions_and_dtypes() {
    let x = ones(&[2, 3]);
    let holds = x.gt(0.0);
    says(&holds.where_(ones(&[4]), 0.0), line!(), &["where", "[2, 3]", "[4]", "do not broadcast"]);
    says(&holds.where_(ones(&[4]), ones(&[5])), line!(), &["where", "[4]", "[5]", "do not broadcast"]);
    says(&x.and(&x), line!(), &["and", "f32", "is not what this is for"]);
    let wide = Tensor::from_slice(&strict(), &[1i64 << 40], [1]);
    says(&wide, line!() - 1, &["from_slice", "an integer does not fit 32 bits"]);
    let fast = Tensor::ones(&cpu(), [2]);
    says(&fast.cast(DType::F64), line!(), &["cast", "f64", "does not exist on"]);
    says(&Tensor::full(&cpu(), 1.0, [2], DType::F64), line!(), &["scalar", "f64", "does not exist on"]);
    says(&fast.cast(DType::I32).track(), line!(), &["track", "i32", "only floats can be tracked"]);
}

#[test]
fn numbers_beyond_32_bits_compare_as_they_are() {
    let x = ids(&[-7, 0, 7]);
    assert_eq!(x.lt(3e9).to_vec::<bool>().unwrap(), [true; 3]);
    assert_eq!(x.gt(-1e300).to_vec::<bool>().unwrap(), [true; 3]);
    assert_eq!(x.eq(4_294_967_296.0).to_vec::<bool>().unwrap(), [false; 3]);
    let square = ones(&[2, 2]);
    assert_eq!(square.tril(isize::MAX).to_vec::<f32>().unwrap(), [1.0; 4]);
    assert_eq!(square.tril(isize::MIN).to_vec::<f32>().unwrap(), [0.0; 4]);
    assert_eq!(square.triu(isize::MIN).to_vec::<f32>().unwrap(), [1.0; 4]);
}
