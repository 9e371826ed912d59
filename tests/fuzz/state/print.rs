//! A program as Rust.

use std::fmt::Write;

use super::{
    actions::{Act, Action, Expr, How, Kind, Loss, One, OptSpec, Program, RATES, Stmt, Thing, Two, constant, rule},
    run::Failure,
};

/// What stands in front of every program.
const HEAD: &str = "\
#[derive(Clone, Debug, Module)]
struct Net {
    p: Vec<Param>,
    s: Vec<State>,
    mode: Mode,
}

impl Net {
    fn norm(&self, x: &Tensor) -> Tensor {
        match (self.s.first(), self.mode.is_training()) {
            (None, _) => x.clone(),
            (Some(running), false) => (x - running.tensor()) * 0.5,
            (Some(running), true) => {
                let mean = x.mean_keepdim(0).broadcast_to(x.shape());
                running.set(&((running.tensor() + &mean) * 0.5));
                (x - mean) * 0.5
            }
        }
    }
}
";

/// The program in the terms of the public interface.
pub fn print(program: &Program, failure: &Failure) -> String {
    let Program { seed, size, watch, .. } = program;
    let mut text = format!("/// State fuzz seed {seed}; {}: {}\n", failure.contender, failure.what.trim());
    let watched = if *watch { " All variables are read after every line." } else { "" };
    let _ = writeln!(text, "/// The last line fails.{watched}");
    let _ = writeln!(text, "{HEAD}\n#[test]\nfn state_{seed}() -> Result<()> {{");
    let printer = Printer { size: *size };
    failure.log.iter().for_each(|act| printer.act(&mut text, act, 1));
    text + "    Ok(())\n}\n"
}

struct Printer {
    size: usize,
}

impl Printer {
    fn act(&self, text: &mut String, Act { id, what }: &Act, depth: usize) {
        let pad = "    ".repeat(depth);
        if let Action::Thread(inner) = what {
            let _ = writeln!(text, "{pad}thread::scope(|scope| scope.spawn(|| {{");
            inner.iter().for_each(|act| self.act(text, act, depth + 1));
            let _ = writeln!(text, "{pad}}}).join());");
            return;
        }
        let _ = writeln!(text, "{pad}{}", self.action(*id, what));
    }

