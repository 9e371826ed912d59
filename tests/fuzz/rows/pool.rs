//! Pooling and resampling.

use thalweg_graph::{GridSample, Pool, Resample, Resize};

use super::*;

rows! { a;
    max_pool(x: matrix) { kernel = a.pool_kernel(x)?, stride = a.sizes(kernel.len(), 1, 3), ceil_mode = a.flag() } {
        x.max_pool(&Pool { stride: stride.to_vec(), ceil_mode, ..Pool::new(&kernel) })
    };
    max_pool_padded(x: image) { kernel = a.pool_kernel(x)?, stride = a.sizes(kernel.len(), 1, 2) } {
        let padding = kernel.iter().map(|k| k / 2).collect();
        x.max_pool(&Pool { stride: stride.to_vec(), padding, ..Pool::new(&kernel) })
    };
    max_pool_at(x: matrix) { kernel = a.pool_kernel(x)? } x.max_pool_with_indices(&Pool::new(&kernel)).1;
    max_unpool(x: image) { kernel = a.pool_kernel(x)? } {
        let (y, at) = x.max_pool_with_indices(&Pool::new(&kernel));
        (x.count() < 2000).then(|| y.max_unpool(&at, &x.shape()[x.rank() - kernel.len()..]))?
    };
    avg_pool(x: matrix) {
        kernel = a.pool_kernel(x)?, stride = a.sizes(kernel.len(), 1, 3), ceil_mode = a.flag(), count_include_pad = a.flag()
    } {
        let padding = kernel.iter().map(|k| k / 2).collect();
        x.avg_pool(&Pool { stride: stride.to_vec(), padding, ceil_mode, count_include_pad, ..Pool::new(&kernel) })
    };
    lp_pool(x: matrix) { kernel = a.pool_kernel(x)?, p = a.one(&[2.0, 3.0, 1.0]) }
        (x.square() + 0.25).lp_pool(p, &Pool::new(&kernel));
    adaptive_avg_pool(x: image) { out = a.sizes(1, 1, 7) } x.adaptive_avg_pool(&out);
    adaptive_avg_pool_2(x: image) { out = a.sizes(2, 1, 5) } x.adaptive_avg_pool(&out);
    adaptive_max_pool(x: image) { out = a.sizes(2, 1, 5) } x.adaptive_max_pool(&out);
    adaptive_max_pool_at(x: image) { out = a.sizes(1, 1, 7) } x.adaptive_max_pool_with_indices(&out).1;

    interpolate(x: image) { mode = a.resample(), size = a.sizes(x.rank() - 2, 1, 9), align_corners = a.flag(), antialias = a.flag() } {
        let plain = !matches!(mode, Resample::Linear | Resample::Cubic);
        let (align_corners, antialias) = (align_corners && !plain, antialias && !plain);
        (x.rank() < 6).then(|| x.interpolate(&Resize { align_corners, antialias, ..Resize::size(&size, mode) }))?
    };
    interpolate_by(x: image) { mode = a.resample(), factor = a.one(&[2.0, 0.5, 1.5, 0.7]) }
        x.shape()[2..].iter().all(|d| *d as f64 * factor >= 1.0).then(|| x.interpolate(&Resize::factor(factor, mode)))?;
    grid_sample(x: image) {
        mode = a.one(&[Resample::Linear, Resample::Nearest, Resample::Cubic]), outside = a.outside(), align_corners = a.flag(),
        grid = a.weight(&[x.shape()[0], 2, 3, 2])
    } {
        let how = GridSample { mode, outside, align_corners };
        (x.rank() == 4).then(|| x.grid_sample(&(&grid * 1.25), &how))?
    };
    affine_grid(x: image) { align_corners = a.flag() }
        (x.rank() == 3 && x.shape()[1..] == [2, 3]).then(|| x.affine_grid(&[3, 4], align_corners))?;
}
