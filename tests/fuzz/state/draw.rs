//! How programs are drawn.

use std::collections::BTreeMap;

use thalweg_graph::Rng;

use super::actions::{Act, Action, Expr, How, Kind, Loss, One, OptSpec, Program, Stmt, Thing, Two};

impl Program {
    /// The program of a seed.
    pub fn draw(seed: u64) -> Program {
        let mut rng = Rng::seed(seed);
        // Now and then large enough that whoever reads and writes the same memory at the same time is found out.
        let size = match rng.below(60) {
            0 => 72,
            1..=4 => 9,
            5..=20 => 3,
            _ => 2,
        };
        let watch = rng.below(4) == 0;
        let most = if size > 9 { 6 } else { 4 + rng.below(24) };
        let mut draw = Draw { rng, next: 0, of: BTreeMap::new(), specs: BTreeMap::new(), inside: false };
        let mut actions = draw.start();
        for _ in 0..most {
            draw.any(&mut actions);
        }
        Program { seed, size, watch, actions }
    }
}

struct Draw {
    rng: Rng,
    next: usize,
    /// What was made of each kind, by id.
    of: BTreeMap<Kind, Vec<usize>>,
    /// How optimizers were made, and modules: their numbers of parameters and states.
    specs: BTreeMap<usize, (OptSpec, usize, usize)>,
    /// Whether what is drawn is the body of a compiled function.
    inside: bool,
}

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.rng.below(n as u32) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// The id of something; younger ones are likelier.
    fn pick(&mut self, kind: Kind) -> usize {
        let n = self.of.get(&kind).map_or(0, Vec::len);
        if n == 0 {
            return 0;
        }
        let at = self.below(n).max(self.below(n));
        self.of[&kind][at]
    }

    fn has(&self, kind: Kind) -> bool {
        self.of.get(&kind).is_some_and(|ids| !ids.is_empty())
    }

    fn push(&mut self, to: &mut Vec<Act>, what: Action) -> usize {
        let id = self.next;
        self.next += 1;
        let made: &[Kind] = match &what {
            Action::Param(_) => &[Kind::Param],
            Action::State(_) => &[Kind::State],
            Action::Net(..) => &[Kind::Net],
            Action::Fork(_) => &[Kind::Net, Kind::Param, Kind::State],
            Action::Record(_)
            | Action::Loss(_)
            | Action::Over(..)
            | Action::Discard(..)
            | Action::Copy(_)
            | Action::During(..)
            | Action::Call(..) => &[Kind::Held],
            Action::Backward(_) | Action::Add(..) | Action::Scale(_) => &[Kind::Grads],
            Action::Opt(_) => &[Kind::Opt],
            Action::Average(..) => &[Kind::Average],
            Action::Compile(..) => &[Kind::Step],
            Action::Save(Thing::Net(_)) => &[Kind::NetSave],
            Action::Save(Thing::Opt(_)) => &[Kind::OptSave],
            Action::Save(Thing::Average(_)) => &[Kind::AverageSave],
            _ => &[],
        };
        made.iter().for_each(|kind| self.of.entry(*kind).or_default().push(id));
        to.push(Act { id, what });
        id
    }

    fn constant(&mut self) -> Expr {
        Expr::Const(1 + u64::from(self.rng.next_u32()))
    }

    /// A few parameters and states, a module of them, an optimizer.
    fn start(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        let (params, states) = (1 + self.below(3), self.below(3));
        self.fresh(&mut acts, params, states);
        acts
    }

    /// A module of new parts and an optimizer.
    fn fresh(&mut self, acts: &mut Vec<Act>, params: usize, states: usize) -> (usize, usize) {
        let mut made = [Vec::new(), Vec::new()];
        for _ in 0..params {
            let e = self.constant();
            made[0].push(self.push(acts, Action::Param(e)));
        }
        for _ in 0..states {
            let e = self.constant();
            made[1].push(self.push(acts, Action::State(e)));
        }
        let [p, s] = made;
        let net = self.push(acts, Action::Net(p, s));
        let spec = self.spec(net, params);
        let opt = self.push(acts, Action::Opt(spec.clone()));
        self.specs.insert(opt, (spec, params, states));
        (net, opt)
    }

    fn spec(&mut self, net: usize, params: usize) -> OptSpec {
        OptSpec {
            net,
            rule: self.below(8),
            group: self.chance(5).then(|| (self.below(params.max(1)), self.below(8))),
            clip_norm: self.chance(5).then_some(0.125),
            clip_value: self.chance(6).then_some(0.0625),
        }
    }

    fn expr(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.chance(3) {
            return match self.below(12) {
                0..=4 => Expr::Param(self.pick(Kind::Param)),
                5..=7 if self.has(Kind::State) => Expr::State(self.pick(Kind::State)),
                8..=9 if self.has(Kind::Held) && !self.inside => Expr::Held(self.pick(Kind::Held)),
                8..=10 if self.inside => Expr::Input,
                _ => self.constant(),
            };
        }
        let (a, b) = (Box::new(self.expr(depth - 1)), Box::new(self.expr(depth - 1)));
        match self.below(16) {
            0 => Expr::One(One::Neg, a),
            1 => Expr::One(One::Half, a),
            2..=3 => Expr::One(One::Tanh, a),
            4 => Expr::One(One::Square, a),
            5 => Expr::One(One::Transpose, a),
            6 => Expr::One(One::Flip, a),
            7 => Expr::One(One::Roll, a),
            8 => Expr::One(One::Mean, a),
            9 => Expr::One(One::Detach, a),
            10..=11 if self.has(Kind::State) => Expr::Norm(self.pick(Kind::Net), a),
            12 => Expr::Two(Two::MatMul, a, b),
            13 => Expr::Two(Two::Gap, a, b),
            14 => Expr::Two(Two::Mul, a, b),
            _ => Expr::Two(Two::Mid, a, b),
        }
    }

    fn any_expr(&mut self) -> Expr {
        let depth = self.below(4);
        self.expr(depth)
    }

    fn loss(&mut self) -> Loss {
        let how = match self.below(30) {
            0 => How::Nan,
            1 => How::Bad,
            2 => How::Whole,
            3..=10 => How::Mean,
            _ => How::Square,
        };
        // Most depend on a parameter.
        let (p, e) = (self.pick(Kind::Param), self.any_expr());
        let two = [Two::Mid, Two::Mul, Two::MatMul][self.below(3)];
        let of = if self.chance(8) { e } else { Expr::Two(two, Box::new(Expr::Param(p)), Box::new(e)) };
        Loss { of, how }
    }

    fn stmt(&mut self) -> Stmt {
        let states = self.has(Kind::State);
        match self.below(20) {
            0..=2 => Stmt::Set(self.pick(Kind::Param), self.any_expr()),
            3..=6 if states => Stmt::Put(self.pick(Kind::State), self.any_expr()),
            7 if states => Stmt::Write(self.pick(Kind::State), self.any_expr()),
            8 if states => Stmt::Swap(self.pick(Kind::State), self.pick(Kind::State)),
            9 => Stmt::Both(self.pick(Kind::Opt), self.pick(Kind::Opt), self.loss()),
            10 => {
                let n = 1 + self.below(3);
                Stmt::Micro(self.pick(Kind::Opt), (0..n).map(|_| self.loss()).collect())
            }
            _ => Stmt::Step(self.pick(Kind::Opt), self.loss()),
        }
    }

    /// One more, or a few that belong together.
    fn any(&mut self, to: &mut Vec<Act>) {
        let (held, grads) = (self.has(Kind::Held), self.has(Kind::Grads));
        let action = match self.below(100) {
            0..=21 => Action::Do(self.stmt()),
            22..=29 => Action::Record(self.any_expr()),
            30..=33 => Action::Loss(self.loss()),
            34..=36 if held => Action::Read(self.pick(Kind::Held)),
            37 if held => Action::Eval(self.pick(Kind::Held)),
            38 if held => Action::Copy(self.pick(Kind::Held)),
            39..=41 if held => Action::StepHeld(self.pick(Kind::Opt), self.pick(Kind::Held)),
            42 => Action::ReadParam(self.pick(Kind::Param)),
            43..=44 => Action::ReadState(self.pick(Kind::State)),
            45 => {
                let n = 1 + self.below(2);
                let over = (0..n).map(|_| (self.pick(Kind::Param), self.any_expr())).collect();
                Action::Over(over, self.any_expr())
            }
            46 => {
                let puts = if self.has(Kind::State) { vec![(self.pick(Kind::State), self.any_expr())] } else { vec![] };
                Action::Discard(puts, self.any_expr())
            }
            47..=50 => {
                let loss = self.loss();
                let loss = self.push(to, Action::Loss(loss));
                Action::Backward(loss)
            }
            51..=56 if grads => Action::Apply(self.pick(Kind::Opt), self.pick(Kind::Grads)),
            57 if grads => Action::Add(self.pick(Kind::Grads), self.pick(Kind::Grads)),
            58 if grads => Action::Scale(self.pick(Kind::Grads)),
            59 if grads => Action::Remove(self.pick(Kind::Grads), self.pick(Kind::Param)),
            60 if grads => Action::Insert(self.pick(Kind::Grads), self.pick(Kind::Param), self.any_expr()),
            61 if grads => Action::ReadGrad(self.pick(Kind::Grads), self.pick(Kind::Param)),
            62 if grads => Action::Missing(self.pick(Kind::Grads), self.pick(Kind::Net)),
            63..=64 => Action::Accumulate(self.pick(Kind::Opt), self.loss()),
            65 => Action::StepAccumulated(self.pick(Kind::Opt)),
            66..=67 => {
                let net = self.pick(Kind::Net);
                let spec = self.spec(net, 2);
                Action::Opt(spec)
            }
            68 => Action::Rate(self.pick(Kind::Opt), self.below(4)),
            69 => Action::Schedule(self.pick(Kind::Opt)),
            70 => Action::Report(self.pick(Kind::Opt)),
            71 => Action::Train(self.pick(Kind::Net)),
            72 => Action::Predict(self.pick(Kind::Net)),
            73..=74 => Action::Freeze(self.pick(Kind::Param), self.chance(2)),
            75 => Action::FreezeNet(self.pick(Kind::Net), self.chance(3)),
            76 => Action::Look(self.pick(Kind::Net)),
            77 => Action::Fork(self.pick(Kind::Net)),
            78 => Action::Param(self.any_expr()),
            79 => Action::State(self.any_expr()),
            80 => {
                let (p, s) = (1 + self.below(3), self.below(3));
                let p = (0..p).map(|_| self.pick(Kind::Param)).collect();
                let s = if self.has(Kind::State) { (0..s).map(|_| self.pick(Kind::State)).collect() } else { vec![] };
                let net = self.push(to, Action::Net(p, s));
                let spec = self.spec(net, 2);
                Action::Opt(spec)
            }
            81..=82 => return self.resume(to),
            83 => {
                let thing = self.thing();
                Action::Save(thing)
            }
            84 => {
                let thing = self.thing();
                let kind = match thing {
                    Thing::Net(_) => Kind::NetSave,
                    Thing::Opt(_) => Kind::OptSave,
                    Thing::Average(_) => Kind::AverageSave,
                };
                Action::Load(thing, self.pick(kind))
            }
            85 => Action::Average(self.pick(Kind::Net), self.chance(2)),
            86 => Action::Update(self.pick(Kind::Average)),
            87 => Action::During(self.pick(Kind::Average), self.any_expr()),
            88 => Action::WriteAverage(self.pick(Kind::Average)),
            89..=91 => {
                self.inside = true;
                let n = 1 + self.below(3);
                let body = (0..n).map(|_| self.stmt()).collect();
                let out = self.any_expr();
                self.inside = false;
                let step = self.push(to, Action::Compile(body, out));
                let input = self.any_expr();
                Action::Call(step, input)
            }
            92..=95 if self.has(Kind::Step) => Action::Call(self.pick(Kind::Step), self.any_expr()),
            96..=97 => {
                let mut inner = Vec::new();
                for _ in 0..1 + self.below(3) {
                    self.any(&mut inner);
                }
                Action::Thread(inner)
            }
            98 => {
                let kinds =
                    [Kind::Held, Kind::Held, Kind::Net, Kind::Opt, Kind::Param, Kind::State, Kind::Grads, Kind::Step];
                let kind = kinds[self.below(kinds.len())];
                Action::Drop(kind, self.pick(kind))
            }
            _ => Action::Do(self.stmt()),
        };
        self.push(to, action);
    }

    fn thing(&mut self) -> Thing {
        match self.below(5) {
            0..=1 => Thing::Net(self.pick(Kind::Net)),
            2..=3 => Thing::Opt(self.pick(Kind::Opt)),
            _ => Thing::Average(self.pick(Kind::Average)),
        }
    }

    /// A module and its optimizer are saved, and loaded into new ones made alike.
    fn resume(&mut self, to: &mut Vec<Act>) {
        let opts: Vec<usize> = self.specs.keys().copied().collect();
        let old = opts[self.below(opts.len())];
        let (spec, params, states) = self.specs[&old].clone();
        let net_save = self.push(to, Action::Save(Thing::Net(spec.net)));
        let opt_save = self.push(to, Action::Save(Thing::Opt(old)));
        let (net, opt) = self.fresh(to, params, states);
        let at = to.len() - 1;
        let alike = OptSpec { net, ..spec };
        to[at].what = Action::Opt(alike.clone());
        self.specs.insert(opt, (alike, params, states));
        // In either order.
        if self.chance(2) {
            // The flags are loaded before there is an optimizer.
            let load = Act { id: self.next, what: Action::Load(Thing::Net(net), net_save) };
            self.next += 1;
            to.insert(at, load);
        } else {
            self.push(to, Action::Load(Thing::Net(net), net_save));
        }
        self.push(to, Action::Load(Thing::Opt(opt), opt_save));
    }
}
