//! A smaller program that fails as well.

use std::time::{Duration, Instant};

use super::{
    super::check::Contender,
    actions::{Act, Action, Expr, How, Loss, Program, Stmt},
    run::{Failure, check},
};

/// Takes away and simplifies as long as it still fails in the same way, and the time allows.
pub fn shrink(program: &Program, failure: &Failure, contender: &Contender, time: Duration) -> (Program, Failure) {
    let end = Instant::now() + time;
    let (mut best, mut why) = (program.clone(), failure.clone());
    // As it was resolved: nothing refers to anything else when something is taken away.
    let settled = Program { actions: failure.log.clone(), ..program.clone() };
    if let Err(found) = check(&settled, contender) {
        (best, why) = (settled, found);
    }
    loop {
        let mut better = false;
        let mut next = 0;
        while let Some(smaller) = candidates(&best).into_iter().nth(next) {
            if Instant::now() > end {
                return (best, why);
            }
            match check(&smaller, contender) {
                Err(found) if kind(&found) == kind(&why) => {
                    (best, why) = (smaller, found);
                    better = true;
                }
                _ => next += 1,
            }
        }
        if !better {
            return (best, why);
        }
    }
}

/// Another kind of failure is another story.
fn kind(failure: &Failure) -> &str {
    let end = failure.what.find([' ', ':']).unwrap_or(failure.what.len());
    &failure.what[..end]
}

/// Every program that is one change simpler, the greatest changes first.
fn candidates(p: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    let mut push = |q: Program| {
        if q != *p {
            all.push(q);
        }
    };
    let n = p.actions.len();
    for run in [n / 2, n / 4, 4, 2, 1] {
        for start in (0..n).rev().step_by(run.max(1)) {
            let mut q = p.clone();
            q.actions.drain(start..(start + run).min(n));
            push(q);
        }
    }
    push(Program { watch: false, ..p.clone() });
    for size in [2, 3, 9].into_iter().filter(|s| *s < p.size) {
        push(Program { size, ..p.clone() });
    }
    for i in 0..n {
        for smaller in simpler(&p.actions[i]) {
            let mut q = p.clone();
            q.actions.splice(i..=i, smaller);
            push(q);
        }
    }
    all
}

/// What may stand for an action.
fn simpler(act: &Act) -> Vec<Vec<Act>> {
    let mut all = Vec::new();
    if let Action::Thread(inner) = &act.what {
        all.push(inner.clone());
        for i in 0..inner.len() {
            let mut fewer = inner.clone();
            fewer.remove(i);
            all.push(vec![Act { id: act.id, what: Action::Thread(fewer) }]);
            for smaller in simpler(&inner[i]) {
                let mut changed = inner.clone();
                changed.splice(i..=i, smaller);
                all.push(vec![Act { id: act.id, what: Action::Thread(changed) }]);
            }
        }
        return all;
    }
    let of = of_action(&act.what);
    of.into_iter().map(|what| vec![Act { id: act.id, what }]).collect()
}

