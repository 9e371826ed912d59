//! A program on a device and on the model, action by action.

use thalweg_graph::Device;

use super::{
    super::{caught::caught, check::Contender},
    actions::{Act, Action, Kind, Program},
    model::{Fault, Model, Shown, Want},
    real::{Real, fault},
};

/// A disagreement.
#[derive(Clone, Debug)]
pub struct Failure {
    /// On whose side.
    pub contender: String,
    /// What it showed and what it should have.
    pub what: String,
    /// The actions up to it, with what they referred to.
    pub log: Vec<Act>,
}

/// How far a value may be off: relative to its size, and at all.
const RELATIVE: f64 = 1e-4;
const ABSOLUTE: f64 = 1e-5;

/// The first action on which a device and the model disagree.
pub fn check(program: &Program, contender: &Contender) -> Result<(), Failure> {
    let eager = contender.name.ends_with("op by op");
    let mut bench = Bench::new(&contender.device, program, eager);
    let result = bench.list(&program.actions).and_then(|()| bench.last_look());
    result.map_err(|what| {
        let log = bench.logs.into_iter().flatten().collect();
        Failure { contender: contender.name.clone(), what, log }
    })
}

struct Bench {
    model: Model,
    real: Real,
    watch: bool,
    /// What was done, of each thread that waits for another and of the one at work.
    logs: Vec<Vec<Act>>,
}

impl Bench {
    fn new(device: &Device, program: &Program, eager: bool) -> Bench {
        let (model, real) = (Model::new(program.size, eager), Real::new(device, program.size));
        Bench { model, real, watch: program.watch, logs: vec![Vec::new()] }
    }

    fn list(&mut self, acts: &[Act]) -> Result<(), String> {
        for Act { id, what } in acts {
            if !self.model.is_tame() {
                return Ok(());
            }
            if let Action::Thread(inner) = what {
                self.thread(*id, inner)?;
                continue;
            }
            let Some(what) = self.model.resolve(what) else { continue };
            self.log(*id, &what);
            self.act(*id, &what)?;
            if self.watch && self.model.is_tame() {
                self.look(*id)?;
            }
        }
        Ok(())
    }

    fn log(&mut self, id: usize, what: &Action) {
        let act = Act { id, what: what.clone() };
        self.logs.last_mut().into_iter().for_each(|log| log.push(act.clone()));
    }

    fn thread(&mut self, id: usize, inner: &[Act]) -> Result<(), String> {
        let here = self.model.enter();
        self.logs.push(Vec::new());
        let result = std::thread::scope(|scope| scope.spawn(|| self.list(inner)).join());
        let log = self.logs.pop().unwrap_or_default();
        self.log(id, &Action::Thread(log));
        self.model.leave(here);
        result.unwrap_or_else(|_| Err("panic: of the checker".into()))
    }

    fn act(&mut self, id: usize, what: &Action) -> Result<(), String> {
        let seen: Result<Shown, (Fault, String)> =
            caught(|| Ok(self.real.act(id, what).map_err(|error| fault(&error))))?;
        let saw_stale = matches!(seen, Err((Fault::Stale, _)));
        let want = caught(|| Ok(self.model.act(id, what, saw_stale))).map_err(|e| format!("the model: {e}"))?;
        if self.model.is_unsure() { Ok(()) } else { compare(seen, want) }
    }

    /// Reads every variable.
    fn look(&mut self, id: usize) -> Result<(), String> {
        let reads: [(Kind, fn(usize) -> Action); 2] =
            [(Kind::Param, Action::ReadParam), (Kind::State, Action::ReadState)];
        for (kind, read) in reads {
            for of in self.model.ids(kind) {
                self.read(id, &read(of))?;
            }
        }
        Ok(())
    }

    fn read(&mut self, id: usize, what: &Action) -> Result<(), String> {
        let Some(what) = self.model.resolve(what) else { return Ok(()) };
        let result = self.act(id, &what);
        if result.is_err() {
            self.log(id, &what);
        }
        result
    }

    /// Whatever is held shows what it did, or that it is stale.
    fn last_look(&mut self) -> Result<(), String> {
        if !self.model.is_tame() {
            return Ok(());
        }
        for held in self.model.ids(Kind::Held) {
            self.read(0, &Action::Read(held))?;
        }
        for grads in self.model.ids(Kind::Grads) {
            for param in self.model.ids(Kind::Param) {
                self.read(0, &Action::ReadGrad(grads, param))?;
            }
        }
        self.look(0)?;
        for opt in self.model.ids(Kind::Opt) {
            self.read(0, &Action::Report(opt))?;
        }
        Ok(())
    }
}

fn compare(seen: Result<Shown, (Fault, String)>, want: Want) -> Result<(), String> {
    match (seen, want) {
        (Ok(got), Ok(want)) if got.names != want.names => Err(format!("value: {:?}, not {:?}", got.names, want.names)),
        (Ok(got), Ok(want)) if got.numbers.len() != want.numbers.len() => {
            Err(format!("value: {} numbers, not {}", got.numbers.len(), want.numbers.len()))
        }
        (Ok(got), Ok(want)) => {
            let off = |(g, w): &(&f64, &f64)| {
                let equal = g == w || g.is_nan() && w.is_nan();
                !equal && ((*g - *w).abs().is_nan() || (*g - *w).abs() > ABSOLUTE + RELATIVE * w.abs())
            };
            let (got, want) = (&got.numbers, &want.numbers);
            match got.iter().zip(want).position(|pair| off(&pair)) {
                Some(at) => Err(format!("value: element {at} is {}, not {}", got[at], want[at])),
                None => Ok(()),
            }
        }
        (Err((kind, _)), Err(want)) if want.contains(&kind) => Ok(()),
        (Err((kind, text)), Err(want)) => Err(format!("error: {kind:?}, not {want:?}: {text}")),
        (Err((kind, text)), Ok(_)) => Err(format!("error: {kind:?}, where there is none: {text}")),
        (Ok(_), Err(want)) => Err(format!("no error, where there is {want:?}")),
    }
}
