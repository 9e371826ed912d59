//! Rows combined by segment: what the kernels give is what the definition gives, whatever the shape.

use thalweg_graph::{Bags, Combine, DType, Device, Result, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

/// `rows` numbers of segments, some of which there are not, and some of which nobody has.
fn ids(device: &Device, rows: usize, segments: usize) -> Tensor {
    let ids: Vec<i32> = (0..rows).map(|j| (j * j * 7 + 3) as i32 % (segments as i32 * 2 / 3 + 2) - 1).collect();
    Tensor::from_slice(device, &ids, [rows])
}

fn numbers(device: &Device, shape: &[usize], dtype: DType) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i * 37 % 211) as f32 - 100.0).collect();
    Tensor::from_slice(device, &values, shape).cast(dtype)
}

/// All four, as bits that hold every integer and every extreme exactly.
fn all(device: &Device, rows: usize, columns: usize, segments: usize, dtype: DType) -> Result<Vec<f64>> {
    let (x, ids) = (numbers(device, &[rows, columns], dtype), ids(device, rows, segments));
    let least = |y: Tensor| y.cast(DType::F32).maximum(-1e6).minimum(1e6);
    let parts = [
        x.segment_sum(&ids, segments),
        (&x * 0.0 + 1.0).segment_prod(&ids, segments),
        least(x.segment_max(&ids, segments)),
        least(x.segment_min(&ids, segments)),
    ];
    let mut found = Vec::new();
    for part in parts {
        found.extend(part.cast(DType::F32).to_vec::<f32>()?.into_iter().map(f64::from));
    }
    Ok(found)
}

#[test]
fn of_integers_every_device_gives_the_same() -> Result<()> {
    // Long, wide, thin, of no segment, of one, and below what is worth a launch.
    let shapes = [(700, 33, 50), (64, 260, 400), (3000, 1, 1100), (40, 300, 4), (5, 3, 2), (0, 7, 300), (9, 500, 1)];
    for (rows, columns, segments) in shapes {
        for dtype in [DType::F32, DType::I32, DType::F16, DType::BF16] {
            let want = all(&strict(), rows, columns, segments, dtype)?;
            for device in [cpu(), test_gpu!()] {
                let got = all(&device, rows, columns, segments, dtype)?;
                assert_eq!(got, want, "{rows} × {columns} into {segments} of {dtype} on {device}");
            }
        }
    }
    Ok(())
}

/// More rows of one segment than software Vulkan lets an invocation walk through.
#[test]
fn a_segment_may_have_nearly_all_of_many_rows() -> Result<()> {
    const ROWS: usize = 100_000;
    let run = |device: &Device, columns: usize, segments: usize, of: fn(usize) -> i32| -> Result<Vec<i32>> {
        let ids: Vec<i32> = (0..ROWS).map(of).collect();
        let ids = Tensor::from_slice(device, &ids, [ROWS]);
        let x = numbers(device, &[ROWS, columns], DType::I32);
        let table = numbers(device, &[segments, columns], DType::F32).track();
        let grads = table.embedding(&ids).backward_from(&x.cast(DType::F32))?;
        let grad = grads.get(&table).expect("a gradient").cast(DType::I32);
        let parts = [x.segment_sum(&ids, segments), x.segment_max(&ids, segments), x.segment_min(&ids, segments), grad];
        parts.iter().map(|part| part.to_vec::<i32>()).collect::<Result<Vec<_>>>().map(|parts| parts.concat())
    };
    let ids: [fn(usize) -> i32; 3] =
        [|_| 5, |j| (j / 40_000) as i32 * 9, |j| if j % 3 == 0 { j as i32 % 250 } else { 77 }];
    for (columns, segments) in [(4, 256), (3, 400)] {
        for (i, ids) in ids.into_iter().enumerate() {
            let want = run(&strict(), columns, segments, ids)?;
            for device in [cpu(), test_gpu!()] {
                assert_eq!(run(&device, columns, segments, ids)?, want, "{columns} columns, ids {i} on {device}");
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_of_tables_and_scatters_go_through_kernels() -> Result<()> {
    let run = |device: &Device| -> Result<Vec<f32>> {
        let table = numbers(device, &[600, 70], DType::F32).track();
        let at = ids(device, 300, 600).maximum(0.0).cast(DType::I32);
        let rows = table.embedding(&at);
        let upstream = numbers(device, &[300, 70], DType::F32);
        let bags = rows.reshape([300, 70]);
        let grads = (bags * &upstream).sum(..).backward()?;
        let mut found = grads.get(&table).map_or_else(|| Ok(vec![]), |g| g.to_vec::<f32>())?;
        let bag = table.embedding_bag(&at.reshape([60, 5]), &Bags::new(Combine::Max));
        let grads = bag.backward_from(&numbers(device, &[60, 70], DType::F32))?;
        found.extend(grads.get(&table).map_or_else(|| Ok(vec![]), |g| g.to_vec::<f32>())?);
        // Every column has slots of its own.
        let x = numbers(device, &[80, 30], DType::F32);
        let index: Vec<i32> = (0..60 * 30).map(|i| i * 13 % 80).collect();
        let index = Tensor::from_slice(device, &index, [60, 30]);
        let src = numbers(device, &[60, 30], DType::F32);
        for y in [x.scatter_add(0, &index, &src), x.scatter(0, &index, &src)] {
            found.extend(y.to_vec::<f32>()?);
        }
        for combine in [Combine::Sum, Combine::Max, Combine::Min] {
            found.extend(x.scatter_reduce(0, &index, &src, combine, true).to_vec::<f32>()?);
        }
        Ok(found)
    };
    let want = run(&strict())?;
    for device in [cpu(), test_gpu!()] {
        assert_eq!(run(&device)?, want, "on {device}");
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_said() {
    let device = cpu();
    let x = Tensor::ones(&device, [3, 2]);
    let short = x.segment_sum(&Tensor::from_slice(&device, &[0, 1], [2]), 2);
    let text = short.to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("segment_sum") && text.contains("[3, 2]") && text.contains("[2]"), "{text}");
    let floats = x.segment_max(&Tensor::ones(&device, [3]), 2).to_vec::<f32>().unwrap_err().to_string();
    assert!(floats.contains("segment_max") && floats.contains("no index"), "{floats}");
}
