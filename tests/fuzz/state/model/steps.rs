//! Gradients and steps.

use std::collections::BTreeMap;

use super::{Done, Fault, Grad, Grads, Model, Need, Node, Of, STALE, Sum, Var, Want, ops::gradients};

/// What a step goes by: only a sum's gradients are looked at without being asked.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum By {
    Loss(Node),
    Gradients,
    Sum,
}

impl Model {
    pub(super) fn backward(&mut self, loss: Node) -> Want<Grads> {
        if self.carries_error(loss) {
            return Err(STALE.to_vec());
        }
        let t = &self.tensors[loss];
        let mut faults = Vec::new();
        if t.value.len() != 1 {
            faults.push(Fault::Shape);
        }
        if !t.tracked {
            faults.push(Fault::Gradient);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if self.is_old(&[loss]) && self.saw_stale {
            // Or was it met by a step, which lets go of what can never be computed?
            self.unsure |= self.pending(false).iter().any(|(_, n)| self.need(*n) != Need::Fine);
            self.meet(Need::Perhaps)?;
        }
        self.passes += 1;
        let mut of: BTreeMap<Var, Grad> = BTreeMap::new();
        for (leaf, value) in gradients(&self.tensors, loss, self.size) {
            let Of::Version(var, version) = self.tensors[leaf].of else { continue };
            let done = if self.eager && !self.is_old(&[loss]) { Done::Yes } else { Done::No };
            let one = Grad { value, version, from: vec![loss], done, given: false };
            let sum = match of.remove(&var) {
                Some(known) => known.plus(&one),
                None => one,
            };
            of.insert(var, sum);
        }
        Ok(Grads { pass: self.passes, of })
    }

    pub(super) fn need_of(&self, grad: &Grad) -> Need {
        if grad.done < Done::Yes && self.is_old(&grad.from) { Need::Perhaps } else { Need::Fine }
    }

    pub(super) fn step(&mut self, opt: usize, loss: Node) -> Want<()> {
        let grads = self.backward(loss)?;
        self.advance(opt, &grads, By::Loss(loss))
    }

    /// A step by gradients.
    pub(super) fn advance(&mut self, opt: usize, grads: &Grads, by: By) -> Want<()> {
        let loss = if let By::Loss(loss) = by { Some(loss) } else { None };
        let o = self.opts[opt].clone();
        let moves: Vec<&(String, Var)> =
            o.params.iter().filter(|(_, v)| grads.of.contains_key(v) && !self.vars[*v].frozen).collect();
        let mut faults = Vec::new();
        if o.passes.contains(&grads.pass) {
            faults.push(Fault::Invalid);
        }
        let room: Vec<String> = moves.iter().map(|(name, _)| name.clone()).collect();
        if moves.is_empty() {
            faults.push(Fault::Gradient);
        }
        let mut need = loss.map_or(Need::Fine, |l| self.need(l));
        for (_, var) in &moves {
            let (v, g) = (&self.vars[*var], &grads.of[var]);
            if v.version != g.version && v.applied != Some((grads.pass, g.version)) {
                faults.push(Fault::Stale);
            }
            need = need.max(self.need_of(g));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // What states of this thread and of the module were set to.
        let mut due = self.pending(true);
        due.extend(self.pending(false).into_iter().filter(|(v, _)| o.carried.contains(v)));
        due.sort_unstable();
        due.dedup();
        // What can never be computed any more is let go, so that one error does not stay for ever.
        let lost: Vec<Var> = due.iter().filter(|(_, n)| self.need(*n) == Need::Stale).map(|(v, _)| *v).collect();
        let perhaps = need == Need::Perhaps || due.iter().any(|(_, n)| self.need(*n) == Need::Perhaps);
        if need == Need::Stale || !lost.is_empty() || perhaps && self.saw_stale {
            self.unsure |= perhaps && self.saw_stale && !due.is_empty();
            lost.iter().for_each(|v| self.vars[*v].pending = None);
            return Err(STALE.to_vec());
        }
        self.compute(&loss.into_iter().collect::<Vec<_>>());
        self.compute_along(&due.iter().map(|(_, n)| *n).collect::<Vec<_>>());
        self.before_writing(&due.iter().map(|(v, _)| *v).collect::<Vec<_>>());
        let from: Vec<Node> = moves.iter().flat_map(|(_, v)| grads.of[v].from.clone()).collect();
        self.touch(&from);

        let norm = moves.iter().flat_map(|(_, v)| &grads.of[v].value).map(|g| g * g).sum::<f64>().sqrt();
        let is_finite = loss.is_none_or(|l| self.tensors[l].value[0].is_finite());
        let is_measured = o.clip_norm.is_some() || by == By::Sum;
        let is_finite = is_finite && (norm.is_finite() || !is_measured);
        let clip = o.clip_norm.map_or(1.0, |c| (c / (norm + 1e-6)).min(1.0));
        for (name, var) in moves {
            let mut value = self.vars[*var].value.clone();
            if is_finite {
                let limit = o.clip_value.unwrap_or(f64::INFINITY);
                let g: Vec<f64> = grads.of[var].value.iter().map(|g| (g * clip).clamp(-limit, limit)).collect();
                let slots = self.opts[opt].slots.entry(name.clone()).or_default();
                o.rule(name).step(o.rate(name), &mut value, &g, slots);
            }
            let of = grads.of[var].version;
            self.write(*var, value);
            self.vars[*var].applied = Some((grads.pass, of));
        }
        for (var, node) in due {
            let v = &self.vars[var];
            let value = if is_finite { self.tensors[node].value.clone() } else { v.value.clone() };
            self.write(var, value);
        }
        let o = &mut self.opts[opt];
        o.room.extend(room);
        o.passes.insert(grads.pass);
        match is_finite {
            true => o.steps += 1,
            false => o.skipped += 1,
        }
        Ok(())
    }

    /// Gradients that somebody holds are all computed by the step that applies them: others may apply them as well.
    pub(super) fn apply(&mut self, opt: usize, id: usize) -> Want<()> {
        let mut grads = self.grads[&id].clone();
        for grad in grads.of.values_mut() {
            // What belongs to an old version may be beyond computing by now.
            let perhaps = grad.given || self.need_of(grad) != Need::Fine;
            grad.done = if perhaps { grad.done.max(Done::Perhaps) } else { Done::Yes };
        }
        // What they were computed from, too.
        self.touch(&grads.of.values().flat_map(|grad| grad.from.clone()).collect::<Vec<_>>());
        self.advance(opt, &self.grads[&id].clone(), By::Gradients)?;
        self.grads.insert(id, grads);
        Ok(())
    }

    pub(super) fn accumulate(&mut self, opt: usize, loss: Node) -> Want<()> {
        let mut grads = self.backward(loss)?;
        self.own_sum(opt)?;
        let need = grads.of.values().map(|g| self.need_of(g)).max().unwrap_or(Need::Fine);
        self.meet(need.max(self.need(loss)))?;
        self.compute(&[loss]);
        // What states were set to no longer holds a graph.
        let waiting = self.pending(true).into_iter().map(|(_, n)| n).filter(|n| self.need(*n) == Need::Fine);
        let waiting: Vec<Node> = waiting.collect();
        self.compute(&waiting);
        grads.of.values_mut().for_each(|g| g.done = Done::Yes);
        let (grads, losses) = match self.opts[opt].sum.take() {
            Some(sum) => (self.plus(&sum.grads, &grads), sum.losses + 1),
            None => (grads, 1),
        };
        self.opts[opt].sum = Some(Sum { grads, losses, call: self.call });
        Ok(())
    }

    /// What a compiled function begins to add up it must end.
    fn own_sum(&mut self, opt: usize) -> Want<()> {
        let call = self.call;
        match self.opts[opt].sum.take_if(|sum| sum.call != call) {
            Some(_) => Err(vec![Fault::Invalid]),
            None => Ok(()),
        }
    }

    pub(super) fn step_accumulated(&mut self, opt: usize) -> Want<()> {
        self.own_sum(opt)?;
        let Some(Sum { mut grads, losses, .. }) = self.opts[opt].sum.clone() else { return Err(vec![Fault::Invalid]) };
        grads.of.values_mut().for_each(|g| g.value.iter_mut().for_each(|x| *x /= f64::from(losses)));
        let result = self.advance(opt, &grads, By::Sum);
        // What can never be applied any more is let go.
        if result.as_ref().err().is_none_or(|faults| faults.contains(&Fault::Stale)) {
            self.opts[opt].sum = None;
        }
        result
    }

    pub(super) fn plus(&mut self, a: &Grads, b: &Grads) -> Grads {
        let mut of = a.of.clone();
        for (var, g) in &b.of {
            let sum = of.get(var).map_or(g.clone(), |known| known.plus(g));
            of.insert(*var, sum);
        }
        self.passes += 1;
        Grads { pass: self.passes, of }
    }
}

impl Grad {
    /// The sum; of two versions it belongs to the older one.
    pub(super) fn plus(&self, other: &Grad) -> Grad {
        Grad {
            value: self.value.iter().zip(&other.value).map(|(a, b)| a + b).collect(),
            version: self.version.min(other.version),
            from: [&self.from[..], &other.from[..]].concat(),
            done: self.done.min(other.done),
            given: false,
        }
    }
}
