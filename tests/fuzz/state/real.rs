//! Actions by the library.

use std::{collections::BTreeMap, sync::Arc};

use thalweg::{
    module::{discarding, overlay},
    optim::Average,
    prelude::*,
};
use thalweg_graph::{Mode, Snapshot, Stateful};

use super::{
    actions::{Action, Expr, Kind, Machine, One, OptSpec, RATES, Stmt, Thing, Two, Update, rule, schedule},
    model::{Fault, Shown},
};

/// A module.
#[derive(Clone, Debug, Module)]
pub struct Net {
    p: Vec<Param>,
    s: Vec<State>,
    mode: Mode,
}

type Function = Box<dyn FnMut([Tensor; 1]) -> Result<[Tensor; 1]> + Send>;

/// What programs and functions hold, by id.
#[derive(Clone, Default)]
struct Handles {
    params: BTreeMap<usize, Param>,
    states: BTreeMap<usize, State>,
    nets: BTreeMap<usize, Net>,
    opts: BTreeMap<usize, Arc<Optimizer>>,
}

/// All that there is on a device.
pub struct Real {
    device: Device,
    size: usize,
    handles: Handles,
    held: BTreeMap<usize, Tensor>,
    grads: BTreeMap<usize, Grads>,
    averages: BTreeMap<usize, Average>,
    steps: BTreeMap<usize, thalweg_graph::Step<Function, 1, 1>>,
    saves: BTreeMap<(Kind, usize), Snapshot>,
}

/// What expressions are computed from.
struct World<'a> {
    device: &'a Device,
    size: usize,
    handles: &'a Handles,
    held: &'a BTreeMap<usize, Tensor>,
    input: Option<&'a Tensor>,
}

impl Machine for World<'_> {
    type T = Tensor;
    type S = State;

    fn size(&self) -> usize {
        self.size
    }

    fn constant(&mut self, values: &[f64], scalar: bool) -> Tensor {
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        match scalar {
            true => Tensor::from_slice(self.device, &values, ()),
            false => Tensor::from_slice(self.device, &values, [self.size, self.size]),
        }
    }

    fn input(&mut self) -> Tensor {
        self.input.cloned().unwrap_or_else(|| Tensor::zeros(self.device, [self.size, self.size]))
    }

    fn held(&mut self, id: usize) -> Tensor {
        self.held[&id].broadcast_to([self.size, self.size])
    }

    fn param(&mut self, id: usize) -> Tensor {
        self.handles.params[&id].tensor()
    }

    fn state(&mut self, id: usize) -> State {
        self.handles.states[&id].clone()
    }

    fn norm(&mut self, net: usize) -> (bool, Option<State>) {
        let net = &self.handles.nets[&net];
        (net.mode.is_training(), net.s.first().cloned())
    }

    fn show(&mut self, state: &State) -> Tensor {
        state.tensor()
    }

    fn put(&mut self, state: &State, value: &Tensor) {
        state.set(value);
    }

    fn one(&mut self, f: One, x: &Tensor) -> Tensor {
        match f {
            One::Neg => -x,
            One::Half => x * 0.5,
            One::Tanh => x.tanh(),
            One::Square => x.square(),
            One::Transpose => x.t(),
            One::Flip => x.flip(0),
            One::Roll => x.roll(1, 1),
            One::Mean => x.mean_keepdim(0).broadcast_to(x.shape()),
            One::Detach => x.detach(),
        }
    }

    fn two(&mut self, f: Two, a: &Tensor, b: &Tensor) -> Tensor {
        match f {
            Two::Mid => (a + b) * 0.5,
            Two::Gap => (a - b) * 0.5,
            Two::Mul => a * b,
            Two::MatMul => a.matmul(b) * (1.0 / self.size as f64),
        }
    }

    fn mean(&mut self, x: &Tensor) -> Tensor {
        x.mean(..)
    }
}

