//! Copies, snapshots, averages, compiled functions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::actions::{Expr, Kind, Machine, Stmt, Thing},
    Average, Done, Fault, Grad, Grads, Handles, Model, Need, NetSave, OptSave, Optimizer, STALE, Step, Sum, Var, Want,
    update::{Keeps, Slots},
};

impl Model {
    /// A module of its own with the same values and flags; what is tied stays tied. A look: what is pending stays pending.
    pub(super) fn fork(&mut self, id: usize, net: usize) -> Want<()> {
        let old = self.net(net).clone();
        let mut new: BTreeMap<Var, Var> = BTreeMap::new();
        for var in old.params.iter().chain(&old.states) {
            if !new.contains_key(var) {
                let node = self.show(var);
                let is_param = self.vars[*var].trainable;
                let value = if is_param { self.vars[*var].value.clone() } else { self.computed(node)? };
                let copy = self.variable(value, is_param);
                (self.vars[copy].training, self.vars[copy].frozen) = (self.vars[*var].training, self.vars[*var].frozen);
                new.insert(*var, copy);
            }
        }
        let of = |vars: &[Var]| vars.iter().map(|v| new[v]).collect();
        self.nets.push(super::Net { params: of(&old.params), states: of(&old.states), training: old.training });
        self.handles.nets.insert(id, self.nets.len() - 1);
        // Programs can name the first of each.
        self.handles.params.insert(id, new[&old.params[0]]);
        if let Some(state) = old.states.first() {
            self.handles.states.insert(id, new[state]);
        }
        Ok(())
    }

    pub(super) fn save(&mut self, id: usize, thing: Thing) -> Want<()> {
        match thing {
            Thing::Net(net) => {
                let net = self.net(net).clone();
                let mut states = Vec::new();
                for (name, var) in net.states() {
                    let next = self.vars[var].pending.as_ref().map(|(node, _)| *node);
                    let next = next.map(|node| self.computed(node)).transpose()?;
                    states.push((name, self.vars[var].value.clone(), next));
                }
                let value = |(name, v): (String, Var)| (name, self.vars[v].value.clone());
                let params = net.params().into_iter().map(value).collect();
                let flags = |(_, v): (String, Var)| (self.vars[v].training, self.vars[v].frozen);
                let flags = net.params().into_iter().map(flags).collect();
                self.net_saves.insert(id, NetSave { params, states, training: net.training, flags });
            }
            Thing::Opt(opt) => {
                let o = &self.opts[self.opt(opt)];
                let slots = |name: &String| (name.clone(), (o.rule(name).keeps(), o.slots[name].clone()));
                let slots = o.room.iter().map(slots).collect();
                let summed = |g: &Grads| {
                    let of = |(name, v): &(String, Var)| Some((name.clone(), g.of.get(v)?.value.clone()));
                    o.params.iter().filter_map(of).collect()
                };
                let sum = o.sum.as_ref().map(|sum| (summed(&sum.grads), sum.losses));
                let save = OptSave { slots, lr: o.lr, steps: o.steps, skipped: o.skipped, sum };
                self.opt_saves.insert(id, save);
            }
            Thing::Average(a) => {
                let a = &self.averages[&a];
                let values = a.params.iter().zip(&a.values);
                let values = values.map(|((name, _), v)| (name.clone(), self.vars[*v].value.clone())).collect();
                self.average_saves.insert(id, (values, a.shown));
            }
        }
        Ok(())
    }