    fn action(&self, id: usize, action: &Action) -> String {
        let e = |e: &Expr| self.expr(e);
        match action {
            Action::Param(x) => format!("let p{id} = Param::new({})?;", e(x)),
            Action::State(x) => format!("let s{id} = State::new({})?;", e(x)),
            Action::Net(params, states) => {
                let list = |ids: &[usize], name: &str| {
                    ids.iter().map(|i| format!("{name}{i}.clone()")).collect::<Vec<_>>().join(", ")
                };
                let (p, s) = (list(params, "p"), list(states, "s"));
                format!("let net{id} = Net {{ p: vec![{p}], s: vec![{s}], mode: Mode::default() }};")
            }
            Action::Fork(net) => format!(
                "let net{id} = net{net}.fork()?; let (p{id}, s{id}) = (net{id}.p[0].clone(), net{id}.s.first().cloned());"
            ),
            Action::Record(x) => format!("let t{id} = {};", e(x)),
            Action::Loss(loss) => format!("let t{id} = {};", self.loss(loss)),
            Action::Over(over, x) => {
                let over: Vec<String> = over.iter().map(|(p, x)| format!("(&p{p}, {})", e(x))).collect();
                format!("let t{id} = overlay(&[{}], || {})?;", over.join(", "), e(x))
            }
            Action::Discard(puts, x) => {
                let puts: Vec<String> = puts.iter().map(|(s, x)| format!("s{s}.set(&{}); ", e(x))).collect();
                format!("let t{id} = discarding(|| {{ {}{} }});", puts.concat(), e(x))
            }
            Action::Copy(t) => format!("let t{id} = t{t}.copy()?;"),
            Action::Read(t) => format!("t{t}.to_vec::<f64>()?;"),
            Action::Eval(t) => format!("t{t}.eval()?;"),
            Action::ReadParam(p) => format!("p{p}.tensor().to_vec::<f64>()?;"),
            Action::ReadState(s) => format!("s{s}.tensor().to_vec::<f64>()?;"),
            Action::Do(stmt) => self.stmt(stmt),
            Action::StepHeld(opt, t) => format!("opt{opt}.step(&t{t})?;"),
            Action::Backward(t) => format!("let mut g{id} = t{t}.backward()?;"),
            Action::Apply(opt, g) => format!("opt{opt}.apply(&g{g})?;"),
            Action::Add(g, h) => format!("let mut g{id} = g{g}.clone() + g{h}.clone();"),
            Action::Scale(g) => format!("let mut g{id} = g{g}.clone().map(|g| g * 0.5);"),
            Action::Remove(g, p) => format!("g{g}.remove(&p{p});"),
            Action::Insert(g, p, x) => format!("g{g}.insert(&p{p}, &{})?;", e(x)),
            Action::ReadGrad(g, p) => format!("g{g}.get(&p{p}).map(|g| g.to_vec::<f64>()).transpose()?;"),
            Action::Missing(g, net) => format!("g{g}.missing(&net{net});"),
            Action::Accumulate(opt, loss) => format!("opt{opt}.accumulate(&{})?;", self.loss(loss)),
            Action::StepAccumulated(opt) => format!("opt{opt}.step_accumulated()?;"),
            Action::Opt(spec) => format!("let opt{id} = {};", optimizer(spec)),
            Action::Rate(opt, rate) => format!("opt{opt}.set_lr({:?})?;", RATES[*rate % RATES.len()]),
            Action::Schedule(opt) => format!("opt{opt}.set_schedule(|step| 0.125 / (1.0 + step as f64));"),
            Action::Report(opt) => format!("opt{opt}.report()?;"),
            Action::Train(net) => format!("net{net}.train();"),
            Action::Predict(net) => format!("net{net}.eval();"),
            Action::Freeze(p, frozen) => format!("p{p}.freeze({frozen});"),
            Action::FreezeNet(net, frozen) => format!("net{net}.freeze({frozen});"),
            Action::Look(net) => format!("(net{net}.params(), net{net}.states(), net{net}.count());"),
            Action::Save(thing) => {
                format!("let mut save{id} = Snapshot::new(); Stateful::save(&{}, &mut save{id})?;", name(*thing))
            }
            Action::Load(thing, save) => format!("Stateful::load(&{}, &save{save})?;", name(*thing)),
            Action::Average(net, true) => format!("let average{id} = Average::exponential(&net{net}, 0.75)?;"),
            Action::Average(net, false) => format!("let average{id} = Average::mean(&net{net})?;"),
            Action::Update(a) => format!("average{a}.update()?;"),
            Action::During(a, x) => format!("let t{id} = average{a}.during(|| {})?;", e(x)),
            Action::WriteAverage(a) => format!("average{a}.write()?;"),
            Action::Compile(body, out) => {
                let body: Vec<String> = body.iter().map(|s| self.stmt(s)).collect();
                format!("let mut step{id} = compile(|[x]: [Tensor; 1]| {{ {} Ok([{}]) }});", body.join(" "), e(out))
            }
            Action::Call(step, x) => format!("let [t{id}] = step{step}.call([&{}])?;", e(x)),
            Action::Thread(_) => String::new(),
            Action::Drop(kind, id) => {
                let kind = match kind {
                    Kind::Param => "p",
                    Kind::State => "s",
                    Kind::Net => "net",
                    Kind::Held | Kind::Tame => "t",
                    Kind::Grads => "g",
                    Kind::Opt => "opt",
                    Kind::Average => "average",
                    Kind::Step => "step",
                    Kind::NetSave | Kind::OptSave | Kind::AverageSave => "save",
                };
                format!("drop({kind}{id});")
            }
        }
    }

