//! Actions, one by one.

use std::collections::BTreeSet;

use super::{
    super::actions::{Action, Kind, Machine, OptSpec, RATES, Stmt, rule},
    Average, Done, Fault, Grad, Model, Net, Node, Of, Optimizer, STALE, Shown, Step, Var, Want,
    steps::By,
    update::Slots,
};

impl Model {
    /// What is there of a kind, by id.
    pub fn ids(&self, kind: Kind) -> Vec<usize> {
        let tame = |node: &Node| Model::is_tame_value(&self.tensors[*node].value);
        match kind {
            Kind::Param => self.handles.params.keys().copied().collect(),
            Kind::State => self.handles.states.keys().copied().collect(),
            Kind::Net => self.handles.nets.keys().copied().collect(),
            Kind::Held => self.held.keys().copied().collect(),
            Kind::Tame => self.held.iter().filter(|(_, node)| tame(node)).map(|(id, _)| *id).collect(),
            Kind::Grads => self.grads.keys().copied().collect(),
            Kind::Opt => self.handles.opts.keys().copied().collect(),
            Kind::Average => self.averages.keys().copied().collect(),
            Kind::Step => self.steps.keys().copied().collect(),
            Kind::NetSave => self.net_saves.keys().copied().collect(),
            Kind::OptSave => self.opt_saves.keys().copied().collect(),
            Kind::AverageSave => self.average_saves.keys().copied().collect(),
        }
    }

    /// The action with references to what is there; none where something is not.
    pub fn resolve(&self, action: &Action) -> Option<Action> {
        let mut action = action.clone();
        let found = action.refs(&mut |kind, id| {
            let ids = self.ids(kind);
            if !ids.is_empty() && !ids.contains(id) {
                *id = ids[*id % ids.len()];
            }
            !ids.is_empty()
        });
        if !found {
            return None;
        }
        let makes_sense = match &action {
            // A sum from before a call is not a recording's.
            Action::Call(step, _) => {
                let step = &self.steps[step];
                let micro = |s: &Stmt| if let Stmt::Micro(opt, _) = s { Some(step.handles.opts[opt]) } else { None };
                step.body.iter().filter_map(micro).all(|opt| self.opts[opt].sum.is_none())
            }
            Action::Net(params, _) => !params.is_empty(),
            _ => true,
        };
        makes_sense.then_some(action)
    }

    /// Actions from here to [`Model::leave`] are another thread's.
    pub fn enter(&mut self) -> u64 {
        self.threads += 1;
        std::mem::replace(&mut self.thread, self.threads)
    }

    pub fn leave(&mut self, to: u64) {
        self.thread = to;
    }

    pub(super) fn net(&self, id: usize) -> &Net {
        &self.nets[self.handles.nets[&id]]
    }

    pub(super) fn opt(&self, id: usize) -> usize {
        self.handles.opts[&id]
    }

