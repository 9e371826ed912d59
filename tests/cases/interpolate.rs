use thalweg_graph::{GridSample, Outside, Resample, Resize};

use crate::{Case, Draw, cases::floats};

/// Resizing up, down and by factors that are not whole, with each mode and option.
pub fn interpolate() -> Vec<Case> {
    use Resample::*;
    let mut cases = Vec::new();
    for mode in [Nearest, NearestExact, Linear, Cubic, Area] {
        let mut settings = vec![Resize::size(&[8, 5], mode), Resize::size(&[3, 9], mode), Resize::factor(1.7, mode)];
        if matches!(mode, Linear | Cubic) {
            settings.push(Resize { align_corners: true, ..Resize::size(&[6, 2], mode) });
            settings.push(Resize { antialias: true, ..Resize::size(&[2, 3], mode) });
        }
        for resize in settings {
            let name = format!("interpolate {resize:?}");
            cases.push(Case::new(name, vec![floats(&[2, 3, 4, 7])], move |x| x[0].interpolate(&resize)).terms(256));
        }
    }
    let volume = Resize::size(&[3, 5, 2], Linear);
    cases.push(Case::new("trilinear", vec![floats(&[1, 2, 2, 3, 4])], move |x| x[0].interpolate(&volume)).terms(256));
    cases
}

/// Sampling inside and outside of an image.
pub fn grid_sample() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in [Resample::Nearest, Resample::Linear, Resample::Cubic] {
        for outside in [Outside::Zeros, Outside::Border, Outside::Reflection] {
            for align_corners in [false, true] {
                let how = GridSample { mode, outside, align_corners };
                let inputs = vec![floats(&[2, 3, 4, 5]), Draw::Uniform(vec![2, 3, 2, 2], -1.6, 1.6)];
                let name = format!("grid sample {how:?}");
                cases.push(Case::new(name, inputs, move |x| x[0].grid_sample(&x[1], &how)).terms(256).kinked());
            }
        }
    }
    let inputs = vec![floats(&[2, 1, 3, 4, 2]), Draw::Uniform(vec![2, 2, 1, 3, 3], -1.2, 1.2)];
    cases.push(
        Case::new("grid sample of a volume", inputs, |x| x[0].grid_sample(&x[1], &GridSample::default()))
            .terms(256)
            .kinked(),
    );
    cases.push(Case::new("affine grid", vec![floats(&[2, 3, 4])], |x| x[0].affine_grid(&[2, 1, 3], true)).terms(4));
    cases
}
