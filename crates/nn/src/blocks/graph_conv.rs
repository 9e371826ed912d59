//! Convolution over the neighbours of a graph's nodes.

use thalweg_derive::Module;
use thalweg_graph::{DType, Device, ErrorKind, Param, Result, Rng, Scope, Tensor};

use crate::{
    Init, Linear,
    init::{filled, invalid},
};

/// `y = D^-½ (A + I) D^-½ x Wᵀ + b` with the adjacency matrix A of a graph and the degrees D of its nodes, each counted with itself.
///
/// # Shapes
/// `x [.., nodes, in]`, `A [.., nodes, nodes]` → `[.., nodes, out]`; `lin.weight [out, in]`, `bias [out]`
/// # Source
/// Kipf & Welling 2017, arXiv:1609.02907, equation 8.
#[derive(Clone, Debug, Module)]
pub struct GraphConv {
    /// W.
    pub lin: Linear,
    /// b.
    pub bias: Option<Param>,
}

/// How to make a [`GraphConv`].
#[derive(Clone, Debug)]
pub struct GraphConvConfig {
    inputs: usize,
    outputs: usize,
    bias: bool,
}

impl GraphConv {
    /// From `inputs` to `outputs` numbers for each node, with a bias, which is 0 at first; weights are drawn by Glorot's rule.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, outputs: usize) -> GraphConvConfig {
        GraphConvConfig { inputs, outputs, bias: true }
    }

    /// `D^-½ (A + I) D^-½`, in F32 at least, for what else is to be brought from neighbours. The matrix is of truth values, or of weights
    /// of edges.
    ///
    /// # Shapes
    /// `[.., nodes, nodes]` → the same
    /// # Errors
    /// A matrix that is not square.
    #[track_caller]
    pub fn normalised(adjacency: &Tensor) -> Tensor {
        if adjacency.check().is_err() {
            return adjacency.clone();
        }
        let [.., rows, columns] = *adjacency.shape() else { return unfit(adjacency) };
        if rows != columns {
            return unfit(adjacency);
        }
        let a = adjacency.cast(adjacency.dtype().promote(DType::F32));
        let node = Tensor::arange(a.device(), rows);
        let a = &a + node.unsqueeze(1).eq(&node).cast(a.dtype());
        let scale = a.sum_keepdim(-1).rsqrt();
        a * &scale * scale.t()
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `x [.., nodes, in]`, `A [.., nodes, nodes]` → `[.., nodes, out]`
    /// # Errors
    /// A matrix that is not square, or of another number of nodes; another number of inputs.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, adjacency: &Tensor) -> Tensor {
        let _scope = Scope::composite("graph_conv");
        let edges = GraphConv::normalised(&adjacency.cast(x.dtype().promote(DType::F32)));
        let y = edges.matmul(&self.lin.forward(x));
        match &self.bias {
            Some(bias) => (y + bias.tensor()).cast(x.dtype()),
            None => y.cast(x.dtype()),
        }
    }
}

#[track_caller]
fn unfit(adjacency: &Tensor) -> Tensor {
    let problem = "is not [.., nodes, nodes]".to_string();
    adjacency.fail("graph_conv", ErrorKind::Shape { shape: adjacency.shape().to_vec(), problem })
}

impl GraphConvConfig {
    setters! {
        /// With or without a bias.
        bias: bool;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No inputs or outputs; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<GraphConv> {
        if self.inputs == 0 || self.outputs == 0 {
            return Err(invalid("graph_conv", format!("{} inputs and {} outputs", self.inputs, self.outputs)));
        }
        let lin = Linear::new(self.inputs, self.outputs).bias(false).weights(Init::xavier_uniform(1.0));
        let bias = self.bias.then(|| Param::new(filled(device, 0.0, &[self.outputs]))).transpose()?;
        Ok(GraphConv { lin: lin.init(device, rng)?, bias })
    }
}