    /// All or nothing.
    pub(super) fn load(&mut self, thing: Thing, save: usize) -> Want<()> {
        match thing {
            Thing::Net(net) => {
                let (at, save) = (self.handles.nets[&net], self.net_saves[&save].clone());
                let net = self.nets[at].clone();
                let same = |(known, _): &(String, Var), saved: &String| known == saved;
                let fit = |of: &[(String, Var)], saved: Vec<&String>| {
                    of.len() == saved.len() && of.iter().zip(saved).all(|(known, saved)| same(known, saved))
                };
                let of_params = fit(&net.params(), save.params.iter().map(|(name, _)| name).collect());
                if !of_params || !fit(&net.states(), save.states.iter().map(|(name, ..)| name).collect()) {
                    return Err(vec![Fault::Invalid]);
                }
                for ((_, var), (_, value)) in net.params().into_iter().zip(save.params) {
                    self.before_writing(&[var]);
                    self.write(var, value);
                }
                let mut set = Vec::new();
                for ((_, var), (_, value, next)) in net.states().into_iter().zip(save.states) {
                    self.before_writing(&[var]);
                    self.write(var, value);
                    set.extend(next.map(|next| (var, next)));
                }
                for (var, next) in set {
                    let next = self.constant(&next, false);
                    self.put(&var, &next);
                }
                self.nets[at].training = save.training;
                for ((_, v), flags) in net.params().into_iter().zip(save.flags) {
                    (self.vars[v].training, self.vars[v].frozen) = flags;
                }
            }
            Thing::Opt(opt) => {
                let (at, save) = (self.opt(opt), self.opt_saves[&save].clone());
                let o = &self.opts[at];
                let has = |name: &String| o.params.iter().any(|(n, _)| n == name);
                let fits = |(name, (keeps, _)): (&String, &(Keeps, Slots))| has(name) && o.rule(name).keeps() == *keeps;
                let summed = save.sum.iter().flat_map(|(sum, _)| sum).all(|(name, _)| has(name));
                if save.slots.is_empty() || !save.slots.iter().all(fits) || !summed {
                    return Err(vec![Fault::Invalid]);
                }
                // It writes the optimizer's own states.
                self.before_writing(&[]);
                let o: &mut Optimizer = &mut self.opts[at];
                // What the snapshot does not know begins anew.
                let slots = |(name, _): &(String, Var)| {
                    let saved = save.slots.get(name).map_or(Slots::default(), |(_, slots)| slots.clone());
                    (name.clone(), saved)
                };
                o.slots = o.params.iter().map(slots).collect();
                o.room = save.slots.keys().cloned().collect();
                (o.lr, o.steps, o.skipped) = (save.lr, save.steps, save.skipped);
                self.passes += 1;
                let (pass, params) = (self.passes, o.params.clone());
                // The gradients that were added up belong to the parameters of now.
                self.opts[at].sum = save.sum.map(|(sum, losses)| {
                    let grad = |(name, value): (String, Vec<f64>)| {
                        let var = params.iter().find(|(known, _)| *known == name).map_or(0, |(_, v)| *v);
                        (
                            var,
                            Grad {
                                value,
                                version: self.vars[var].version,
                                from: vec![],
                                done: Done::Yes,
                                given: false,
                            },
                        )
                    };
                    Sum { grads: Grads { pass, of: sum.into_iter().map(grad).collect() }, losses, call: None }
                });
            }
            Thing::Average(a) => {
                let (values, shown) = self.average_saves[&save].clone();
                let Average { params, values: vars, .. } = self.averages[&a].clone();
                let find =
                    |name: &String| values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                let found: Option<Vec<Vec<f64>>> = params.iter().map(|(name, _)| find(name)).collect();
                let Some(found) = found else { return Err(vec![Fault::Invalid]) };
                self.before_writing(&[]);
                vars.into_iter().zip(found).for_each(|(var, value)| self.write(var, value));
                self.averages.get_mut(&a).into_iter().for_each(|a| a.shown = shown);
            }
        }
        Ok(())
    }

    /// Shows an average the parameters of now.
    pub(super) fn update_average(&mut self, id: usize) {
        let Average { params, values, shown, exponential } = self.averages[&id].clone();
        self.before_writing(&[]);
        for ((_, param), average) in params.into_iter().zip(values) {
            let (theta, a) = (&self.vars[param].value, &self.vars[average].value);
            let next =
                |(t, a): (&f64, &f64)| if exponential { a * 0.75 + t * 0.25 } else { a + (t - a) / (shown + 1.0) };
            let new = theta.iter().zip(a).map(next).collect();
            self.write(average, new);
        }
        self.averages.get_mut(&id).into_iter().for_each(|a| a.shown += 1.0);
    }

    /// What a function holds.
    pub(super) fn captured(&self, body: &[Stmt], out: &Expr) -> Handles {
        let mut captured = Handles::default();
        let all = &self.handles;
        let mut note = |kind: Kind, id: &mut usize| {
            match kind {
                Kind::Param => captured.params.extend(all.params.get(id).map(|v| (*id, *v))),
                Kind::State => captured.states.extend(all.states.get(id).map(|v| (*id, *v))),
                Kind::Net => captured.nets.extend(all.nets.get(id).map(|n| (*id, *n))),
                Kind::Opt => captured.opts.extend(all.opts.get(id).map(|o| (*id, *o))),
                _ => {}
            }
            true
        };
        for stmt in body {
            stmt.clone().refs(&mut note);
        }
        out.clone().refs(&mut note);
        captured
    }

