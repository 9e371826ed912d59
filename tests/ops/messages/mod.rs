//! Bad input gives errors that name the op, the shapes, and the file and line of the call.

mod movement;
mod positions;
mod products;
mod sizes;
mod values;

use std::panic::Location;

use thalweg_device::DeviceExt;
use thalweg_graph::{
    Bags, Combine, DType, Device, Ellipsis, Error, ErrorKind, Interpolation, NewtonSchulz, Pool, Tensor, s,
};
use thalweg_tests::{cpu, own_gpu, strict};

#[track_caller]
fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(&strict(), shape)
}

/// Holds an error's text against what it must say, the caller's line included.
#[track_caller]
fn says(tensor: &Tensor, line: u32, parts: &[&str]) {
    refuses(tensor.to_vec::<f32>(), line, parts);
}

/// The same of what gives a `Result`.
#[track_caller]
fn refuses<T>(result: Result<T, Error>, line: u32, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
    let place = format!("{}:{line}:", Location::caller().file());
    assert!(text.contains(&place), "'{text}' does not say '{place}'");
}

#[test]
fn shapes_that_do_not_fit() {
    let (a, b) = (ones(&[2, 3]), ones(&[4, 5]));
    says(&(&a + &b), line!(), &["add", "[2, 3]", "[4, 5]", "do not broadcast"]);
    says(&a.matmul(&b), line!(), &["matmul", "[2, 3]", "[4, 5]", "3 columns against 4 rows"]);
    says(&a.reshape([4]), line!(), &["reshape", "[2, 3]", "[4]"]);
    says(&a.broadcast_to([2, 4]), line!(), &["broadcast_to", "[2, 3]", "[2, 4]"]);
    says(&a.concat_with(std::slice::from_ref(&b), 0), line!(), &["concat", "[2, 3]", "[4, 5]"]);
    let small = ones(&[1, 1, 2, 2]).conv2d(&ones(&[1, 1, 3, 3]), &Default::default());
    says(&small, line!() - 1, &["conv", "larger than the padded"]);
    says(&a.sum(2), line!(), &["sum", "axis 2", "[2, 3]"]);
    says(&Tensor::from_slice(&strict(), &[1.0f32; 5], [2, 3]), line!(), &["from_slice", "5 elements", "[2, 3]"]);
}

#[test]
fn dtypes_that_do_not_fit() {
    let ids = Tensor::from_slice(&strict(), &[1i32, 2], [2]);
    says(&ids.exp(), line!(), &["exp", "i32"]);
    says(&ones(&[2]).where_(1.0, 0.0), line!(), &["where", "f32", "no condition"]);
    says(&ids.mean(0), line!(), &["mean", "i32", "cast to a float first"]);
    says(&ones(&[2]).gather(0, &ones(&[1])), line!(), &["gather", "f32", "use i32"]);
    let x = Tensor::from_slice(&cpu(), &[1.0f64], [1]);
    says(&x, line!() - 1, &["f64", "does not exist"]);
}

#[test]
fn positions_out_of_range() {
    let x = ones(&[3, 4]);
    says(&x.select(1, 4), line!(), &["select", "index 4", "axis 1", "extent 4"]);
    says(&x.chunk(0, 0)[0], line!(), &["chunk", "0 pieces"]);
    says(&x.chunk(2, 5)[0], line!(), &["chunk", "axis 5"]);
    says(&x.narrow(0, 2, 2), line!(), &["narrow", "index 3", "axis 0", "extent 3"]);
}

