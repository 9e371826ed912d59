//! Activation functions, composed. Where one has a kink, its derivative there is PyTorch's, as the golden cases have it. Of
//! 16-bit floats they are computed in F32 and rounded once.

use thalweg_ir::ErrorKind;

use crate::{
    operators::{IntoTensor, Number},
    scope::Scope,
    shape::IntoAxis,
    tensor::Tensor,
};

/// `α` of SELU (Klambauer et al. 2017, arXiv:1706.02515, appendix A).
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// `λ` of SELU.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// From here on the sigmoid in [`Tensor::gelu_tanh`] is 0 or 1 in F64 as well.
const GELU_FLAT: f64 = 30.0;

/// # Activations
impl Tensor {
    /// `x · Φ(x)` with the normal distribution function `Φ(x) = erfc(-x/√2) / 2`, which keeps its digits in the left tail.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Hendrycks & Gimpel 2016, arXiv:1606.08415.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        let _scope = Scope::composite("gelu");
        let x = match self.wide_floats("gelu") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let half_erfc = (&x * -std::f64::consts::FRAC_1_SQRT_2).erfc() * 0.5;
        (&x * half_erfc).cast(self.dtype())
    }

    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation of [`Tensor::gelu`]; written as
    /// `x · σ(2√(2/π) (x + 0.044715 x³))`, which is equal and keeps its digits in the left tail.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Hendrycks & Gimpel 2016, arXiv:1606.08415, §2.
    #[track_caller]
    #[doc(alias = "approximate")]
    pub fn gelu_tanh(&self) -> Tensor {
        let _scope = Scope::composite("gelu_tanh");
        let x = match self.wide_floats("gelu_tanh") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let c = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
        // Further out the sigmoid is 0 or 1 and its slope 0, and a cube may overflow.
        let near = x.clamp(-GELU_FLAT, GELU_FLAT);
        let u = (&near + near.square() * &near * 0.044715) * c;
        (&x * u.sigmoid()).cast(self.dtype())
    }

    /// `x · σ(x)`, also called swish.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Elfwing et al. 2017, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941.
    #[track_caller]
    #[doc(alias = "swish")]
    pub fn silu(&self) -> Tensor {
        let _scope = Scope::composite("silu");
        let x = match self.wide_floats("silu") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        (&x * x.sigmoid()).cast(self.dtype())
    }

    /// `x · tanh(ln(1 + e^x))`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Misra 2019, arXiv:1908.08681.
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        let _scope = Scope::composite("mish");
        let x = match self.wide_floats("mish") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        (&x * x.softplus().tanh()).cast(self.dtype())
    }

    /// `ln σ(x) = min(x, 0) - ln(1 + e^(-|x|))`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        let _scope = Scope::composite("log_sigmoid");
        let x = match self.wide_floats("log_sigmoid") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        (-((-x).softplus())).cast(self.dtype())
    }

    /// `ln(x / (1 - x))`, the inverse of the sigmoid, of `x` limited to `[eps, 1 - eps]` if `eps` is above 0. The gradient
    /// is 0 at and outside these bounds.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn logit(&self, eps: f64) -> Tensor {
        let _scope = Scope::composite("logit");
        let x = match self.wide_floats("logit") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let x = if eps > 0.0 { x.clamp(eps, 1.0 - eps) } else { x };
        (&x / (1.0 - &x)).log().cast(self.dtype())
    }

    /// `ln(1 + e^x) = max(x, 0) + ln(1 + e^(-|x|))`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Dugas et al. 2000, "Incorporating second-order functional knowledge for better option pricing".
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        let _scope = Scope::composite("softplus");
        let x = match self.wide_floats("softplus") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let positive = x.gt(0.0);
        let small = positive.where_(-&x, &x).exp().log1p();
        (positive.where_(&x, 0.0) + small).cast(self.dtype())
    }

    /// `x / (1 + |x|)`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// U32 and truth values, which have no sign.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        let _scope = Scope::composite("softsign");
        self / (self.abs() + 1.0)
    }

    /// `x - tanh x`.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        let _scope = Scope::composite("tanhshrink");
        let x = match self.wide_floats("tanhshrink") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        (&x - x.tanh()).cast(self.dtype())
    }

    /// `x` where positive, else `slope · x`. The gradient at 0 is the slope.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Source
    /// Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models".
    #[track_caller]
    pub fn leaky_relu(&self, slope: impl Number) -> Tensor {
        let _scope = Scope::composite("leaky_relu");
        let slope = slope.number();
        self.gt(0.0).where_(self, self * slope)
    }

    /// `x` where positive, else `slope · x` with a slope that is learnt, one number or as many as broadcast: `[C, 1, 1]`
    /// for the channels of an image. The gradient of x at 0 is the slope.
    ///
    /// # Shapes
    /// `[..]`, `[..]` that broadcast → what they broadcast to
    /// # Errors
    /// Shapes that do not broadcast.
    /// # Source
    /// He et al. 2015, arXiv:1502.01852.
    #[track_caller]
    pub fn prelu(&self, slope: impl IntoTensor) -> Tensor {
        let _scope = Scope::composite("prelu");
        self.gt(0.0).where_(self, self * slope.into_tensor(self))
    }

    /// `x` where positive, else `α (e^x - 1)`. The gradient at 0 is α.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Clevert et al. 2015, arXiv:1511.07289.
    #[track_caller]
    pub fn elu(&self, alpha: impl Number) -> Tensor {
        let _scope = Scope::composite("elu");
        let alpha = alpha.number();
        let x = match self.wide_floats("elu") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let positive = x.gt(0.0);
        // Where positive, e^x may overflow; 0 stands in for it.
        positive.where_(&x, positive.where_(0.0, &x).expm1() * alpha).cast(self.dtype())
    }

    /// `x` where positive, else `α (e^(x/α) - 1)`: [`Tensor::elu`] with slope 1 at 0 for every `α`, which is not 0.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Barron 2017, arXiv:1704.07483.
    #[track_caller]
    pub fn celu(&self, alpha: impl Number) -> Tensor {
        let _scope = Scope::composite("celu");
        let alpha = alpha.number();
        let x = match self.wide_floats("celu") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        let positive = x.gt(0.0);
        positive.where_(&x, (positive.where_(0.0, &x) / alpha).expm1() * alpha).cast(self.dtype())
    }

    /// `λ x` where positive, else `λ α (e^x - 1)`, with the constants that keep mean 0 and variance 1.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Klambauer et al. 2017, arXiv:1706.02515.
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        let _scope = Scope::composite("selu");
        let x = match self.wide_floats("selu") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        (x.elu(SELU_ALPHA) * SELU_SCALE).cast(self.dtype())
    }

    /// [`Tensor::clamp`] as an activation: limited to `[min, max]`, with a gradient of 0 at and outside the bounds.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn hardtanh(&self, min: impl Number, max: impl Number) -> Tensor {
        let _scope = Scope::composite("hardtanh");
        let (min, max) = (min.number(), max.number());
        self.clamp(min, max)
    }

    /// `min(max(x, 0), 6)`. The gradient is 0 at 0 and 6.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Source
    /// Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10".
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        let _scope = Scope::composite("relu6");
        self.clamp(0.0, 6.0)
    }

    /// `min(max(x + 3, 0), 6) / 6`. The gradient is 0 at -3 and 3.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Howard et al. 2019, arXiv:1905.02244, §5.2.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        let _scope = Scope::composite("hardsigmoid");
        let x = match self.wide_floats("hardsigmoid") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        ((x + 3.0).clamp(0.0, 6.0) / 6.0).cast(self.dtype())
    }

    /// `x · hardsigmoid(x)`. The gradient is 0 at -3 and 1 at 3.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// Not floats.
    /// # Source
    /// Howard et al. 2019, arXiv:1905.02244, §5.2.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        let _scope = Scope::composite("hardswish");
        let x = match self.wide_floats("hardswish") {
            Ok(x) => x,
            Err(failed) => return failed,
        };
        // The two outer pieces are 0 and x themselves, and so are their derivatives; there the curve may overflow, and 0 stands
        // in for x.
        let (low, high) = (x.le(-3.0), x.ge(3.0));
        let within = low.or(&high).where_(0.0, &x);
        let curve = &within * (&within + 3.0) / 6.0;
        low.where_(0.0, high.where_(&x, curve)).cast(self.dtype())
    }

    /// `x` where `|x| > λ`, else 0, and so is the gradient.
    ///
    /// # Shapes
    /// `[..]` → the same
    /// # Errors
    /// U32 and truth values, which have no sign.
    #[track_caller]
    pub fn hardshrink(&self, lambda: impl Number) -> Tensor {
        let _scope = Scope::composite("hardshrink");
        let lambda = lambda.number();
        self.abs().gt(lambda).where_(self, 0.0)
    }

    /// `x - λ` where `x > λ`, `x + λ` where `x < -λ`, else 0, and so is the gradient.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn softshrink(&self, lambda: impl Number) -> Tensor {
        let _scope = Scope::composite("softshrink");
        let lambda = lambda.number();
        let low = self.lt(-lambda).where_(self + lambda, 0.0);
        self.gt(lambda).where_(self - lambda, low)
    }

    /// `x` where it is above `threshold`, else `value`, where the gradient is 0.
    ///
    /// # Shapes
    /// `[..]` → the same
    #[track_caller]
    pub fn threshold(&self, threshold: impl Number, value: impl Number) -> Tensor {
        let _scope = Scope::composite("threshold");
        let (threshold, value) = (threshold.number(), value.number());
        self.gt(threshold).where_(self, value)
    }

    /// `a · σ(b)` with `a` and `b` the halves of `axis`.
    ///
    /// # Shapes
    /// `[.., 2 C, ..]` → `[.., C, ..]`
    /// # Errors
    /// An axis that there is not, or whose extent is odd; not floats.
    /// # Source
    /// Dauphin et al. 2016, arXiv:1612.08083.
    #[track_caller]
    pub fn glu(&self, axis: impl IntoAxis) -> Tensor {
        let _scope = Scope::composite("glu");
        let [a, b] = match self.halves("glu", axis) {
            Ok(halves) => halves,
            Err(failed) => return failed,
        };
        (a * b.sigmoid()).cast(self.dtype())
    }

    /// `silu(a) · b` with `a` and `b` the halves of `axis`.
    ///
    /// # Shapes
    /// `[.., 2 C, ..]` → `[.., C, ..]`
    /// # Errors
    /// An axis that there is not, or whose extent is odd; not floats.
    /// # Source
    /// Shazeer 2020, arXiv:2002.05202.
    #[track_caller]
    pub fn swiglu(&self, axis: impl IntoAxis) -> Tensor {
        let _scope = Scope::composite("swiglu");
        let [a, b] = match self.halves("swiglu", axis) {
            Ok(halves) => halves,
            Err(failed) => return failed,
        };
        (a.silu() * b).cast(self.dtype())
    }

    /// The two halves of an axis, in F32 at least.
    #[track_caller]
    fn halves(&self, op: &'static str, axis: impl IntoAxis) -> Result<[Tensor; 2], Tensor> {
        let axis = self.axis(op, axis)?;
        let x = self.wide_floats(op)?;
        let extent = self.shape()[axis];
        if !extent.is_multiple_of(2) {
            let problem = format!("has no halves at axis {axis}");
            return Err(self.fail(op, ErrorKind::Shape { shape: self.shape().to_vec(), problem }));
        }
        Ok([0, extent / 2].map(|first| x.strided(axis, first, 1, extent / 2)))
    }
}
