//! A number that is the same everywhere has no memory. As an operand of a product it is given some, which is nobody else's.

use thalweg::{graph::module::Layout, optim::Step as RuleStep, prelude::*};

use super::{Net, assert_same, assert_values, changed, devices, rows, sgd, snapshot};

fn full(like: &Tensor, value: f64, shape: &[usize]) -> Tensor {
    Tensor::full(like.device(), value, shape, like.dtype())
}

/// Of `x = [[1, 2], [3, 4]]`.
type Product = (&'static str, fn(&Tensor) -> Tensor, &'static [f64]);

const PRODUCTS: &[Product] = &[
    ("x · c", |x| x.matmul(&full(x, 3.0, &[2, 1])), &[9.0, 21.0]),
    ("c · x", |x| full(x, 3.0, &[1, 2]).matmul(x), &[12.0, 18.0]),
    ("x · 2c - 1", |x| x.matmul(&(full(x, 3.0, &[2, 1]) * 2.0 - 1.0)), &[15.0, 35.0]),
    ("x · c + x · d", |x| x.matmul(&full(x, 3.0, &[2, 1])) + x.matmul(&full(x, 5.0, &[2, 1])), &[24.0, 56.0]),
    ("x · c · d", |x| x.matmul(&full(x, 3.0, &[2, 2])).matmul(&full(x, 0.5, &[2, 1])), &[9.0, 21.0]),
    ("c · d", |x| full(x, 0.5, &[1, 2]).matmul(&full(x, 3.0, &[2, 1])), &[3.0]),
    ("batched", |x| x.reshape([1, 2, 2]).matmul(&full(x, 0.5, &[1, 2, 2])), &[1.5, 1.5, 3.5, 3.5]),
    ("einsum", |x| x.einsum("ij,jk->ki", &[&full(x, 3.0, &[2, 1])]), &[9.0, 21.0]),
    ("dot", |x| x.reshape([4]).dot(&full(x, 0.25, &[4])), &[2.5]),
    ("filter", |x| conv(&x.reshape([1, 1, 2, 2]), &full(x, 0.25, &[1, 1, 2, 2])), &[2.5]),
    ("image", |x| conv(&full(x, 3.0, &[1, 1, 2, 2]), &x.reshape([1, 1, 2, 2])), &[30.0]),
    ("attention", |x| attend(x, &full(x, 0.7, &[1, 2, 2]), &full(x, 3.0, &[1, 2, 2])), &[3.0, 3.0, 3.0, 3.0]),
    ("x · iota", |x| x.matmul(&Tensor::arange(x.device(), 2).cast(x.dtype()).reshape([2, 1])), &[2.0, 4.0]),
    ("x · 1", |x| x.matmul(&full(x, 1.0, &[2, 1])), &[3.0, 7.0]),
    ("x · -0", |x| x.matmul(&full(x, -0.0, &[2, 1])), &[0.0, 0.0]),
];

fn conv(image: &Tensor, kernel: &Tensor) -> Tensor {
    image.conv2d(kernel, &ConvConfig::default())
}

fn attend(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    scaled_dot_product_attention(&q.reshape([1, 2, 2]), k, v, &Attention::default())
}

#[test]
fn a_product_with_a_constant_reads_data_and_leaves_it() -> Result<()> {
    for device in devices() {
        for (device, dtypes) in
            [(device.clone(), vec![DType::F32, DType::F16, DType::BF16]), (device.op_by_op(), vec![DType::F32])]
        {
            for dtype in dtypes {
                for (name, product, want) in PRODUCTS {
                    let data = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2]).cast(dtype);
                    data.eval()?;
                    let got = product(&data).to_vec::<f64>()?;
                    let far = got.iter().zip(*want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
                    assert!(
                        got.len() == want.len() && far < 1e-2,
                        "{name} of {dtype} on {device}: {got:?}, not {want:?}"
                    );
                    assert_values(&data, &[1.0, 2.0, 3.0, 4.0]);
                }
            }
        }
    }
    Ok(())
}

/// The slope of a mean is a constant, and the gradient of the layer before it a product with it.
#[test]
fn the_slope_of_a_mean_leaves_data_and_frozen_parameters() -> Result<()> {
    for device in devices() {
        let [x, y] = [[1.0f32, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 9.0]].map(|v| Tensor::from_slice(&device, &v, [2, 2]));
        let head = Linear::new(2, 1).bias(false).init(&device, &mut Rng::seed(0))?;
        let weight = head.weight.tensor().copy()?;
        let grads = head.forward(&x).mean(..).backward()?;
        assert_values(grads.get(&head.weight).expect("a gradient"), &[2.0, 3.0]);
        let critic = (head.forward(&x).mean(..) - head.forward(&y).mean(..)).backward()?;
        assert_values(critic.get(&head.weight).expect("a gradient"), &[-3.0, -4.0]);
        let of_x = head.forward(&x.track()).mean(..);
        assert_same(&of_x, &head.forward(&x).mean(..), "a tracked input");
        let verdict = verify(&head, |head| head.forward(&x).mean(..))?;
        assert!(verdict.disagreement.is_none(), "{device}: {verdict}");
        assert_values(&x, &[1.0, 2.0, 3.0, 4.0]);
        assert_values(&y, &[5.0, 5.0, 5.0, 9.0]);
        assert_same(&head.weight.tensor(), &weight, "the head");

        let net = Net::new(&device)?;
        net.body.freeze(true);
        let before = snapshot(&[&net.body])?;
        let (opt, x) = (sgd(0.1).init(&net)?, rows(&device, 1));
        let copy = x.copy()?;
        for _ in 0..2 {
            opt.step(&net.forward(&x).mean(..))?;
        }
        assert_eq!(changed(&before, &snapshot(&[&net.body])?), [""; 0], "{device}");
        assert_same(&x, &copy, "the batch");
    }
    Ok(())
}

#[test]
fn also_in_a_compiled_function() -> Result<()> {
    for device in devices() {
        let mut product = compile(|[x]: [Tensor; 1]| Ok([x.matmul(&full(&x, 3.0, &[2, 1])), &x + 1.0]));
        for first in [1.0f32, 5.0] {
            let x = Tensor::from_slice(&device, &[first, 2.0, 3.0, 4.0], [2, 2]);
            let [y, z] = product.call([&x])?;
            assert_values(&y, &[3.0 * f64::from(first) + 6.0, 21.0]);
            assert_values(&z, &[f64::from(first) + 1.0, 3.0, 4.0, 5.0]);
            assert_values(&x, &[f64::from(first), 2.0, 3.0, 4.0]);
        }
    }
    Ok(())
}

/// A rule that mixes rows by a constant matrix.
#[derive(Debug)]
struct Mix;

impl Rule for Mix {
    fn lr(&self) -> f64 {
        0.0
    }
    fn update(&self, s: &mut RuleStep) -> Tensor {
        let layout: &Layout = s.layout();
        let mixed = layout.part(s.params(), 0).matmul(&full(s.params(), 0.5, &[2, 2]));
        layout.join(vec![mixed, layout.part(s.params(), 1)], DType::F32)
    }
}

#[test]
fn also_in_an_update_rule() -> Result<()> {
    for device in devices() {
        let mixed = Param::new(Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2]))?;
        let net = (mixed, super::param(&device, &[6.0, 7.0])?);
        let opt = Mix.init(&net)?;
        super::down(&opt, &[&net.0, &net.1])?;
        assert_values(&net.0.tensor(), &[1.5, 1.5, 3.5, 3.5]);
        assert_values(&net.1.tensor(), &[6.0, 7.0]);
    }
    Ok(())
}