#[test]
fn subscripts_and_offsets_that_do_not_fit() {
    let (x, at) = (ones(&[3, 4]), Tensor::from_slice(&strict(), &[0i32, 1], [2]));
    says(&x.at(s![.., 4]), line!(), &["at", "index 4", "axis 1", "extent 4"]);
    says(&x.at(s![-4]), line!(), &["at", "index -4", "axis 0", "extent 3"]);
    says(&x.at(s![0, 0, 0]), line!(), &["at", "[3, 4]", "3 subscripts"]);
    says(&x.at(s![Ellipsis, Ellipsis]), line!(), &["at", "one ellipsis"]);
    says(&x.at(s![..;0]), line!(), &["at", "step of 0"]);
    says(&x.dynamic_slice(1, 0, 5), line!(), &["dynamic_slice", "no 5 elements at axis 1"]);
    says(&x.dynamic_slice(2, 0, 1), line!(), &["dynamic_slice", "axis 2"]);
    says(&x.dynamic_slice(0, &at, 1), line!(), &["dynamic_slice", "[2]", "not one position"]);
    says(&x.dynamic_slice(0, x.sum(..), 1), line!(), &["dynamic_slice", "f32", "use i32"]);
    says(&x.dynamic_update_slice(0, 0, &ones(&[2, 3])), line!(), &["dynamic_update_slice", "shorter at axis 0 only"]);
}

#[test]
fn matrices_that_are_none() {
    let how = NewtonSchulz::default();
    says(&ones(&[3]).orthogonalise(&how), line!(), &["orthogonalise", "[3]", "no matrix"]);
    says(&Tensor::arange(&strict(), 4).orthogonalise(&how), line!(), &["orthogonalise", "i32", "cast to a float"]);
}

#[test]
fn rearrangements_that_do_not_fit() {
    let x = ones(&[2, 3, 4]);
    says(&x.roll(1, 3), line!(), &["roll", "axis 3", "[2, 3, 4]"]);
    says(&x.rot90(1, 0, -3), line!(), &["rot90", "axis 0 and itself"]);
    says(&x.movedim(&[0, 1], &[2]), line!(), &["movedim", "[0, 1]", "[2]"]);
    says(&x.movedim(&[0, 0], &[1, 2]), line!(), &["movedim", "[0, 0]", "[1, 2]"]);
    says(&x.unflatten(1, [2, -1]), line!(), &["reshape", "[2, 2, -1, 4]"]);
    says(&x.repeat_interleave_each(&[1, 2], 1), line!(), &["repeat_interleave", "axis 1", "not 2"]);
    says(&x.channel_shuffle(2), line!(), &["channel_shuffle", "2 groups"]);
    says(&x.pixel_shuffle(2), line!(), &["pixel_shuffle", "2 by 2"]);
    says(&x.pixel_unshuffle(2), line!(), &["pixel_unshuffle", "2 by 2"]);
    says(&x.cross(&x, 0), line!(), &["cross", "extent 3 at axis 0"]);
    says(&ones(&[3]).tril(0), line!(), &["tril", "[3]", "no matrix"]);
    says(&x.diagonal(0, 1, 1), line!(), &["diagonal", "axis 1 and itself"]);
    says(&ones(&[]).diag_embed(0, -2, -1), line!(), &["diag_embed", "no vector"]);
    says(&x.diag(0), line!(), &["diag", "neither a vector nor a matrix"]);
    says(&x.pad_reflect(&[(4, 0)]), line!(), &["pad_reflect", "too short at axis 2", "4 and 0"]);
    says(&x.pad_circular(&[(0, 5)]), line!(), &["pad_circular", "too short at axis 2"]);
    says(&ones(&[0]).pad_replicate(&[(1, 0)]), line!(), &["pad_replicate", "too short at axis 0"]);
    says(&x.sliding_windows(1, 4, 1), line!(), &["sliding_windows", "4 elements", "axis 1"]);
    says(&x.unfold(&[4, 4], &Default::default()), line!(), &["unfold", "smaller than the window"]);
    says(&ones(&[5, 6]).fold(&[3, 3], &[2, 2], &Default::default()), line!(), &["fold", "4 elements at 4 places"]);
    let none: [&Tensor; 0] = [];
    assert!(Tensor::meshgrid(none).is_empty());
    says(&Tensor::meshgrid_xy(&[x])[0], line!(), &["meshgrid", "no vector"]);
}

