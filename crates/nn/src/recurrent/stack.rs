//! Layers on one another, each in one direction or in both.

use thalweg_graph::{
    Device, ErrorKind, Module, Path, Result, Rng, Scope, Tensor, Visitor, VisitorMut, scan, scan_back,
};

use super::{
    kind::Kind,
    weights::{Drawn, Weights},
};
use crate::{Dropout, init::invalid, wide};

/// How a stack is made.
#[derive(Clone, Debug)]
pub struct Settings {
    pub kind: Kind,
    pub inputs: usize,
    pub drawn: Drawn,
    pub layers: usize,
    pub bidirectional: bool,
    pub batch_first: bool,
    pub dropout: f64,
}

/// Recurrent layers, of which each reads what the one below gives in all of its directions.
#[derive(Clone, Debug)]
pub struct Stack {
    settings: Settings,
    /// Of each layer forwards, and backwards.
    layers: Vec<Vec<Weights>>,
    dropout: Dropout,
}

impl Settings {
    pub fn new(kind: Kind, inputs: usize, hidden: usize) -> Settings {
        let drawn = Drawn::new(hidden);
        Settings { kind, inputs, drawn, layers: 1, bidirectional: false, batch_first: false, dropout: 0.0 }
    }

    fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Stack> {
        let Settings { kind, inputs, layers, ref drawn, .. } = self;
        if [inputs, drawn.hidden, layers].contains(&0) {
            let problem = format!("{inputs} inputs and {} hidden units in {layers} layers", drawn.hidden);
            return Err(invalid(kind.name(), problem));
        }
        if drawn.projection >= drawn.hidden {
            let problem = format!("a projection of {} hidden units to {}", drawn.hidden, drawn.projection);
            return Err(invalid(kind.name(), problem));
        }
        let directions = self.directions();
        let above = drawn.width().saturating_mul(directions);
        let mut made = Vec::new();
        for layer in 0..layers {
            let inputs = if layer == 0 { inputs } else { above };
            let mut ways = Vec::new();
            for _ in 0..directions {
                ways.push(drawn.weights(kind, inputs, device, rng)?);
            }
            made.push(ways);
        }
        let dropout = Dropout::new(self.dropout).init(device, rng)?;
        Ok(Stack { settings: self, layers: made, dropout })
    }
}

/// An input in the order that layers walk in.
struct Input {
    /// `[T, B, in]`.
    x: Tensor,
    /// Which steps take part, `[T, B, 1]`.
    mask: Option<Tensor>,
    /// Whether there was an axis of samples.
    batched: bool,
}

impl Stack {
    /// What the last layer gives at every step, and what each layer and direction ends with.
    #[track_caller]
    pub fn run(&self, x: &Tensor, lengths: Option<&Tensor>, start: Option<Vec<Tensor>>) -> (Tensor, Vec<Tensor>) {
        let _scope = Scope::composite(self.settings.kind.name());
        match self.walk(x, lengths, start) {
            Ok(results) => results,
            Err(failed) => (failed.clone(), vec![failed; self.settings.kind.carries()]),
        }
    }