impl World<'_> {
    fn stmt(&mut self, stmt: &Stmt) -> Result<()> {
        match stmt {
            Stmt::Set(p, e) => {
                let value = self.expr(e);
                self.handles.params[p].set(&value)
            }
            Stmt::Put(s, e) => {
                let value = self.expr(e);
                self.handles.states[s].set(&value);
                Ok(())
            }
            Stmt::Write(s, e) => {
                let value = self.expr(e);
                self.handles.states[s].write(&value)
            }
            Stmt::Swap(s, t) => {
                let (s, t) = (&self.handles.states[s], &self.handles.states[t]);
                let (a, b) = (s.tensor(), t.tensor());
                s.set(&b);
                t.set(&a);
                Ok(())
            }
            Stmt::Step(opt, loss) => {
                let loss = self.loss(loss);
                self.handles.opts[opt].step(&loss)
            }
            Stmt::Both(a, b, loss) => {
                let loss: Tensor = self.loss(loss);
                let grads = self.handles.opts[a].backward(&loss)?;
                self.handles.opts[a].apply(&grads)?;
                self.handles.opts[b].apply(&grads)
            }
            Stmt::Micro(opt, losses) => {
                for loss in losses {
                    let loss = self.loss(loss);
                    self.handles.opts[opt].accumulate(&loss)?;
                }
                self.handles.opts[opt].step_accumulated()
            }
        }
    }
}

/// What kind of error it is, and what it says.
pub fn fault(error: &Error) -> (Fault, String) {
    let kind = match error.kind() {
        ErrorKind::Stale { .. } => Fault::Stale,
        ErrorKind::Gradient(_) => Fault::Gradient,
        ErrorKind::Invalid(_) => Fault::Invalid,
        ErrorKind::Shape { .. } | ErrorKind::Shapes { .. } => Fault::Shape,
        _ => Fault::Other,
    };
    (kind, error.to_string())
}

impl Real {
    pub fn new(device: &Device, size: usize) -> Real {
        Real {
            device: device.clone(),
            size,
            handles: Handles::default(),
            held: BTreeMap::new(),
            grads: BTreeMap::new(),
            averages: BTreeMap::new(),
            steps: BTreeMap::new(),
            saves: BTreeMap::new(),
        }
    }