#[test]
fn orders_and_norms_that_do_not_exist() {
    let (x, ids) = (ones(&[2, 3]), Tensor::from_slice(&strict(), &[1i32, 2], [2]));
    says(&x.cumsum(2), line!(), &["cumsum", "axis 2"]);
    says(&ids.logcumsumexp(0), line!(), &["logcumsumexp", "i32", "cast to a float first"]);
    says(&ids.gt(0.0).cummax(0).0, line!(), &["cummax", "bool", "no order"]);
    says(&x.sort(2, false).0, line!(), &["sort", "axis 2"]);
    says(&x.topk(4, 1, true).1, line!(), &["topk", "no 4 elements at axis 1"]);
    says(&x.kthvalue(0, 1).0, line!(), &["kthvalue", "no element 0 at axis 1"]);
    says(&ones(&[2, 0]).median(1).0, line!(), &["median", "no elements"]);
    says(&ones(&[2, 0]).quantile(0.5, 1, Interpolation::Linear), line!(), &["quantile", "no elements"]);
    says(&x.quantile(1.5, 1, Interpolation::Linear), line!(), &["quantile", "between 0 and 1", "1.5"]);
    says(&x.cast(DType::I32).quantile(0.5, 1, Interpolation::Linear), line!(), &["quantile", "i32"]);
    says(&ids.vector_norm(2.0, 0), line!(), &["vector_norm", "i32", "cast to a float first"]);
    says(&x.vector_norm(f64::NAN, 0), line!(), &["vector_norm", "NaN"]);
    says(&x.adaptive_avg_pool(&[0]), line!(), &["adaptive_avg_pool", "[0]"]);
    says(&x.adaptive_max_pool(&[1, 1, 1]), line!(), &["adaptive_max_pool", "[1, 1, 1]"]);
    says(&x.lp_pool(0.0, &Pool::new(&[2])), line!(), &["lp_pool", "order 0"]);
    says(&x.max_unpool(&ids, &[4]), line!(), &["max_unpool", "one place", "[2, 3]", "[2]"]);
    let none = Pool { divisor: Some(0), ..Pool::new(&[2]) };
    says(&x.avg_pool(&none), line!(), &["avg_pool", "divisor of 0"]);
}

#[test]
fn positions_that_do_not_fit() {
    let (x, at) = (ones(&[2, 3]), Tensor::from_slice(&strict(), &[0i32, 1], [2]));
    let (mask, table) = (x.gt(0.0), ones(&[5, 2]));
    says(&x.scatter(0, &at, &x), line!(), &["scatter", "[2, 3]", "[2]", "longer at axis 0 only"]);
    says(&x.scatter(0, &at.unsqueeze(0), &at), line!(), &["scatter", "no value for each index"]);
    says(&x.scatter_value(2, &at, 1.0), line!(), &["scatter", "axis 2"]);
    let ints = at.unsqueeze(0);
    says(&ints.scatter_reduce(0, &ints, &ints, Combine::Mean, true), line!(), &["scatter_reduce", "i32", "no mean"]);
    says(&x.index_add(1, &ints, &x, 1.0), line!(), &["index_add", "no vector of positions"]);
    says(&x.index_copy(1, &at, &x), line!(), &["index_copy", "[2, 2]", "[2, 3]"]);
    says(&x.index_fill(0, &x.sum(0), 1.0), line!(), &["index_fill", "f32", "use i32"]);
    says(&x.index_at(&[&at, &at, &at]), line!(), &["index_at", "3 index tensors for 2 axes"]);
    says(&x.take_along(1, &at), line!(), &["take_along", "off axis 1"]);
    says(&x.masked_scatter(&x, &x), line!(), &["masked_scatter", "f32", "no mask"]);
    says(&x.searchsorted(&at, true), line!(), &["searchsorted", "[2, 3]", "[2]"]);
    says(&table.embedding_bag(&at, &Bags::new(Combine::Sum)), line!(), &["embedding_bag", "makes no bags"]);
    says(&table.embedding_bag(&ints, &Bags::new(Combine::Prod)), line!(), &["embedding_bag", "Prod"]);
    let weighted = Bags { weights: Some(&x), ..Bags::new(Combine::Sum) };
    says(&table.embedding_bag(&ints, &weighted), line!(), &["embedding_bag", "one weight for each id"]);
    let text = |result: Result<Tensor, Error>| result.expect_err("an error").to_string();
    let error = text(x.masked_select(&x));
    assert!(error.contains("masked_select") && error.contains("no mask"), "{error}");
    assert!(text(x.bincount(None, 0)).contains("bincount"));
    let error = text(Tensor::from_slice(&strict(), &[-3i32], [1]).bincount(None, 0));
    assert!(error.contains("no bin -3"), "{error}");
    assert!(mask.nonzero().is_ok());
}