    #[track_caller]
    fn walk(
        &self,
        x: &Tensor,
        lengths: Option<&Tensor>,
        start: Option<Vec<Tensor>>,
    ) -> std::result::Result<(Tensor, Vec<Tensor>), Tensor> {
        let Settings { kind, batch_first, .. } = self.settings;
        let input = self.input(x, lengths)?;
        let starts = self.starts(&input, start)?;
        let directions = self.settings.directions();
        let mut below = input.x;
        let mut ends = vec![Vec::new(); kind.carries()];
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                below = self.dropout.forward(&below);
            }
            let mut rows = Vec::new();
            for (direction, weights) in layer.iter().enumerate() {
                let at = |all: &Tensor| all.select(0, (number * directions + direction) as isize);
                let start: Vec<Tensor> = starts.iter().map(at).collect();
                let (y, end) = along(kind, weights, &below, input.mask.as_ref(), &start, direction == 1)?;
                rows.push(y);
                ends.iter_mut().zip(end).for_each(|(ends, end)| ends.push(end));
            }
            below = if rows.len() == 1 { rows.remove(0) } else { Tensor::concat(&rows, -1) };
        }
        let below = below.cast(x.dtype());
        let ends = ends.into_iter().map(|ends| Tensor::stack(&ends, 0).cast(x.dtype()));
        Ok(match (input.batched, batch_first) {
            (false, _) => (below.squeeze(1), ends.map(|end| end.squeeze(1)).collect()),
            (true, true) => (below.transpose(0, 1), ends.collect()),
            (true, false) => (below, ends.collect()),
        })
    }

    #[track_caller]
    fn input(&self, x: &Tensor, lengths: Option<&Tensor>) -> std::result::Result<Input, Tensor> {
        let Settings { kind, inputs, batch_first, .. } = self.settings;
        let op = kind.name();
        x.check().map_err(|_| x.clone())?;
        if !x.dtype().is_float() {
            let problem = "is no input; cast to a float first".to_string();
            return Err(x.fail(op, ErrorKind::DType { got: x.dtype(), problem }));
        }
        let batched = x.rank() == 3;
        if !(batched || (x.rank() == 2 && lengths.is_none())) || x.shape()[x.rank() - 1] != inputs {
            let axes = if batch_first { "batch, time" } else { "time, batch" };
            let problem = format!("is not [{axes}, {inputs}]");
            return Err(x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }));
        }
        let x = match (batched, batch_first) {
            (false, _) => x.unsqueeze(1),
            (true, true) => x.transpose(0, 1),
            (true, false) => x.clone(),
        };
        let Some(lengths) = lengths else { return Ok(Input { x, mask: None, batched }) };
        lengths.check().map_err(|_| lengths.clone())?;
        let (steps, batch) = (x.shape()[0], x.shape()[1]);
        if lengths.shape() != [batch] || lengths.dtype().is_float() {
            let problem = format!("is no length for each of {batch} sequences: whole numbers [{batch}]");
            return Err(lengths.fail(op, ErrorKind::Shape { shape: lengths.shape().to_vec(), problem }));
        }
        let mask = Tensor::arange(x.device(), steps).unsqueeze(1).lt(lengths).unsqueeze(-1);
        // Nothing of what stands behind a sequence counts, not even that it is no number.
        let x = mask.where_(&x, 0.0);
        Ok(Input { x, mask: Some(mask), batched })
    }

    /// What each carry starts with in every layer and direction: zeros if nothing is given.
    #[track_caller]
    fn starts(&self, input: &Input, given: Option<Vec<Tensor>>) -> std::result::Result<Vec<Tensor>, Tensor> {
        let Settings { kind, layers, ref drawn, .. } = self.settings;
        let rows = layers * self.settings.directions();
        let widths = [drawn.width(), drawn.hidden];
        let shapes = widths.into_iter().take(kind.carries()).map(|width| [rows, input.x.shape()[1], width]);
        let Some(given) = given else {
            let like = wide(&input.x);
            return Ok(shapes.map(|shape| Tensor::full(like.device(), 0.0, shape, like.dtype())).collect());
        };
        given
            .iter()
            .zip(shapes)
            .map(|(state, [rows, batch, width])| {
                state.check().map_err(|_| state.clone())?;
                let shape = if input.batched { vec![rows, batch, width] } else { vec![rows, width] };
                if state.shape() != shape || !state.dtype().is_float() {
                    let problem = format!("is no state of this layer for this input: floats {shape:?}");
                    return Err(state.fail(kind.name(), ErrorKind::Shape { shape: state.shape().to_vec(), problem }));
                }
                Ok(wide(&if input.batched { state.clone() } else { state.unsqueeze(1) }))
            })
            .collect()
    }
}

/// One layer in one direction. Where a sequence takes no part, its state stays what it is and it gives zeros: forwards the state
/// of its last step is the last, backwards the first state waits for that step.
#[track_caller]
fn along(
    kind: Kind,
    weights: &Weights,
    x: &Tensor,
    mask: Option<&Tensor>,
    start: &[Tensor],
    back: bool,
) -> std::result::Result<(Tensor, Vec<Tensor>), Tensor> {
    let of_x = weights.of_inputs(kind, x);
    let starts: Vec<Tensor> = start.iter().map(|start| start.cast(of_x.dtype())).collect();
    let carries: Vec<&Tensor> = starts.iter().collect();
    let sequences: Vec<&Tensor> = [&of_x].into_iter().chain(mask).collect();
    let step = |carries: &[Tensor], rows: &[Tensor]| {
        // The product is given for the sake of the gradient.
        let (next, product) = weights.step(kind, &rows[0], carries);
        let Some(takes_part) = rows.get(1) else { return (next.clone(), vec![next[0].clone(), product]) };
        let y = takes_part.where_(&next[0], 0.0);
        let kept = next.iter().zip(carries).map(|(next, carry)| takes_part.where_(next, carry));
        (kept.collect(), vec![y, product])
    };
    let walked = if back { scan_back(&carries, &sequences, step) } else { scan(&carries, &sequences, step) };
    match walked {
        Ok((ends, mut ys)) => Ok((ys.remove(0), ends)),
        Err(error) => Err(x.fail(kind.name(), error.kind().clone())),
    }
}

/// Parameters have PyTorch's names: `weight_ih_l0`, `bias_hh_l1_reverse`.
impl Module for Stack {
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
        for (number, layer) in self.layers.iter().enumerate() {
            for (weights, reverse) in layer.iter().zip(SUFFIXES) {
                weights.visit(path, &format!("_l{number}{reverse}"), visitor);
            }
        }
        self.dropout.visit(&path.join("dropout"), visitor);
    }

    fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
        for (number, layer) in self.layers.iter_mut().enumerate() {
            for (weights, reverse) in layer.iter_mut().zip(SUFFIXES) {
                weights.visit_mut(path, &format!("_l{number}{reverse}"), visitor);
            }
        }
        self.dropout.visit_mut(&path.join("dropout"), visitor);
    }
}

const SUFFIXES: [&str; 2] = ["", "_reverse"];
