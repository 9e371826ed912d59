//! Tensors: values that are known, and whether they can still be had.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::actions::One, Done, Model, Need, Node, Of, STALE, Tensor, Var, Want};

impl Model {
    pub fn new(size: usize, eager: bool) -> Model {
        Model { size, eager, ..Model::default() }
    }

    pub(super) fn tensor(&mut self, of: Of, value: Vec<f64>, tracked: bool) -> Node {
        let node = self.tensors.len();
        let done = if matches!(of, Of::Host) { Done::Yes } else { Done::No };
        let computes = self.eager && !matches!(of, Of::Version(..));
        self.tensors.push(Tensor { of, value, tracked, done });
        if computes && self.need(node) == Need::Fine {
            self.tensors[node].done = Done::Yes;
        }
        node
    }

    pub(super) fn leaf(&mut self, var: Var) -> Node {
        let v = &self.vars[var];
        let tracked = v.trainable && v.training && !v.frozen;
        self.tensor(Of::Version(var, v.version), v.value.clone(), tracked)
    }

    /// A tensor that shows the same, without history.
    pub(super) fn shown(&mut self, x: Node) -> Node {
        let value = self.tensors[x].value.clone();
        self.tensor(Of::One(One::Detach, x), value, false)
    }

    pub(super) fn spread(&mut self, x: Node) -> Node {
        let (value, tracked) = (self.tensors[x].value[0], self.tensors[x].tracked);
        self.tensor(Of::Spread(x), vec![value; self.size * self.size], tracked)
    }

    /// Whether a tensor can be computed.
    pub(super) fn need(&self, node: Node) -> Need {
        self.need_in(node, &mut BTreeMap::new())
    }

    pub(super) fn need_in(&self, node: Node, known: &mut BTreeMap<Node, Need>) -> Need {
        if let Some(need) = known.get(&node) {
            return *need;
        }
        let t = &self.tensors[node];
        let need = match (&t.of, t.done) {
            (_, Done::Yes) => Need::Fine,
            (Of::Version(var, version), _) if self.vars[*var].version != *version => Need::Stale,
            (of, done) => {
                let worst = of.inputs().into_iter().map(|x| self.need_in(x, known)).max().unwrap_or(Need::Fine);
                if done == Done::Perhaps { worst.min(Need::Perhaps) } else { worst }
            }
        };
        known.insert(node, need);
        need
    }

    /// Whether any variable that these were recorded from has been written since, computed or not.
    pub(super) fn is_old(&self, nodes: &[Node]) -> bool {
        let stale = |node: &Node| match self.tensors[*node].of {
            Of::Version(var, version) => self.vars[var].version != version,
            _ => false,
        };
        self.cone(nodes).iter().any(stale)
    }

    /// All that these were computed from, themselves included.
    pub(super) fn cone(&self, nodes: &[Node]) -> BTreeSet<Node> {
        let (mut seen, mut stack) = (BTreeSet::new(), nodes.to_vec());
        while let Some(node) = stack.pop() {
            if seen.insert(node) {
                stack.extend(self.tensors[node].of.inputs());
            }
        }
        seen
    }

    /// These are computed, and with them what of their graphs is held.
    pub(super) fn compute(&mut self, roots: &[Node]) {
        self.compute_along(roots);
        for node in roots {
            let tensor = &mut self.tensors[*node];
            if !matches!(tensor.of, Of::Version(..)) {
                tensor.done = Done::Yes;
            }
        }
    }

    /// What of the graphs of these is held is computed; what shows a variable as it lies in memory may or may not be.
    pub(super) fn compute_along(&mut self, roots: &[Node]) {
        let mut handles: BTreeSet<Node> = self.held.values().copied().collect();
        handles.extend(self.vars.iter().filter_map(|v| v.pending.as_ref().map(|(node, _)| *node)));
        for node in self.cone(roots) {
            let is_version = |n: Node| matches!(self.tensors[n].of, Of::Version(..));
            let mut shown = node;
            while self.tensors[shown].of.is_view() {
                shown = self.tensors[shown].of.inputs()[0];
            }
            let done = if handles.contains(&node) && !is_version(shown) { Done::Yes } else { Done::Perhaps };
            // What can never be computed any more has not been.
            if !is_version(node) && self.need(node) != Need::Stale {
                self.tensors[node].done = self.tensors[node].done.max(done);
            }
        }
    }

    /// What these were computed from may have been computed.
    pub(super) fn touch(&mut self, roots: &[Node]) {
        for node in self.cone(roots) {
            if !matches!(self.tensors[node].of, Of::Version(..)) && self.need(node) != Need::Stale {
                self.tensors[node].done = self.tensors[node].done.max(Done::Perhaps);
            }
        }
    }

    /// What is computed at once carries its error on: whether this one does.
    pub(super) fn carries_error(&self, node: Node) -> bool {
        self.eager && self.need(node) == Need::Stale && !matches!(self.tensors[node].of, Of::Version(..))
    }

    /// Nothing is wrong, or the error that something is stale; where both are right, what was seen.
    pub(super) fn meet(&mut self, need: Need) -> Want<()> {
        match need {
            Need::Stale => Err(STALE.to_vec()),
            Need::Perhaps if self.saw_stale => {
                self.unsure |= self.compound;
                Err(STALE.to_vec())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn computed(&mut self, node: Node) -> Want<Vec<f64>> {
        let need = self.need(node);
        self.meet(need)?;
        self.compute(&[node]);
        Ok(self.tensors[node].value.clone())
    }
}