#[test]
fn an_index_from_data_out_of_range() {
    // Devices of its own: a GPU's flag goes to whoever reads next.
    for device in [strict(), cpu(), own_gpu()] {
        let x = Tensor::ones(&device, [3, 4]);
        let index = Tensor::from_slice(&device, &[0i32, 7], [2]);
        let values = Tensor::ones(&device, [2, 4]);
        let wide = index.unsqueeze(1).broadcast_to([2, 4]);
        let across = Tensor::from_slice(&device, &[0i32, 7], [1, 2]);
        type Method<'a> = (&'a str, usize, usize, Tensor);
        let line = line!() + 2;
        let methods: [Method; 12] = [
            ("gather", 0, 3, x.gather(0, &wide)),
            ("index_select", 1, 4, x.index_select(1, &index)),
            ("embedding", 0, 3, x.embedding(&index)),
            ("index_at", 0, 3, x.index_at(&[&index])),
            ("take_along", 1, 4, x.take_along(1, &across)),
            ("index_add", 0, 3, x.index_add(0, &index, &values, 1.0)),
            ("index_copy", 0, 3, x.index_copy(0, &index, &values)),
            ("scatter_add", 0, 3, x.scatter_add(0, &wide, &values)),
            ("scatter", 0, 3, x.scatter(0, &wide, &values)),
            ("scatter_reduce", 0, 3, x.scatter_reduce(0, &wide, &values, Combine::Sum, true)),
            ("index_fill", 0, 3, x.index_fill(0, &index, 2.0)),
            ("embedding", 0, 3, x.embedding_bag(&across, &Bags::new(Combine::Sum))),
        ];
        for (i, (name, axis, extent, result)) in methods.iter().enumerate() {
            let error = result.to_vec::<f32>().expect_err("an error");
            let text = error.to_string();
            // The methods that combine positions of several axes look at each by itself, or at all as one.
            let place =
                if *name == "index_at" { String::new() } else { format!(" for axis {axis} of extent {extent}") };
            assert!(text.starts_with(&format!("{name}: index 7 is out of range{place}")), "{device}: {text}");
            assert_eq!(
                (error.location().file(), error.location().line()),
                (file!(), line + i as u32),
                "{device}: {text}"
            );
            // What has nothing to do with it is read.
            assert_eq!((&x + 1.0).to_vec::<f32>().unwrap(), [2.0; 12], "{device} after {name}");
        }
    }
}

/// What a GPU reads outside is not a number, so that no loss that depends on it is one; nothing else is changed, and a gradient
/// goes nowhere.
#[test]
fn what_lies_outside_is_not_a_number() {
    let device = own_gpu();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let x = Tensor::ones(&device, [3, 4]).cast(dtype).track();
        for bad in [-1i32, 3, i32::MIN, i32::MAX] {
            let index = Tensor::from_slice(&device, &[0i32, bad, 2], [3]);
            let y = x.embedding(&index);
            let loss = (y.square() * 0.5).sum(..);
            let grads = loss.backward().unwrap();
            let g = grads.get(&x).unwrap();
            Tensor::eval_all(&[y.clone(), loss.clone(), g.clone()]).unwrap();
            let text = device.synchronize().unwrap_err().to_string();
            assert!(text.contains(&format!("embedding: index {bad} is out of range for axis 0 of extent 3")), "{text}");
            let rows = y.to_vec::<f32>().unwrap();
            assert!(rows[4..8].iter().all(|v| v.is_nan()), "{dtype}: {rows:?}");
            assert_eq!([&rows[..4], &rows[8..]].concat(), [1.0; 8], "{dtype}");
            assert!(loss.item().unwrap().is_nan(), "{dtype}");
            assert_eq!(
                g.to_vec::<f32>().unwrap(),
                [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
                "{dtype}"
            );
        }
    }
    // Integers have none; they are the nearest.
    let ints = Tensor::arange(&device, 4);
    let y = ints.gather(0, &Tensor::from_slice(&device, &[-5i32, 9, 1], [3]));
    y.eval().unwrap();
    assert!(device.synchronize().is_err());
    assert_eq!(y.to_vec::<i32>().unwrap(), [0, 3, 1]);
}

