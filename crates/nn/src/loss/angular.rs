//! Heads that ask for a margin between the angles to the centres of classes.

use std::f64::consts::FRAC_PI_2;

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Scope, Tensor};

use super::{Classes, classes};
use crate::{
    init::{Init, invalid},
    wide,
};

/// Below this `sin² θ` is taken for it: its root has a finite slope then, and f32 knows no more of it.
const SMALLEST: f64 = 1e-7;

/// `s cos(θ_c + m)` for the class of a row, `s cos θ_c` for all others, with θ_c the angle between the row and the centre of class c:
/// logits for a cross-entropy in training. Where `θ + m` would pass π and the cosine rise again, `cos θ - m sin m` goes on falling;
/// with an easy margin, `cos θ` stands wherever it is not positive.
///
/// ```
/// # use std::sync::Arc;
/// # use thalweg_cpu::FastCpu;
/// # use thalweg_graph::{Device, Rng, Tensor};
/// use thalweg_nn::{ArcFace, Losses};
///
/// # let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
/// let head = ArcFace::new(64, 10).scale(16.0).init(&device, rng)?;
/// let (x, people) = (Tensor::ones(&device, [4, 64]), Tensor::from_slice(&device, &[0, 3, 9, 3], [4]));
/// let loss = head.forward(&x, &people).cross_entropy(&people);
/// let who = head.cosines(&x).argmax(-1);
/// # assert_eq!((loss.shape(), who.shape()), (&[][..], &[4][..]));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Shapes
/// `[B, D]`, classes `[B]` → `[B, C]`; `weight [C, D]`
/// # Source
/// Deng et al. 2019, arXiv:1801.07698, equation 3; what stands past `π - m` and the easy margin are those of its authors' code.
#[derive(Clone, Debug, Module)]
pub struct ArcFace {
    /// The centre of each class, of any length.
    pub weight: Param,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    margin: f64,
    #[module(skip)]
    easy: bool,
}

/// How to make an [`ArcFace`].
#[derive(Clone, Debug)]
pub struct ArcFaceConfig {
    inputs: usize,
    classes: usize,
    scale: f64,
    margin: f64,
    easy: bool,
    weights: Init,
}

impl ArcFace {
    /// Of rows of `inputs` numbers and so many classes: `s = 64`, `m = 0.5`.
    #[expect(clippy::new_ret_no_self, reason = "the head exists once the centres are drawn")]
    pub fn new(inputs: usize, classes: usize) -> ArcFaceConfig {
        ArcFaceConfig { inputs, classes, scale: 64.0, margin: 0.5, easy: false, weights: Init::XAVIER }
    }

    /// The logits of rows whose classes are known.
    ///
    /// # Shapes
    /// `[B, D]`, classes `[B]` (I32) → `[B, C]`
    /// # Errors
    /// Rows of another width; not a class for each row. A class that there is not is as in [`super::CrossEntropy`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("arc_face");
        let cos = cosines("arc_face", x, &self.weight.tensor());
        let sin = (1.0 - cos.square()).clamp_min(SMALLEST).sqrt();
        // cos(θ + m) = cos θ cos m - sin θ sin m
        let shifted = &cos * self.margin.cos() - sin * self.margin.sin();
        let widened = match self.easy {
            true => cos.gt(0.0).where_(shifted, &cos),
            false => cos.gt(-self.margin.cos()).where_(shifted, &cos - self.margin * self.margin.sin()),
        };
        logits("arc_face", &cos, widened, target, self.scale)
    }

    /// The cosines of the angles to every centre: how alike they are, for rows whose classes are to be found.
    ///
    /// # Shapes
    /// `[B, D]` → `[B, C]`
    /// # Errors
    /// Rows of another width.
    #[track_caller]
    pub fn cosines(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("arc_face");
        cosines("arc_face", x, &self.weight.tensor())
    }
}

impl ArcFaceConfig {
    setters! {
        /// With this s in place of 64.
        scale: f64;
        /// With this m in place of 0.5, in radians.
        margin: f64;
        /// Whether a margin is asked for only within a right angle.
        easy: bool;
        /// With centres drawn from this distribution.
        weights: Init;
    }

    /// Draws the centres.
    ///
    /// # Errors
    /// No inputs or classes; a scale that is not positive; a margin outside 0 to π / 2; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ArcFace> {
        let ArcFaceConfig { scale, margin, easy, .. } = self;
        // Of wider margins what stands past π - m would begin above what stands before.
        if !(0.0..=FRAC_PI_2).contains(&margin) {
            return Err(invalid("arc_face", format!("a margin of {margin}, which is no angle between 0 and π / 2")));
        }
        let weight = centres("arc_face", (self.inputs, self.classes), scale, self.weights, device, rng)?;
        Ok(ArcFace { weight, scale, margin, easy })
    }
}