    /// What a resolved action must show, with the knowledge of whether the error that something is stale was seen.
    pub fn act(&mut self, id: usize, action: &Action, saw_stale: bool) -> Want {
        self.saw_stale = saw_stale;
        // Of an error that may have been met at the first of several steps or at another, it is not known what was done before.
        self.compound =
            matches!(action, Action::Call(..) | Action::WriteAverage(_) | Action::Do(Stmt::Both(..) | Stmt::Micro(..)));
        let mut shown = Shown::default();
        match action {
            Action::Param(e) | Action::State(e) => {
                let node = self.expr(e);
                let value = self.computed(node)?;
                let is_param = matches!(action, Action::Param(_));
                let var = self.variable(value, is_param);
                let to = if is_param { &mut self.handles.params } else { &mut self.handles.states };
                to.insert(id, var);
            }
            Action::Net(params, states) => {
                let params = params.iter().map(|p| self.handles.params[p]).collect();
                let states = states.iter().map(|s| self.handles.states[s]).collect();
                self.nets.push(Net { params, states, training: true });
                self.handles.nets.insert(id, self.nets.len() - 1);
            }
            Action::Fork(net) => self.fork(id, *net)?,
            Action::Record(e) => {
                let node = self.expr(e);
                self.held.insert(id, node);
            }
            Action::Loss(loss) => {
                let node = self.loss(loss);
                self.held.insert(id, node);
            }
            Action::Over(over, e) => {
                let values: Vec<(Var, Node)> =
                    over.iter().map(|(p, e)| (self.handles.params[p], self.expr(e))).collect();
                if values.iter().any(|(_, n)| self.carries_error(*n)) {
                    return Err(STALE.to_vec());
                }
                self.overlay = values.into_iter().collect();
                let node = self.expr(e);
                self.overlay.clear();
                self.held.insert(id, node);
            }
            Action::Discard(puts, e) => {
                let before: Vec<_> = self.vars.iter().map(|v| v.pending.clone()).collect();
                for (s, e) in puts {
                    let (state, value) = (self.handles.states[s], self.expr(e));
                    self.put(&state, &value);
                }
                let node = self.expr(e);
                self.vars.iter_mut().zip(before).for_each(|(v, before)| v.pending = before);
                self.held.insert(id, node);
            }
            Action::Copy(t) => {
                let shown = self.shown(self.held[t]);
                let value = self.computed(shown)?;
                let node = self.tensor(Of::Host, value, false);
                self.held.insert(id, node);
            }
            Action::Read(t) => shown.numbers = self.computed(self.held[t])?,
            Action::Eval(t) => {
                self.computed(self.held[t])?;
            }
            Action::ReadParam(p) => shown.numbers = self.vars[self.handles.params[p]].value.clone(),
            Action::ReadState(s) => {
                let node = self.show(&self.handles.states[s].clone());
                shown.numbers = self.computed(node)?;
            }
            Action::Do(stmt) => {
                self.stmt(stmt)?;
            }
            Action::StepHeld(opt, t) => self.step(self.opt(*opt), self.held[t])?,
            Action::Backward(t) => {
                let grads = self.backward(self.held[t])?;
                self.grads.insert(id, grads);
            }
            Action::Apply(opt, g) => self.apply(self.opt(*opt), *g)?,
            Action::Add(g, h) => {
                let (g, h) = (self.grads[g].clone(), self.grads[h].clone());
                let sum = self.plus(&g, &h);
                self.grads.insert(id, sum);
            }
            Action::Scale(g) => {
                let mut scaled = self.grads[g].clone();
                scaled.of.values_mut().for_each(|g| g.value.iter_mut().for_each(|x| *x *= 0.5));
                self.grads.insert(id, scaled);
            }
            Action::Remove(g, p) => {
                let var = self.handles.params[p];
                self.grads.get_mut(g).and_then(|g| g.of.remove(&var));
            }
            Action::Insert(g, p, e) => {
                let (var, node) = (self.handles.params[p], self.expr(e));
                if self.carries_error(node) {
                    return Err(STALE.to_vec());
                }
                let (value, version) = (self.tensors[node].value.clone(), self.vars[var].version);
                let done = self.tensors[node].done;
                let grad = Grad { value, version, from: vec![node], done, given: true };
                self.grads.get_mut(g).and_then(|g| g.of.insert(var, grad));
            }
            Action::ReadGrad(g, p) => {
                let var = self.handles.params[p];
                if let Some(grad) = self.grads[g].of.get(&var).cloned() {
                    self.meet(self.need_of(&grad))?;
                    self.touch(&grad.from);
                    // What shows a variable as it lies in memory is looked at there, and not computed.
                    let is_version = |node: &Node| matches!(self.tensors[*node].of, Of::Version(..));
                    if !grad.given || !grad.from.iter().any(is_version) {
                        let known = self.grads.get_mut(g).and_then(|g| g.of.get_mut(&var));
                        known.into_iter().for_each(|g| g.done = Done::Yes);
                    }
                    shown.numbers = grad.value;
                }
            }
            Action::Missing(g, net) => {
                let all = self.net(*net).params().into_iter();
                shown.names = all.filter(|(_, v)| !self.grads[g].of.contains_key(v)).map(|(name, _)| name).collect();
            }
            Action::Accumulate(opt, loss) => {
                let loss = self.loss(loss);
                self.accumulate(self.opt(*opt), loss)?;
            }
            Action::StepAccumulated(opt) => self.step_accumulated(self.opt(*opt))?,
            Action::Opt(spec) => self.optimizer(id, spec)?,
            Action::Rate(opt, rate) => {
                let opt = self.opt(*opt);
                (self.opts[opt].lr, self.opts[opt].scheduled) = (RATES[*rate % RATES.len()], false);
            }
            Action::Schedule(opt) => {
                let opt = self.opt(*opt);
                self.opts[opt].scheduled = true;
            }
            Action::Report(opt) => {
                let opt = &self.opts[self.opt(*opt)];
                shown.numbers = vec![opt.steps as f64, opt.skipped as f64];
            }
            Action::Train(net) | Action::Predict(net) => {
                let training = matches!(action, Action::Train(_));
                let net = self.handles.nets[net];
                self.nets[net].training = training;
                self.nets[net].params.clone().into_iter().for_each(|v| self.vars[v].training = training);
            }
            Action::Freeze(p, frozen) => self.freeze(&[self.handles.params[p]], *frozen),
            Action::FreezeNet(net, frozen) => self.freeze(&self.net(*net).params.clone(), *frozen),
            Action::Look(net) => {
                let net = self.net(*net);
                shown.names = net.params().into_iter().chain(net.states()).map(|(name, _)| name).collect();
                shown.numbers = vec![(net.params().len() * self.size * self.size) as f64];
            }
            Action::Save(thing) => self.save(id, *thing)?,
            Action::Load(thing, save) => self.load(*thing, *save)?,
            Action::Average(net, exponential) => {
                let params = self.net(*net).params();
                let values = params.iter().map(|(_, v)| self.vars[*v].value.clone()).collect::<Vec<_>>();
                let values = values.into_iter().map(|value| self.variable(value, false)).collect();
                self.averages.insert(id, Average { params, values, shown: 0.0, exponential: *exponential });
            }
            Action::Update(a) => self.update_average(*a),
            Action::During(a, e) => {
                let Average { params, values, .. } = self.averages[a].clone();
                self.overlay = params.iter().zip(values).map(|((_, p), a)| (*p, self.leaf(a))).collect();
                let node = self.expr(e);
                self.overlay.clear();
                self.held.insert(id, node);
            }
            Action::WriteAverage(a) => {
                let Average { params, values, .. } = self.averages[a].clone();
                for ((_, param), average) in params.into_iter().zip(values) {
                    let value = self.leaf(average);
                    self.set(param, value)?;
                }
            }
            Action::Compile(body, out) => {
                let handles = self.captured(body, out);
                self.steps.insert(id, Step { body: body.clone(), out: out.clone(), handles });
            }
            Action::Call(step, input) => self.call(id, *step, input)?,
            Action::Thread(_) => {}
            Action::Drop(kind, id) => self.let_go(*kind, *id),
        }
        Ok(shown)
    }

