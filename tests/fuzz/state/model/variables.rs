//! Variables: versions, writes, what is pending.

use super::{Model, Need, Node, Optimizer, Var, Variable, Want};

impl Model {
    pub(super) fn variable(&mut self, value: Vec<f64>, trainable: bool) -> Var {
        let (training, frozen, pending, applied) = (true, false, None, None);
        self.vars.push(Variable { value, version: 0, trainable, training, frozen, pending, applied });
        self.vars.len() - 1
    }

    pub(super) fn write(&mut self, var: Var, value: Vec<f64>) {
        let v = &mut self.vars[var];
        v.value = value;
        v.version += 1;
        v.pending = None;
        v.applied = None;
    }

    /// Whether somebody still holds a variable.
    pub(super) fn is_alive(&self, var: Var) -> bool {
        let all = || self.steps.values().map(|s| &s.handles).chain([&self.handles]);
        let in_net = |n: usize| self.nets[n].params.contains(&var) || self.nets[n].states.contains(&var);
        let in_opt = |o: usize| {
            let Optimizer { params, carried, .. } = &self.opts[o];
            params.iter().any(|(_, v)| *v == var) || carried.contains(&var)
        };
        all().any(|h| {
            h.params.values().chain(h.states.values()).any(|v| *v == var)
                || h.nets.values().any(|n| in_net(*n))
                || h.opts.values().any(|o| in_opt(*o))
        }) || self.averages.values().any(|a| a.values.contains(&var) || a.params.iter().any(|(_, v)| *v == var))
    }

    /// The states that are set and not written, on this thread or any.
    pub(super) fn pending(&self, here: bool) -> Vec<(Var, Node)> {
        let set = |(var, v): (usize, &Variable)| {
            let (node, threads) = v.pending.as_ref()?;
            (threads.contains(&self.thread) || !here).then_some((var, *node))
        };
        let set: Vec<(Var, Node)> = self.vars.iter().enumerate().filter_map(set).collect();
        set.into_iter().filter(|(var, _)| self.is_alive(*var)).collect()
    }

    /// Rule 8: before something is overwritten, what states were set to is computed; not of those that are overwritten.
    pub(super) fn before_writing(&mut self, written: &[Var]) {
        let others = self.pending(true).into_iter().filter(|(var, _)| !written.contains(var));
        let fine: Vec<Node> = others.map(|(_, node)| node).filter(|node| self.need(*node) == Need::Fine).collect();
        self.compute(&fine);
        let all: Vec<Node> = self.pending(false).into_iter().map(|(_, node)| node).collect();
        self.touch(&all);
    }

    /// What `set` and `write` do.
    pub(super) fn set(&mut self, var: Var, value: Node) -> Want<()> {
        let shown = self.shown(value);
        let value = self.computed(shown)?;
        self.before_writing(&[var]);
        self.write(var, value);
        Ok(())
    }

    pub(super) fn freeze(&mut self, vars: &[Var], frozen: bool) {
        vars.iter().for_each(|v| self.vars[*v].frozen = frozen);
    }

    pub(super) fn is_tame_value(value: &[f64]) -> bool {
        value.iter().all(|x| x.abs() < 100.0)
    }

    /// Whether it is not known what happened.
    pub fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Whether all variables are small: else rounding may grow without bounds.
    pub fn is_tame(&self) -> bool {
        let shown =
            |v: &Variable| v.pending.as_ref().is_none_or(|(n, _)| Model::is_tame_value(&self.tensors[*n].value));
        !self.unsure && self.vars.iter().all(|v| Model::is_tame_value(&v.value) && shown(v))
    }
}
