//! Integers at the ends of their range, on every device.

use thalweg_graph::{Combine, DType, Device, Pool, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

fn devices() -> [Device; 5] {
    [strict(), cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()]
}

/// What lies outside is below every integer, the negative ones too.
#[test]
fn extremes_with_something_outside() {
    for device in devices() {
        let x = Tensor::from_slice(&device, &[-5, -6, -7, -8], [1, 1, 4]);
        let pool = Pool { kernel: vec![3], stride: vec![1], padding: vec![1], ..Pool::new(&[3]) };
        let ints = |t: Tensor| {
            assert_eq!(t.dtype(), DType::I32);
            t.to_vec::<i32>().unwrap()
        };
        assert_eq!(ints(x.max_pool(&pool)), [-5, -5, -6, -7], "on {device}");
        let (values, at) = x.max_pool_with_indices(&pool);
        assert_eq!((ints(values), ints(at)), (vec![-5, -5, -6, -7], vec![0, 0, 1, 2]), "on {device}");
        assert_eq!(ints(x.adaptive_max_pool(&[3])), [-5, -6, -7], "on {device}");
        let hanging = Pool { ceil_mode: true, ..Pool::new(&[3]) };
        assert_eq!(ints(x.max_pool(&hanging)), [-5, -8], "on {device}");
        assert_eq!(ints(x.cummax(2).0), [-5; 4], "on {device}");
        let index = Tensor::from_slice(&device, &[0, 0, 2], [3]);
        let src = Tensor::from_slice(&device, &[-9, -4, -6], [3]);
        let start = Tensor::from_slice(&device, &[-100, -101, -102], [3]);
        for (combine, want) in [(Combine::Max, [-4, -101, -6]), (Combine::Min, [-9, -101, -6])] {
            assert_eq!(ints(start.scatter_reduce(0, &index, &src, combine, false)), want, "{combine:?} on {device}");
        }
    }
}

/// Long ones are taken in chunks; a prime has no chunk that divides it.
#[test]
fn extremes_of_many() {
    let n = 262_147;
    for device in devices() {
        let x = Tensor::arange(&device, n) - (n as f64 + 5.0);
        let (low, high) = (-(n as f64) - 5.0, -6.0);
        assert_eq!((x.amax(0).item().unwrap(), x.amin(0).item().unwrap()), (high, low), "on {device}");
        assert_eq!((x.argmax(0).item().unwrap(), x.argmin(0).item().unwrap()), (n as f64 - 1.0, 0.0), "on {device}");
        let y = &x * -1.0;
        assert_eq!((y.amax(0).item().unwrap(), y.amin(0).item().unwrap()), (-low, -high), "on {device}");
        let u = y.cast(DType::U32) + 3_000_000_000.0;
        assert_eq!((u.amax(0).item().unwrap(), u.amin(0).item().unwrap()), (3e9 - low, 3e9 - high), "on {device}");
    }
}

/// Two's complement wraps: nothing panics, and all devices agree.
#[test]
fn the_smallest_integer() {
    let (low, high) = (i32::MIN, i32::MAX);
    for device in devices() {
        let ints = |v: &[i32]| Tensor::from_slice(&device, v, [v.len()]);
        let a = ints(&[low, low, low, high, -7, 7, low, 0]);
        let b = ints(&[-1, 1, low, -1, 2, -2, 0, -1]);
        let got = |t: Tensor| t.to_vec::<i32>().unwrap();
        assert_eq!(got(&a / &b), [low, low, 1, -high, -3, -3, 0, 0], "on {device}");
        assert_eq!(got(a.fmod(&b)), [0, 0, 0, 0, -1, 1, 0, 0], "on {device}");
        assert_eq!(got(a.remainder(&b)), [0, 0, 0, 0, 1, -1, 0, 0], "on {device}");
        assert_eq!(got(a.floor_divide(&b)), [low, low, 1, -high, -4, -4, 0, 0], "on {device}");
        assert_eq!(got(-&a), [low, low, low, -high, 7, -7, low, 0], "on {device}");
        assert_eq!(got(a.abs()), [low, low, low, high, 7, 7, low, 0], "on {device}");
        assert_eq!(got(a.sign()), [-1, -1, -1, 1, -1, 1, -1, 0], "on {device}");
        assert_eq!(got(&a - 1.0), [high, high, high, high - 1, -8, 6, high, -1], "on {device}");
        assert_eq!(got(&a * &b)[..4], [low, low, 0, -high], "on {device}");
        assert_eq!(got(a.square())[..3], [0, 0, 0], "on {device}");
        assert_eq!(got(a.slice(0, ..4).sum_keepdim(0)), [low.wrapping_mul(3).wrapping_add(high)], "on {device}");
        // By a number, which a compiler may fold.
        assert_eq!(got(&a / -1.0)[..4], [low, low, low, -high], "on {device}");
        assert_eq!(got(a.fmod(-1.0))[..4], [0, 0, 0, 0], "on {device}");
    }
}