fn of_action(action: &Action) -> Vec<Action> {
    use Action::*;
    match action {
        Param(e) => of_expr(e).into_iter().map(Param).collect(),
        State(e) => of_expr(e).into_iter().map(State).collect(),
        Record(e) => of_expr(e).into_iter().map(Record).collect(),
        Loss(l) => of_loss(l).into_iter().map(Loss).collect(),
        Net(params, states) => {
            let fewer = |v: &Vec<usize>| (0..v.len()).map(|i| [&v[..i], &v[i + 1..]].concat()).collect::<Vec<_>>();
            let params_fewer = fewer(params).into_iter().map(|p| Net(p, states.clone()));
            params_fewer.chain(fewer(states).into_iter().map(|s| Net(params.clone(), s))).collect()
        }
        Over(over, e) => {
            let mut all = vec![Record(e.clone())];
            for i in 0..over.len() {
                let with = |value: Expr| {
                    let mut over = over.clone();
                    over[i].1 = value;
                    Over(over, e.clone())
                };
                all.extend(of_expr(&over[i].1).into_iter().map(with));
            }
            all.extend(of_expr(e).into_iter().map(|e| Over(over.clone(), e)));
            all
        }
        Discard(puts, e) => {
            let mut all = vec![Record(e.clone())];
            for i in 0..puts.len() {
                let mut fewer = puts.clone();
                fewer.remove(i);
                all.push(Discard(fewer, e.clone()));
            }
            all.extend(of_expr(e).into_iter().map(|e| Discard(puts.clone(), e)));
            all
        }
        During(a, e) => of_expr(e).into_iter().map(|e| During(*a, e)).collect(),
        Do(stmt) => of_stmt(stmt).into_iter().map(Do).collect(),
        Insert(g, p, e) => of_expr(e).into_iter().map(|e| Insert(*g, *p, e)).collect(),
        Accumulate(opt, l) => of_loss(l).into_iter().map(|l| Accumulate(*opt, l)).collect(),
        Call(step, e) => of_expr(e).into_iter().map(|e| Call(*step, e)).collect(),
        Compile(body, out) => {
            let mut all = Vec::new();
            for i in 0..body.len() {
                let mut fewer = body.clone();
                fewer.remove(i);
                all.push(Compile(fewer, out.clone()));
                for smaller in of_stmt(&body[i]) {
                    let mut changed = body.clone();
                    changed[i] = smaller;
                    all.push(Compile(changed, out.clone()));
                }
            }
            all.extend(of_expr(out).into_iter().map(|out| Compile(body.clone(), out)));
            all
        }
        Opt(spec) => {
            let mut plain = spec.clone();
            plain.group = None;
            let mut free = spec.clone();
            (free.clip_norm, free.clip_value) = (None, None);
            let mut simple = spec.clone();
            simple.rule = 0;
            [plain, free, simple].into_iter().map(Opt).collect()
        }
        _ => Vec::new(),
    }
}

fn of_stmt(stmt: &Stmt) -> Vec<Stmt> {
    match stmt {
        Stmt::Set(p, e) => of_expr(e).into_iter().map(|e| Stmt::Set(*p, e)).collect(),
        Stmt::Put(s, e) => of_expr(e).into_iter().map(|e| Stmt::Put(*s, e)).collect(),
        Stmt::Write(s, e) => of_expr(e).into_iter().map(|e| Stmt::Write(*s, e)).collect(),
        Stmt::Swap(s, t) => vec![Stmt::Put(*s, Expr::State(*t))],
        Stmt::Step(opt, l) => of_loss(l).into_iter().map(|l| Stmt::Step(*opt, l)).collect(),
        Stmt::Both(a, b, l) => {
            let single = Stmt::Step(*a, l.clone());
            of_loss(l).into_iter().map(|l| Stmt::Both(*a, *b, l)).chain([single]).collect()
        }
        Stmt::Micro(opt, losses) => {
            let mut all = vec![Stmt::Step(*opt, losses[0].clone())];
            for i in 0..losses.len() {
                if losses.len() > 1 {
                    let mut fewer = losses.clone();
                    fewer.remove(i);
                    all.push(Stmt::Micro(*opt, fewer));
                }
                for smaller in of_loss(&losses[i]) {
                    let mut changed = losses.clone();
                    changed[i] = smaller;
                    all.push(Stmt::Micro(*opt, changed));
                }
            }
            all
        }
    }
}

fn of_loss(loss: &Loss) -> Vec<Loss> {
    let mut all: Vec<Loss> = of_expr(&loss.of).into_iter().map(|of| Loss { of, how: loss.how }).collect();
    if loss.how == How::Square {
        all.push(Loss { of: loss.of.clone(), how: How::Mean });
    }
    all
}

fn of_expr(e: &Expr) -> Vec<Expr> {
    match e {
        Expr::Const(0) | Expr::Input => vec![],
        Expr::Const(_) => vec![Expr::Const(0)],
        Expr::Param(_) | Expr::State(_) | Expr::Held(_) => vec![Expr::Const(0)],
        Expr::One(f, x) => {
            let under = of_expr(x).into_iter().map(|x| Expr::One(*f, Box::new(x)));
            [(**x).clone()].into_iter().chain(under).collect()
        }
        Expr::Two(f, a, b) => {
            let left = of_expr(a).into_iter().map(|a| Expr::Two(*f, Box::new(a), b.clone()));
            let right = of_expr(b).into_iter().map(|b| Expr::Two(*f, a.clone(), Box::new(b)));
            [(**a).clone(), (**b).clone()].into_iter().chain(left).chain(right).collect()
        }
        Expr::Norm(net, x) => {
            let under = of_expr(x).into_iter().map(|x| Expr::Norm(*net, Box::new(x)));
            [(**x).clone()].into_iter().chain(under).collect()
        }
    }
}