    fn world(&self) -> World<'_> {
        let Real { device, size, handles, held, .. } = self;
        World { device, size: *size, handles, held, input: None }
    }

    fn opt(&self, id: usize) -> &Optimizer {
        &self.handles.opts[&id]
    }

    fn net(&self, id: usize) -> &Net {
        &self.handles.nets[&id]
    }

    fn expr(&self, e: &Expr) -> Tensor {
        self.world().expr(e)
    }

    /// Does a resolved action.
    pub fn act(&mut self, id: usize, action: &Action) -> Result<Shown> {
        let mut shown = Shown::default();
        match action {
            Action::Param(e) => {
                let param = Param::new(self.expr(e))?;
                self.handles.params.insert(id, param);
            }
            Action::State(e) => {
                let state = State::new(self.expr(e))?;
                self.handles.states.insert(id, state);
            }
            Action::Net(params, states) => {
                let p = params.iter().map(|p| self.handles.params[p].clone()).collect();
                let s = states.iter().map(|s| self.handles.states[s].clone()).collect();
                self.handles.nets.insert(id, Net { p, s, mode: Mode::default() });
            }
            Action::Fork(net) => {
                let fork = self.net(*net).fork()?;
                self.handles.params.insert(id, fork.p[0].clone());
                self.handles.states.extend(fork.s.first().map(|s| (id, s.clone())));
                self.handles.nets.insert(id, fork);
            }
            Action::Record(e) => {
                let x = self.expr(e);
                self.held.insert(id, x);
            }
            Action::Loss(loss) => {
                let x = self.world().loss(loss);
                self.held.insert(id, x);
            }
            Action::Over(over, e) => {
                let over: Vec<(Param, Tensor)> =
                    over.iter().map(|(p, e)| (self.handles.params[p].clone(), self.expr(e))).collect();
                let over: Vec<(&Param, Tensor)> = over.iter().map(|(p, t)| (p, t.clone())).collect();
                let x = overlay(&over, || self.expr(e))?;
                self.held.insert(id, x);
            }
            Action::Discard(puts, e) => {
                let x = discarding(|| {
                    puts.iter().for_each(|(s, e)| self.handles.states[s].set(&self.expr(e)));
                    self.expr(e)
                });
                self.held.insert(id, x);
            }
            Action::Copy(t) => {
                let copy = self.held[t].copy()?;
                self.held.insert(id, copy);
            }
            Action::Read(t) => shown.numbers = self.held[t].to_vec()?,
            Action::Eval(t) => self.held[t].eval()?,
            Action::ReadParam(p) => shown.numbers = self.handles.params[p].tensor().to_vec()?,
            Action::ReadState(s) => shown.numbers = self.handles.states[s].tensor().to_vec()?,
            Action::Do(stmt) => self.world().stmt(stmt)?,
            Action::StepHeld(opt, t) => self.opt(*opt).step(&self.held[t])?,
            Action::Backward(t) => {
                let grads = self.held[t].backward()?;
                self.grads.insert(id, grads);
            }
            Action::Apply(opt, g) => self.opt(*opt).apply(&self.grads[g])?,
            Action::Add(g, h) => {
                let sum = self.grads[g].clone() + self.grads[h].clone();
                self.grads.insert(id, sum);
            }
            Action::Scale(g) => {
                let scaled = self.grads[g].clone().map(|g| g * 0.5);
                self.grads.insert(id, scaled);
            }
            Action::Remove(g, p) => {
                let param = &self.handles.params[p];
                self.grads.get_mut(g).and_then(|g| g.remove(param));
            }
            Action::Insert(g, p, e) => {
                let (param, value) = (&self.handles.params[p], self.expr(e));
                self.grads.entry(*g).or_default().insert(param, &value)?;
            }
            Action::ReadGrad(g, p) => {
                if let Some(grad) = self.grads[g].get(&self.handles.params[p]) {
                    shown.numbers = grad.to_vec()?;
                }
            }
            Action::Missing(g, net) => shown.names = self.grads[g].missing(self.net(*net)),
            Action::Accumulate(opt, loss) => {
                let loss = self.world().loss(loss);
                self.opt(*opt).accumulate(&loss)?;
            }
            Action::StepAccumulated(opt) => self.opt(*opt).step_accumulated()?,
            Action::Opt(spec) => {
                let opt = self.optimizer(spec)?;
                self.handles.opts.insert(id, Arc::new(opt));
            }
            Action::Rate(opt, rate) => self.opt(*opt).set_lr(RATES[*rate % RATES.len()])?,
            Action::Schedule(opt) => self.opt(*opt).set_schedule(schedule),
            Action::Report(opt) => {
                let report = self.opt(*opt).report()?;
                shown.numbers = vec![report.steps as f64, report.skipped as f64];
            }
            Action::Train(net) => self.net(*net).train(),
            Action::Predict(net) => self.net(*net).eval(),
            Action::Freeze(p, frozen) => self.handles.params[p].freeze(*frozen),
            Action::FreezeNet(net, frozen) => self.net(*net).freeze(*frozen),
            Action::Look(net) => {
                let net = self.net(*net);
                let states = net.states().into_iter().map(|(name, _)| name);
                shown.names = net.params().into_iter().map(|(name, _)| name).chain(states).collect();
                shown.numbers = vec![net.count() as f64];
                assert!(!format!("{net:?}").is_empty());
            }
            Action::Save(thing) => {
                let mut to = Snapshot::new();
                let (kind, what) = self.stateful(*thing);
                Stateful::save(what, &mut to)?;
                self.saves.insert((kind, id), to);
            }
            Action::Load(thing, save) => {
                let (kind, what) = self.stateful(*thing);
                Stateful::load(what, &self.saves[&(kind, *save)])?;
            }
            Action::Average(net, exponential) => {
                let net = self.net(*net);
                let average = if *exponential { Average::exponential(net, 0.75)? } else { Average::mean(net)? };
                self.averages.insert(id, average);
            }
            Action::Update(a) => self.averages[a].update()?,
            Action::During(a, e) => {
                let x = self.averages[a].during(|| self.expr(e))?;
                self.held.insert(id, x);
            }
            Action::WriteAverage(a) => self.averages[a].write()?,
            Action::Compile(body, out) => {
                let step = self.compile(body, out);
                self.steps.insert(id, step);
            }
            Action::Call(step, input) => {
                let input = self.expr(input);
                let [out] = match self.steps.get_mut(step) {
                    Some(step) => step.call([&input])?,
                    None => [input],
                };
                self.held.insert(id, out);
            }
            Action::Thread(_) => {}
            Action::Drop(kind, id) => self.let_go(*kind, *id),
        }
        Ok(shown)
    }

    fn optimizer(&self, spec: &OptSpec) -> Result<Optimizer> {
        let net = self.net(spec.net);
        let mut opt = match rule(spec.rule) {
            Update::Sgd(rule) => rule.init(net),
            Update::Adam(rule) => rule.init(net),
            Update::AdamW(rule) => rule.init(net),
        }?;
        if let Some((at, own)) = spec.group {
            let name: &str = &format!("p.{at}");
            opt = match rule(own) {
                Update::Sgd(rule) => opt.group(name, rule),
                Update::Adam(rule) => opt.group(name, rule),
                Update::AdamW(rule) => opt.group(name, rule),
            }?;
        }
        if let Some(norm) = spec.clip_norm {
            opt = opt.clip_norm(norm);
        }
        if let Some(value) = spec.clip_value {
            opt = opt.clip_value(value);
        }
        Ok(opt)
    }

    fn stateful(&self, thing: Thing) -> (Kind, &dyn Stateful) {
        match thing {
            Thing::Net(net) => (Kind::NetSave, self.net(net)),
            Thing::Opt(opt) => (Kind::OptSave, self.opt(opt)),
            Thing::Average(a) => (Kind::AverageSave, &self.averages[&a]),
        }
    }

    fn compile(&self, body: &[Stmt], out: &Expr) -> thalweg_graph::Step<Function, 1, 1> {
        let mut captured = Handles::default();
        let all = &self.handles;
        let mut note = |kind: Kind, id: &mut usize| {
            match kind {
                Kind::Param => captured.params.extend(all.params.get(id).map(|p| (*id, p.clone()))),
                Kind::State => captured.states.extend(all.states.get(id).map(|s| (*id, s.clone()))),
                Kind::Net => captured.nets.extend(all.nets.get(id).map(|n| (*id, n.clone()))),
                Kind::Opt => captured.opts.extend(all.opts.get(id).map(|o| (*id, o.clone()))),
                _ => {}
            }
            true
        };
        for stmt in body {
            stmt.clone().refs(&mut note);
        }
        out.clone().refs(&mut note);
        let (device, size, body, out) = (self.device.clone(), self.size, body.to_vec(), out.clone());
        let function = move |[input]: [Tensor; 1]| {
            let (handles, held) = (&captured, &BTreeMap::new());
            let mut world = World { device: &device, size, handles, held, input: Some(&input) };
            body.iter().try_for_each(|stmt| world.stmt(stmt))?;
            Ok([world.expr(&out)])
        };
        compile(Box::new(function) as Function)
    }

    fn let_go(&mut self, kind: Kind, id: usize) {
        match kind {
            Kind::Param => drop(self.handles.params.remove(&id)),
            Kind::State => drop(self.handles.states.remove(&id)),
            Kind::Net => drop(self.handles.nets.remove(&id)),
            Kind::Opt => drop(self.handles.opts.remove(&id)),
            Kind::Held | Kind::Tame => drop(self.held.remove(&id)),
            Kind::Grads => drop(self.grads.remove(&id)),
            Kind::Average => drop(self.averages.remove(&id)),
            Kind::Step => drop(self.steps.remove(&id)),
            Kind::NetSave | Kind::OptSave | Kind::AverageSave => drop(self.saves.remove(&(kind, id))),
        }
    }
}
