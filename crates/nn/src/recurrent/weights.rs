//! The parameters of one direction of one layer, which are those of a cell.

use thalweg_graph::{Device, Param, Path, Result, Rng, Tensor, Visitor, VisitorMut};

use super::kind::Kind;
use crate::{Init, wide};

/// The parameters of a cell, whose gates stand one below the other in the order in which [`Kind::next`] takes them.
///
/// # Shapes
/// `weight_ih [gates · H, in]`, `weight_hh [gates · H, P]`, `bias_ih` and `bias_hh [gates · H]`, `weight_hr [P, H]`; without a
/// projection P is H
#[derive(Clone, Debug)]
pub struct Weights {
    weight_ih: Param,
    weight_hh: Param,
    bias_ih: Option<Param>,
    bias_hh: Option<Param>,
    weight_hr: Option<Param>,
}

/// What they are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub hidden: usize,
    pub bias: bool,
    /// The width that h is projected to; 0 for none.
    pub projection: usize,
    /// Of each gate; uniform in `±1 / √H` if none is given.
    pub weights: Option<Init>,
    pub recurrent: Option<Init>,
    pub forget_bias: Option<f64>,
}

impl Drawn {
    pub fn new(hidden: usize) -> Drawn {
        Drawn { hidden, bias: true, projection: 0, weights: None, recurrent: None, forget_bias: None }
    }

    /// The width of h.
    pub fn width(&self) -> usize {
        if self.projection > 0 { self.projection } else { self.hidden }
    }

    #[track_caller]
    pub fn weights(&self, kind: Kind, inputs: usize, device: &Device, rng: &mut Rng) -> Result<Weights> {
        let weight_ih = self.of_gates(kind, self.weights, inputs, device, rng)?;
        let weight_hh = self.of_gates(kind, self.recurrent, self.width(), device, rng)?;
        let bias_ih = self.bias(kind, self.forget_bias, device, rng)?;
        let bias_hh = self.bias(kind, self.forget_bias.map(|_| 0.0), device, rng)?;
        let weight_hr = match self.projection {
            0 => None,
            width => Some(self.uniform().param(device, [width, self.hidden], rng)?),
        };
        Ok(Weights { weight_ih, weight_hh, bias_ih, bias_hh, weight_hr })
    }

    /// What PyTorch draws everything from.
    fn uniform(&self) -> Init {
        Init::Uniform(1.0 / (self.hidden as f64).sqrt())
    }

    fn rows(&self, kind: Kind) -> usize {
        kind.gates().saturating_mul(self.hidden)
    }

    /// A weight of all gates, each drawn by itself: what depends on the shape of a weight is meant for that of one gate.
    #[track_caller]
    fn of_gates(
        &self,
        kind: Kind,
        init: Option<Init>,
        columns: usize,
        device: &Device,
        rng: &mut Rng,
    ) -> Result<Param> {
        let shape = [self.rows(kind), columns];
        let Some(init) = init else { return self.uniform().param(device, shape, rng) };
        let mut values = Vec::new();
        for _ in 0..kind.gates() {
            values.extend(init.draw(&[self.hidden, columns], rng)?);
        }
        Param::new(Tensor::from_slice(device, &values, shape))
    }

    /// A bias, if there are any, in which that of the forget gate is given.
    #[track_caller]
    fn bias(&self, kind: Kind, forget: Option<f64>, device: &Device, rng: &mut Rng) -> Result<Option<Param>> {
        if !self.bias {
            return Ok(None);
        }
        let shape = [self.rows(kind)];
        let mut values = self.uniform().draw(&shape, rng)?;
        if let (Kind::Lstm, Some(forget)) = (kind, forget) {
            values[self.hidden..2 * self.hidden].fill(forget as f32);
        }
        Param::new(Tensor::from_slice(device, &values, shape)).map(Some)
    }
}

impl Weights {
    /// What the inputs give to the gates, in F32 at least: `W_ih x + b_ih`, with b_hh where that is only added.
    ///
    /// # Shapes
    /// `[.., in]` → `[.., gates · H]`
    #[track_caller]
    pub fn of_inputs(&self, kind: Kind, x: &Tensor) -> Tensor {
        let of_x = wide(x).matmul(&self.weight_ih.tensor().t());
        let biases = [Some(&self.bias_ih), kind.adds().then_some(&self.bias_hh)];
        let bias = biases.into_iter().flatten().flatten().map(Param::tensor).reduce(|sum, bias| sum + bias);
        bias.map_or(of_x.clone(), |bias| of_x + bias)
    }

    /// One step: what goes to the next, from what the inputs give to the gates; and what of the step its gradient reads again.
    ///
    /// # Shapes
    /// `[B, gates · H]`, carries `[B, P]` and `[B, H]` → the carries, and `[B, gates · H]`
    #[track_caller]
    pub fn step(&self, kind: Kind, of_x: &Tensor, carries: &[Tensor]) -> (Vec<Tensor>, Tensor) {
        let of_h = carries[0].matmul(&self.weight_hh.tensor().t());
        let of_h = match &self.bias_hh {
            Some(bias) if !kind.adds() => of_h + bias.tensor(),
            _ => of_h,
        };
        let (mut next, product) = kind.next(of_x, of_h, carries);
        if let Some(weight) = &self.weight_hr {
            next[0] = next[0].matmul(&weight.tensor().t());
        }
        (next, product)
    }

    /// Shows a visitor every parameter, as PyTorch calls it: its name and a suffix.
    pub fn visit(&self, path: &Path, suffix: &str, visitor: &mut dyn Visitor) {
        let Weights { weight_ih, weight_hh, bias_ih, bias_hh, weight_hr } = self;
        for (name, param) in NAMES.into_iter().zip([
            Some(weight_ih),
            Some(weight_hh),
            bias_ih.as_ref(),
            bias_hh.as_ref(),
            weight_hr.as_ref(),
        ]) {
            if let Some(param) = param {
                visitor.param(&path.join(format_args!("{name}{suffix}")), param);
            }
        }
    }

    /// The same for a visitor that may replace them.
    pub fn visit_mut(&mut self, path: &Path, suffix: &str, visitor: &mut dyn VisitorMut) {
        let Weights { weight_ih, weight_hh, bias_ih, bias_hh, weight_hr } = self;
        for (name, param) in NAMES.into_iter().zip([
            Some(weight_ih),
            Some(weight_hh),
            bias_ih.as_mut(),
            bias_hh.as_mut(),
            weight_hr.as_mut(),
        ]) {
            if let Some(param) = param {
                visitor.param(&path.join(format_args!("{name}{suffix}")), param);
            }
        }
    }
}

const NAMES: [&str; 5] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"];
