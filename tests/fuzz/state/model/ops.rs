//! What expressions compute, and the gradients that go back through them.

use std::collections::BTreeMap;

use super::{
    super::actions::{One, Two},
    Node, Of, Tensor,
};

impl One {
    pub fn of(self, x: &[f64], n: usize) -> Vec<f64> {
        let at = |f: &dyn Fn(usize, usize) -> f64| (0..x.len()).map(|k| f(k / n, k % n)).collect();
        match self {
            One::Neg => x.iter().map(|x| -x).collect(),
            One::Half => x.iter().map(|x| x * 0.5).collect(),
            One::Tanh => x.iter().map(|x| x.tanh()).collect(),
            One::Square => x.iter().map(|x| x * x).collect(),
            One::Transpose => at(&|i, j| x[j * n + i]),
            One::Flip => at(&|i, j| x[(n - 1 - i) * n + j]),
            One::Roll => at(&|i, j| x[i * n + (j + n - 1) % n]),
            One::Mean => at(&|_, j| (0..n).map(|i| x[i * n + j]).sum::<f64>() / n as f64),
            One::Detach => x.to_vec(),
        }
    }

    /// The gradient of the input, from that of the output.
    fn pull(self, g: &[f64], x: &[f64], y: &[f64], n: usize) -> Vec<f64> {
        match self {
            One::Tanh => g.iter().zip(y).map(|(g, y)| g * (1.0 - y * y)).collect(),
            One::Square => g.iter().zip(x).map(|(g, x)| 2.0 * g * x).collect(),
            One::Roll => (0..g.len()).map(|k| g[k / n * n + (k % n + 1) % n]).collect(),
            // Symmetric matrices, as maps.
            One::Neg | One::Half | One::Transpose | One::Flip | One::Mean | One::Detach => self.of(g, n),
        }
    }
}

impl Two {
    pub fn of(self, a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        let each = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect();
        match self {
            Two::Mid => each(&|a, b| (a + b) * 0.5),
            Two::Gap => each(&|a, b| (a - b) * 0.5),
            Two::Mul => each(&|a, b| a * b),
            Two::MatMul => {
                let dot = |i: usize, j: usize| (0..n).map(|k| a[i * n + k] * b[k * n + j]).sum::<f64>() / n as f64;
                (0..n * n).map(|k| dot(k / n, k % n)).collect()
            }
        }
    }

    /// The gradients of both inputs.
    fn pull(self, g: &[f64], a: &[f64], b: &[f64], n: usize) -> [Vec<f64>; 2] {
        let times = |f: f64| g.iter().map(|g| g * f).collect();
        match self {
            Two::Mid => [times(0.5), times(0.5)],
            Two::Gap => [times(0.5), times(-0.5)],
            Two::Mul => [Two::Mul.of(g, b, n), Two::Mul.of(g, a, n)],
            Two::MatMul => {
                let t = |x: &[f64]| One::Transpose.of(x, n);
                [Two::MatMul.of(g, &t(b), n), Two::MatMul.of(&t(a), g, n)]
            }
        }
    }
}

/// The gradients of a loss with respect to the leaves that are tracked.
pub fn gradients(tensors: &[Tensor], loss: Node, n: usize) -> BTreeMap<Node, Vec<f64>> {
    let mut open = BTreeMap::from([(loss, vec![1.0])]);
    let mut found = BTreeMap::new();
    // Inputs are older: the youngest that is left never gets another contribution.
    while let Some((node, g)) = open.pop_last() {
        let Tensor { of, value, .. } = &tensors[node];
        let parts: Vec<(Node, Vec<f64>)> = match of {
            Of::Host => vec![],
            Of::Version(..) => {
                found.insert(node, g);
                continue;
            }
            Of::One(f, x) => vec![(*x, f.pull(&g, &tensors[*x].value, value, n))],
            Of::Two(f, a, b) => {
                let [da, db] = f.pull(&g, &tensors[*a].value, &tensors[*b].value, n);
                vec![(*a, da), (*b, db)]
            }
            Of::Mean(x) => vec![(*x, vec![g[0] / tensors[*x].value.len() as f64; tensors[*x].value.len()])],
            Of::Spread(x) => vec![(*x, vec![g.iter().sum()])],
        };
        for (input, part) in parts.into_iter().filter(|(input, _)| tensors[*input].tracked) {
            match open.get_mut(&input) {
                Some(sum) => sum.iter_mut().zip(part).for_each(|(s, p)| *s += p),
                None => {
                    open.insert(input, part);
                }
            }
        }
    }
    found
}