    pub(super) fn stmt(&mut self, stmt: &Stmt) -> Want<Option<Node>> {
        match stmt {
            Stmt::Set(p, e) => {
                let (var, value) = (self.handles.params[p], self.expr(e));
                self.set(var, value)?;
            }
            Stmt::Put(s, e) => {
                let (var, value) = (self.handles.states[s], self.expr(e));
                self.put(&var, &value);
            }
            Stmt::Write(s, e) => {
                let (var, value) = (self.handles.states[s], self.expr(e));
                self.set(var, value)?;
            }
            Stmt::Swap(s, t) => {
                let (a, b) = (self.handles.states[s], self.handles.states[t]);
                let (old_a, old_b) = (self.show(&a), self.show(&b));
                self.put(&a, &old_b);
                self.put(&b, &old_a);
            }
            Stmt::Step(opt, loss) => {
                let loss = self.loss(loss);
                self.step(self.opt(*opt), loss)?;
                return Ok(Some(loss));
            }
            Stmt::Both(a, b, loss) => {
                let loss: Node = self.loss(loss);
                let mut grads = self.backward(loss)?;
                self.advance(self.opt(*a), &grads, By::Gradients)?;
                grads.of.values_mut().for_each(|g| g.done = Done::Yes);
                self.advance(self.opt(*b), &grads, By::Gradients)?;
            }
            Stmt::Micro(opt, losses) => {
                for loss in losses {
                    let loss: Node = self.loss(loss);
                    self.accumulate(self.opt(*opt), loss)?;
                }
                self.step_accumulated(self.opt(*opt))?;
            }
        }
        Ok(None)
    }

    fn optimizer(&mut self, id: usize, spec: &OptSpec) -> Want<()> {
        let net = self.net(spec.net);
        let params = net.params();
        if params.iter().all(|(_, v)| self.vars[*v].frozen) {
            return Err(vec![Fault::Invalid]);
        }
        let group = spec.group.map(|(at, rule)| (format!("p.{at}"), rule));
        if group.as_ref().is_some_and(|(of, _)| !params.iter().any(|(name, _)| name == of)) {
            return Err(vec![Fault::Invalid]);
        }
        let room = params.iter().filter(|(_, v)| !self.vars[*v].frozen).map(|(name, _)| name.clone()).collect();
        let carried = net.states().into_iter().map(|(_, v)| v).collect();
        let OptSpec { rule: base, clip_norm, clip_value, .. } = *spec;
        self.opts.push(Optimizer {
            slots: params.iter().map(|(name, _)| (name.clone(), Slots::default())).collect(),
            params,
            carried,
            rule: base,
            group,
            clip_norm,
            clip_value,
            lr: rule(base).lr(),
            scheduled: false,
            steps: 0,
            skipped: 0,
            passes: BTreeSet::new(),
            sum: None,
            room,
        });
        self.handles.opts.insert(id, self.opts.len() - 1);
        Ok(())
    }
}