/// `s (cos θ_c - m)` for the class of a row, `s cos θ_c` for all others, with θ_c the angle between the row and the centre of class c:
/// logits for a cross-entropy in training.
///
/// # Shapes
/// `[B, D]`, classes `[B]` → `[B, C]`; `weight [C, D]`
/// # Source
/// Wang et al. 2018, arXiv:1801.09414, equation 4.
#[derive(Clone, Debug, Module)]
pub struct CosFace {
    /// The centre of each class, of any length.
    pub weight: Param,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    margin: f64,
}

/// How to make a [`CosFace`].
#[derive(Clone, Debug)]
pub struct CosFaceConfig {
    inputs: usize,
    classes: usize,
    scale: f64,
    margin: f64,
    weights: Init,
}

impl CosFace {
    /// Of rows of `inputs` numbers and so many classes: `s = 64`, `m = 0.35`.
    #[expect(clippy::new_ret_no_self, reason = "the head exists once the centres are drawn")]
    pub fn new(inputs: usize, classes: usize) -> CosFaceConfig {
        CosFaceConfig { inputs, classes, scale: 64.0, margin: 0.35, weights: Init::XAVIER }
    }

    /// The logits of rows whose classes are known.
    ///
    /// # Shapes
    /// `[B, D]`, classes `[B]` (I32) → `[B, C]`
    /// # Errors
    /// As [`ArcFace::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("cos_face");
        let cos = cosines("cos_face", x, &self.weight.tensor());
        logits("cos_face", &cos, &cos - self.margin, target, self.scale)
    }

    /// As [`ArcFace::cosines`].
    ///
    /// # Errors
    /// As [`ArcFace::cosines`].
    #[track_caller]
    pub fn cosines(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("cos_face");
        cosines("cos_face", x, &self.weight.tensor())
    }
}

impl CosFaceConfig {
    setters! {
        /// With this s in place of 64.
        scale: f64;
        /// With this m in place of 0.35.
        margin: f64;
        /// With centres drawn from this distribution.
        weights: Init;
    }

    /// Draws the centres.
    ///
    /// # Errors
    /// No inputs or classes; a scale that is not positive; a margin that is negative; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<CosFace> {
        let CosFaceConfig { scale, margin, .. } = self;
        if margin.is_nan() || margin < 0.0 {
            return Err(invalid("cos_face", format!("a margin of {margin}")));
        }
        let weight = centres("cos_face", (self.inputs, self.classes), scale, self.weights, device, rng)?;
        Ok(CosFace { weight, scale, margin })
    }
}

/// `[C, D]`.
#[track_caller]
fn centres(
    op: &'static str,
    (inputs, classes): (usize, usize),
    scale: f64,
    weights: Init,
    device: &Device,
    rng: &mut Rng,
) -> Result<Param> {
    if inputs == 0 || classes == 0 {
        return Err(invalid(op, format!("{inputs} inputs and {classes} classes")));
    }
    if scale.is_nan() || scale <= 0.0 {
        return Err(invalid(op, format!("a scale of {scale}")));
    }
    weights.param(device, [classes, inputs], rng)
}

/// `cos θ` between every row and every centre, `[B, C]`. In F32: of an angle near 0 or π, 16 bits say nothing.
#[track_caller]
fn cosines(op: &'static str, x: &Tensor, centres: &Tensor) -> Tensor {
    if x.check().is_err() {
        return x.clone();
    }
    if x.rank() != 2 || x.shape()[1] != centres.shape()[1] {
        let problem = format!("is not [batch, {}]", centres.shape()[1]);
        return x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem });
    }
    let _scope = Scope::keep_f32();
    let unit = |t: &Tensor| wide(t).normalize(2.0, 1, 1e-12);
    unit(x).matmul(&unit(centres).t())
}

/// The cosines times the scale, but for each row's class what a margin makes of it.
#[track_caller]
fn logits(op: &'static str, cos: &Tensor, widened: Tensor, target: &Tensor, scale: f64) -> Tensor {
    let Classes { hit, sound, .. } = match classes(op, cos, target, 1, None) {
        Ok(classes) => classes,
        Err(failed) => return failed,
    };
    hit.where_(widened, cos) * scale + (sound - 1.0).unsqueeze(1)
}
