//! Interpolation and sampling.

use thalweg_graph::{GridSample, Outside, Resample, Resize, Target, Tensor};

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const INTERP: Table = &[
    ("interpolate", |c| {
        let mode = match c.attrs.word("mode", "nearest")?.as_str() {
            "nearest" => Resample::Nearest,
            "nearest-exact" => Resample::NearestExact,
            "linear" | "bilinear" | "trilinear" => Resample::Linear,
            "bicubic" => Resample::Cubic,
            "area" => Resample::Area,
            other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
        };
        let (align_corners, antialias) = (c.attrs.flag("align_corners", false)?, c.attrs.flag("antialias", false)?);
        Ok(vec![c.x()?.interpolate(&Resize { to: target(c)?, mode, align_corners, antialias })])
    }),
    ("grid_sample", |c| {
        let mode = match c.attrs.word("mode", "bilinear")?.as_str() {
            "nearest" => Resample::Nearest,
            "bilinear" => Resample::Linear,
            "bicubic" => Resample::Cubic,
            other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
        };
        let outside = match c.attrs.word("padding_mode", "zeros")?.as_str() {
            "zeros" => Outside::Zeros,
            "border" => Outside::Border,
            "reflection" => Outside::Reflection,
            other => return Err(Stop::Unsupported(format!("attribute padding_mode = {other}"))),
        };
        let align_corners = c.attrs.flag("align_corners", false)?;
        let (x, grid) = c.pair()?;
        Ok(vec![x.grid_sample(grid, &GridSample { mode, outside, align_corners })])
    }),
    ("affine_grid", |c| {
        let size = c.attrs.sizes("size")?.ok_or_else(|| Stop::wrong("no attribute size"))?;
        let image = size.get(2..).ok_or_else(|| Stop::wrong("a size without an image"))?;
        Ok(vec![c.x()?.affine_grid(image, c.attrs.flag("align_corners", false)?)])
    }),
];

/// A size stands for one or all axes, and so does a factor; recomputed, a factor is the size that it gives.
fn target(c: &Call) -> Result<Target, Stop> {
    let x: &Tensor = c.x()?;
    let extents = x.shape().get(2..).unwrap_or_default();
    if let Some(size) = c.attrs.sizes("size")? {
        return Ok(Target::Size(if size.len() == 1 { vec![size[0]; extents.len()] } else { size }));
    }
    let factors = c.attrs.numbers("scale_factor")?.ok_or_else(|| Stop::wrong("neither size nor scale_factor"))?;
    if !c.attrs.flag("recompute_scale_factor", false)? {
        return Ok(Target::Factor(factors));
    }
    let factor = |d: usize| factors.get(d).or(factors.first()).copied().unwrap_or(1.0);
    Ok(Target::Size(extents.iter().enumerate().map(|(d, e)| (*e as f64 * factor(d)).floor() as usize).collect()))
}