#[test]
fn what_the_device_finds_is_at_the_line_that_asked_for_it() {
    for device in [strict(), cpu()] {
        let index = Tensor::from_slice(&device, &[0i32, 7], [2]);
        let (row, line) = (Tensor::ones(&device, [3, 4]).index_select(0, &index).sum(..), line!());
        refuses(row.item(), line, &["index_select: index 7 is out of range for axis 0 of extent 3"]);
    }
    let here = Location::caller();
    let lost = Error::new("read", ErrorKind::Device("lost".into())).seen_at(here);
    assert_eq!(lost.location().line(), line!() - 1);
    assert_eq!(format!("{lost:?}"), lost.to_string());
}

#[test]
fn an_error_travels_to_whatever_needs_the_value() {
    let bad = ones(&[2, 3]).matmul(&ones(&[4, 5]));
    let later = ((bad.exp() + 1.0).sum(0) * 2.0).reshape([7, 7]);
    assert_eq!(later.shape(), [1; 8]);
    for error in [later.to_vec::<f32>().err(), later.item().err(), later.backward().err(), later.eval().err()] {
        let error = error.expect("the first error");
        assert_eq!(error.op(), "matmul");
        assert!(matches!(error.kind(), ErrorKind::Shapes { .. }));
    }
}

#[test]
fn the_gradient_of_something_untracked() {
    let error = ones(&[2]).sum(..).backward().expect_err("an error");
    assert!(error.to_string().contains(".track()"), "{error}");
    let error = ones(&[2]).track().backward().expect_err("an error");
    assert!(error.to_string().contains("scalar"), "{error}");
    let error = Tensor::from_slice(&strict(), &[1i32], [1]).track().eval().expect_err("an error");
    assert!(error.to_string().contains("only floats"), "{error}");
}

#[test]
fn devices_do_not_mix_and_names_must_match() {
    let sum = ones(&[2]) + Tensor::ones(&strict(), [2]);
    assert!(sum.to_vec::<f32>().expect_err("an error").to_string().contains("different devices"));
    let twice = Tensor::ones(&cpu(), [2]) + Tensor::ones(&cpu(), [2]);
    let error = twice.to_vec::<f32>().expect_err("an error").to_string();
    assert!(error.contains("opened separately") && error.contains("clone it"), "{error}");
    let error = Device::named("no such adapter").expect_err("an error").to_string();
    assert!(error.contains("no device matches 'no such adapter'") && error.contains("cpu"), "{error}");
}

#[test]
fn a_dtype_cannot_be_read_as_another() {
    let error = ones(&[2]).to_vec::<i32>().expect_err("an error").to_string();
    assert!(error.contains("f32") && error.contains("cast first"), "{error}");
    assert_eq!(ones(&[2]).cast(DType::F16).to_vec::<f32>().ok(), Some(vec![1.0, 1.0]));
}

#[test]
fn a_batch_that_does_not_fit_says_how_large_a_one_would() {
    // Some 9 MiB of inputs and 4 MiB of activations for each 1,024 of the batch.
    let backend = thalweg_cpu::FastCpu::with_capacity(1, Some(24 << 20)).unwrap();
    let device = Device::new(std::sync::Arc::new(backend));
    let weight = Tensor::ones(&device, [256, 1024]);
    weight.eval().unwrap();
    let loss = |batch: usize| {
        let x = Tensor::from_slice(&device, &vec![0.5f32; batch * 256], [batch, 256]);
        (x.matmul(&weight).softmax(-1).matmul(&weight.t()).log() * 2.0).sum(..).item()
    };
    let error = loss(4096).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error.kind(), ErrorKind::Memory(_)) && text.contains("instead of 4096"), "{text}");
    let fits: usize = text.split("a batch of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(loss(fits).is_ok(), "{text}: {fits} does not");
    assert!(loss(fits * 5 / 4).is_err(), "{text}: more does");
}