    fn stmt(&self, stmt: &Stmt) -> String {
        match stmt {
            Stmt::Set(p, e) => format!("p{p}.set(&{})?;", self.expr(e)),
            Stmt::Put(s, e) => format!("s{s}.set(&{});", self.expr(e)),
            Stmt::Write(s, e) => format!("s{s}.write(&{})?;", self.expr(e)),
            Stmt::Swap(s, t) => {
                format!("let (a, b) = (s{s}.tensor(), s{t}.tensor()); s{s}.set(&b); s{t}.set(&a);")
            }
            Stmt::Step(opt, loss) => format!("opt{opt}.step(&{})?;", self.loss(loss)),
            Stmt::Both(a, b, loss) => {
                format!("let g = opt{a}.backward(&{})?; opt{a}.apply(&g)?; opt{b}.apply(&g)?;", self.loss(loss))
            }
            Stmt::Micro(opt, losses) => {
                let each = losses.iter().map(|l| format!("opt{opt}.accumulate(&{})?; ", self.loss(l)));
                format!("{}opt{opt}.step_accumulated()?;", each.collect::<String>())
            }
        }
    }

    fn loss(&self, loss: &Loss) -> String {
        let of = self.expr(&loss.of);
        match loss.how {
            How::Whole => of,
            How::Mean => format!("({of}).mean(..)"),
            How::Square => format!("({of}).square().mean(..)"),
            How::Nan => format!("(({of}).mean(..) + Tensor::from_slice(d, &[f32::NAN], ())) * 0.5"),
            How::Bad => format!("(({of}) * matrix(f32::NAN in front, else 1)).mean(..)"),
        }
    }

    fn expr(&self, e: &Expr) -> String {
        match e {
            Expr::Param(p) => format!("p{p}.tensor()"),
            Expr::State(s) => format!("s{s}.tensor()"),
            Expr::Held(t) => format!("t{t}.clone()"),
            Expr::Input => "x.clone()".into(),
            Expr::Const(seed) if self.size > 3 => format!("constant({seed})"),
            Expr::Const(seed) => {
                let values: Vec<f32> = constant(*seed, self.size).into_iter().map(|v| v as f32).collect();
                format!("matrix(&{values:?})")
            }
            Expr::One(f, x) => {
                let x = self.expr(x);
                match f {
                    One::Neg => format!("-({x})"),
                    One::Half => format!("({x}) * 0.5"),
                    One::Tanh => format!("({x}).tanh()"),
                    One::Square => format!("({x}).square()"),
                    One::Transpose => format!("({x}).t()"),
                    One::Flip => format!("({x}).flip(0)"),
                    One::Roll => format!("({x}).roll(1, 1)"),
                    One::Mean => {
                        format!("({x}).mean_keepdim(0).broadcast_to(&[{0}, {0}])", self.size)
                    }
                    One::Detach => format!("({x}).detach()"),
                }
            }
            Expr::Two(f, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match f {
                    Two::Mid => format!("({a} + {b}) * 0.5"),
                    Two::Gap => format!("({a} - ({b})) * 0.5"),
                    Two::Mul => format!("({a}) * ({b})"),
                    Two::MatMul => format!("({a}).matmul(&({b})) * (1.0 / {}.0)", self.size),
                }
            }
            Expr::Norm(net, x) => format!("net{net}.norm(&({}))", self.expr(x)),
        }
    }
}

fn optimizer(spec: &OptSpec) -> String {
    let rule = |i| match rule(i) {
        super::actions::Update::Sgd(rule) => format!("{rule:?}"),
        super::actions::Update::Adam(rule) => format!("{rule:?}"),
        super::actions::Update::AdamW(rule) => format!("{rule:?}"),
    };
    let mut text = format!("{}.init(&net{})?", rule(spec.rule), spec.net);
    if let Some((at, own)) = spec.group {
        let _ = write!(text, ".group(\"p.{at}\", {})?", rule(own));
    }
    if let Some(norm) = spec.clip_norm {
        let _ = write!(text, ".clip_norm({norm:?})");
    }
    if let Some(value) = spec.clip_value {
        let _ = write!(text, ".clip_value({value:?})");
    }
    text
}

fn name(thing: Thing) -> String {
    match thing {
        Thing::Net(net) => format!("net{net}"),
        Thing::Opt(opt) => format!("opt{opt}"),
        Thing::Average(a) => format!("average{a}"),
    }
}