    /// A compiled function does what it does when it is not compiled; before that what was set is written, and afterwards what it
    /// set itself and no step has.
    pub(super) fn call(&mut self, id: usize, step: usize, input: &Expr) -> Want<()> {
        let input = self.expr(input);
        let input = self.shown(input);
        let input = self.computed(input)?;
        let Step { body, out, handles } = self.steps[&step].clone();
        let states = self.met(&body, &out, &handles);
        let mut due = self.pending(false);
        due.retain(|(var, _)| states.contains(var));
        if body.iter().any(|s| matches!(s, Stmt::Step(..) | Stmt::Both(..) | Stmt::Micro(..))) {
            due.extend(self.pending(true));
        }
        // Of what is met and cannot be written, who reads it gets the error, if it is read.
        self.unsure |= due.iter().any(|(_, n)| self.need(*n) == Need::Stale);
        // They are written where the function meets them, and what another thread set is not watched until then.
        let here: Vec<Var> = self.pending(true).into_iter().map(|(var, _)| var).collect();
        self.unsure |= due.iter().any(|(var, _)| !here.contains(var));
        let wrote = !due.is_empty();
        self.write_pending(due)?;
        let before = std::mem::replace(&mut self.handles, handles);
        self.calls += 1;
        (self.input, self.call) = (Some(self.constant(&input, false)), Some(self.calls));
        let result = self.body(&body, &out);
        (self.input, self.call) = (None, None);
        self.handles = before;
        // A function that fails may have got as far as that, or not.
        self.unsure |= wrote && result.is_err();
        let value = result?;
        let due = states.iter().filter_map(|var| Some((*var, self.vars[*var].pending.as_ref()?.0))).collect();
        self.write_pending(due)?;
        let node = self.constant(&value, false);
        self.held.insert(id, node);
        Ok(())
    }

    /// The states that a function reads, sets, or carries along in a step.
    fn met(&self, body: &[Stmt], out: &Expr, handles: &Handles) -> BTreeSet<Var> {
        let mut met = BTreeSet::new();
        let mut note = |kind: Kind, id: &mut usize| {
            match kind {
                Kind::State => met.extend(handles.states.get(id)),
                Kind::Net => met.extend(handles.nets.get(id).and_then(|n| self.nets[*n].states.first())),
                Kind::Opt => met.extend(handles.opts.get(id).iter().flat_map(|o| &self.opts[**o].carried)),
                _ => {}
            }
            true
        };
        for stmt in body {
            stmt.clone().refs(&mut note);
        }
        out.clone().refs(&mut note);
        met
    }

    fn body(&mut self, body: &[Stmt], out: &Expr) -> Want<Vec<f64>> {
        for stmt in body {
            self.stmt(stmt)?;
        }
        let out = self.expr(out);
        self.computed(out)
    }

    fn write_pending(&mut self, mut due: Vec<(Var, super::Node)>) -> Want<()> {
        due.sort_unstable();
        due.dedup();
        let lost: Vec<Var> = due.iter().filter(|(_, n)| self.need(*n) == Need::Stale).map(|(v, _)| *v).collect();
        if !lost.is_empty() {
            lost.iter().for_each(|v| self.vars[*v].pending = None);
            return Err(STALE.to_vec());
        }
        let need = due.iter().map(|(_, n)| self.need(*n)).max().unwrap_or(Need::Fine);
        self.meet(need)?;
        self.compute_along(&due.iter().map(|(_, n)| *n).collect::<Vec<_>>());
        self.before_writing(&due.iter().map(|(v, _)| *v).collect::<Vec<_>>());
        for (var, node) in due {
            let value = self.tensors[node].value.clone();
            self.write(var, value);
        }
        Ok(())
    }

    /// Lets go of a handle.
    pub(super) fn let_go(&mut self, kind: Kind, id: usize) {
        match kind {
            Kind::Param => drop(self.handles.params.remove(&id)),
            Kind::State => drop(self.handles.states.remove(&id)),
            Kind::Net => drop(self.handles.nets.remove(&id)),
            Kind::Opt => drop(self.handles.opts.remove(&id)),
            Kind::Held | Kind::Tame => drop(self.held.remove(&id)),
            Kind::Grads => drop(self.grads.remove(&id)),
            Kind::Average => drop(self.averages.remove(&id)),
            Kind::Step => drop(self.steps.remove(&id)),
            Kind::NetSave => drop(self.net_saves.remove(&id)),
            Kind::OptSave => drop(self.opt_saves.remove(&id)),
            Kind::AverageSave => drop(self.average_saves.remove(&id)),
        }
    }
}
