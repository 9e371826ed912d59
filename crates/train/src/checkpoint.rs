//! A whole run in a file.

use std::{collections::BTreeMap, fmt, path::Path};

use thalweg_graph::{
    Error, ErrorKind, Result,
    module::snapshot::{Loading, Snapshot, Stateful, Value},
};

use crate::{
    file,
    problem::{problem, relay},
    weights::write,
};

/// The metadata's list of parts.
const PARTS: &str = "parts";

/// Everything that a run is, by names: model, optimizer, averages, loaders, generators, journal. A run that is loaded from its file
/// goes on with the bits of one that was never stopped.
///
/// ```no_run
/// # use std::cell::RefCell;
/// # use thalweg_data::Batches;
/// # use thalweg_graph::{Module, Result, Rng, Tensor};
/// # use thalweg_optim::Optimizer;
/// use thalweg_train::Checkpoint;
///
/// # fn train(net: impl Module, opt: Optimizer, batches: Batches, rng: RefCell<Rng>, loss: impl Fn() -> Tensor) -> Result<()> {
/// let run = Checkpoint::new().part("model", &net).part("optimizer", &opt).part("data", &batches).part("rng", &rng);
/// run.resume("run.safetensors")?;
/// for batch in &batches {
///     opt.step(&loss())?;
///     run.save("run.safetensors")?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Files are safetensors: `model.conv1.weight` and `optimizer.exp_avg.conv1.weight` are tensors that others can read, and everything
/// else is in the metadata. [`Load::part`](crate::Load::part) takes weights out of one.
#[derive(Clone, Default)]
#[must_use = "nothing is kept before save(path)"]
pub struct Checkpoint<'a> {
    parts: Vec<(String, &'a dyn Stateful)>,
    problem: Option<Error>,
}

impl fmt::Debug for Checkpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.parts.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a> Checkpoint<'a> {
    /// Of nothing yet.
    pub fn new() -> Checkpoint<'a> {
        Checkpoint::default()
    }

    /// With one part more. Its name is a prefix in the file: some letters, digits, `-` or `_`. One that is none, or given twice, is an
    /// error of [`Checkpoint::save`] and [`Checkpoint::load`].
    #[track_caller]
    pub fn part(mut self, name: &str, part: &'a dyn Stateful) -> Checkpoint<'a> {
        let fine = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let problem = if name.is_empty() || !name.chars().all(fine) {
            Some(format!("'{name}' is no name for a part: letters, digits, - and _ make one"))
        } else if self.parts.iter().any(|(known, _)| known == name) {
            Some(format!("there are two parts '{name}'"))
        } else {
            None
        };
        if let (Some(problem), None) = (problem, &self.problem) {
            self.problem = Some(Error::new("checkpoint", ErrorKind::Invalid(problem)));
        }
        self.parts.push((name.into(), part));
        self
    }

    /// Writes all parts to a file, atomically: a crash at any moment leaves the old file or the new one. Waits for the device.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be written; two parts of one name; what went wrong on the device.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let path = path.as_ref();
        let mut all = Snapshot::new();
        for (name, part) in &self.parts {
            let mut snapshot = Snapshot::new();
            if let Err(error) = part.save(&mut snapshot) {
                return Err(relay("save", path, &format!("part '{name}': "), &error));
            }
            all.add(name, snapshot);
        }
        let names: Vec<&str> = self.parts.iter().map(|(name, _)| name.as_str()).collect();
        write(path, &all, Some((PARTS, &names.join(" "))))
    }

    /// Brings all parts to what a file has of them; none changes unless all of them fit. A schedule is a function, and a loss scaling
    /// its settings: these the program gives again.
    ///
    /// # Errors
    /// [`ErrorKind::File`] naming the file and what is wrong: absent, truncated, damaged, other parts than these, or the part with what
    /// is missing, left over or of another kind in it.
    #[track_caller]
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let path = path.as_ref();
        let parts = match self.read(path) {
            Ok(parts) => parts,
            Err(text) => return Err(problem("load", path, text)),
        };
        let mut loading = Loading::new();
        for ((name, part), snapshot) in self.parts.iter().zip(&parts) {
            match part.prepare(snapshot) {
                Ok(changes) => loading.and(changes),
                Err(error) => return Err(relay("load", path, &format!("part '{name}': "), &error)),
            }
        }
        match loading.commit() {
            Ok(()) => Ok(()),
            Err(error) => Err(relay("load", path, "", &error)),
        }
    }

    /// [`Checkpoint::load`] where there is such a file: says whether there was.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    #[track_caller]
    pub fn resume(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        match path.try_exists() {
            Ok(false) => self.check().map(|()| false),
            Ok(true) => self.load(path).map(|()| true),
            Err(e) => Err(problem("load", path, format!("cannot be read: {e}"))),
        }
    }

    #[track_caller]
    fn check(&self) -> Result<()> {
        match &self.problem {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// What a file has for each part.
    fn read(&self, path: &Path) -> Result<Vec<Snapshot>, String> {
        let contents = file::read(path)?;
        let Some(there) = contents.notes.get(PARTS) else {
            return Err("is no checkpoint of a run; for weights there is load(path, &net)".into());
        };
        let there: Vec<&str> = there.split_whitespace().collect();
        let here: Vec<&str> = self.parts.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(missing) = here.iter().find(|name| !there.contains(name)) {
            return Err(format!("has no part '{missing}'; it has {}", there.join(", ")));
        }
        if let Some(left) = there.iter().find(|name| !here.contains(name)) {
            return Err(format!("has a part '{left}', which is not among {}", here.join(", ")));
        }
        let mut parts: BTreeMap<&str, Snapshot> = here.iter().map(|name| (*name, Snapshot::new())).collect();
        let mut put = |name: &str, value: Value| {
            let (part, rest) = name.split_once('.').unwrap_or((name, ""));
            let part = parts.get_mut(part).ok_or_else(|| format!("has '{name}', which is of none of its parts"))?;
            part.insert(rest, value);
            Ok::<(), String>(())
        };
        for (name, value) in contents.values {
            put(&name, value)?;
        }
        for (name, stored) in contents.tensors {
            let array = stored.as_is().map_err(|e| format!("has '{name}' in {:?}, {e}", stored.dtype))?;
            put(&name, Value::Array(array))?;
        }
        Ok(here.iter().filter_map(|name| parts.remove(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        sync::Arc,
    };

    use thalweg_cpu::StrictCpu;
    use thalweg_data::{Dataset, InOrder, Seed, Shuffled, Stack};
    use thalweg_graph::{Device, Param, Rng, Tensor};
    use thalweg_optim::{Adam, RuleExt, Sgd};

    use super::*;
    use crate::{Folder, Journal, scratch::Scratch};

    fn param(values: &[f32]) -> Param {
        on(&Device::new(Arc::new(StrictCpu::new())), values)
    }

    fn on(device: &Device, values: &[f32]) -> Param {
        Param::new(Tensor::from_slice(device, values, [values.len()])).unwrap()
    }

    fn all(parts: &[(&str, &dyn Stateful)]) -> Vec<(String, Value)> {
        let mut all = Snapshot::new();
        for (name, part) in parts {
            let mut snapshot = Snapshot::new();
            part.save(&mut snapshot).unwrap();
            all.add(name, snapshot);
        }
        all.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    /// Of a file cut anywhere, no part is loaded.
    #[test]
    fn all_parts_change_or_none() {
        let file = Scratch::new("whole-run");
        let numbers = || (0..10).collect::<Vec<i32>>().loader(3, Shuffled(Seed(1)), Stack).unwrap();
        let (net, epoch, best, rng, data) =
            (param(&[1.0, 2.0]), Cell::new(3u64), Cell::new(0.1f64), RefCell::new(Rng::seed(9)), numbers());
        let opt = Adam::default().init(&net).unwrap();
        opt.step(&(net.tensor() * net.tensor()).sum(..)).unwrap();
        data.next_batch().unwrap();
        rng.borrow_mut().normal();
        let journal = Journal::new(net.tensor().device(), 1);
        journal.step(3, &net.tensor().sum(..), || net.tensor().mean(..)).unwrap();
        let parts: [(&str, &dyn Stateful); 7] = [
            ("model", &net),
            ("opt", &opt),
            ("epoch", &epoch),
            ("best", &best),
            ("rng", &rng),
            ("data", &data),
            ("journal", &journal),
        ];
        let run = parts.iter().fold(Checkpoint::new(), |run, (name, part)| run.part(name, *part));
        let (saved, steps) = (all(&parts), journal.curve().clone());
        run.save(&file.0).unwrap();

        // Other values of everything.
        net.set(&(net.tensor() + 1.0)).unwrap();
        opt.step(&(net.tensor() * net.tensor()).sum(..)).unwrap();
        opt.set_lr(0.5).unwrap();
        net.freeze(true);
        epoch.set(8);
        best.set(9.0);
        rng.borrow_mut().uniform();
        data.next_batch().unwrap();
        journal.step(3, &net.tensor().sum(..), || net.tensor().mean(..)).unwrap();
        let changed = all(&parts);
        assert!(saved.iter().zip(&changed).all(|((a, _), (b, _))| a == b));

        let whole = std::fs::read(&file.0).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&file.0, &whole[..end]).unwrap();
            let error = run.load(&file.0).unwrap_err().to_string();
            assert!(error.contains("whole-run") && error.contains("is truncated"), "{end}: {error}");
        }
        assert_eq!(all(&parts), changed);
        std::fs::write(&file.0, &whole).unwrap();

        // The last part does not fit: the first ones stay as they are.
        let others = (0..11).collect::<Vec<i32>>().loader(3, InOrder, Stack).unwrap();
        let misfit = parts[..5].iter().fold(Checkpoint::new(), |run, (name, part)| run.part(name, *part));
        let error =
            misfit.clone().part("data", &others).part("journal", &journal).load(&file.0).unwrap_err().to_string();
        assert!(
            error.contains("part 'data': the position is one of a loader with 10 items, and this one has 11"),
            "{error}"
        );
        let error = misfit.clone().part("data", &data).part("journal", &best).load(&file.0).unwrap_err().to_string();
        assert!(error.contains("part 'journal': there is no '#value', which is needed"), "{error}");
        let error = misfit.clone().part("data", &data).part("diary", &best).load(&file.0).unwrap_err().to_string();
        assert!(error.contains("has no part 'diary'; it has model, opt, epoch, best, rng, data, journal"), "{error}");
        let error = misfit.part("data", &data).load(&file.0).unwrap_err().to_string();
        assert!(
            error.contains("has a part 'journal', which is not among model, opt, epoch, best, rng, data"),
            "{error}"
        );
        assert_eq!(all(&parts), changed);

        assert_eq!(run.resume(file.0.with_extension("none")), Ok(false));
        assert_eq!(all(&parts), changed);
        assert_eq!(run.resume(&file.0), Ok(true));
        assert_eq!(all(&parts), saved);
        assert_eq!(format!("{:?}", *journal.curve()), format!("{steps:?}"));
        assert_eq!((journal.steps(), epoch.get(), best.get(), net.is_frozen()), (1, 3, 0.1, false));
    }

    #[test]
    fn another_rule_or_another_model_is_an_error() {
        let file = Scratch::new("other-rule");
        let first = param(&[1.0]);
        let net = vec![first.clone(), on(first.tensor().device(), &[2.0, 3.0])];
        let opt = Adam::default().init(&net).unwrap();
        Checkpoint::new().part("opt", &opt).save(&file.0).unwrap();
        let message = |opt: &dyn Stateful| Checkpoint::new().part("opt", opt).load(&file.0).unwrap_err().to_string();
        let text = message(&Sgd::default().init(&net).unwrap());
        assert!(text.contains("there is 'correction1.0', which this optimizer has not"), "{text}");
        let text = message(&Sgd { momentum: 0.9, ..Sgd::default() }.init(&net).unwrap());
        assert!(text.contains("part 'opt': there is no 'momentum_buffer.0', which is needed"), "{text}");
        let text = message(&Adam::default().init(&net[..1].to_vec()).unwrap());
        assert!(text.contains("which this optimizer has not: it has another rule, or other parameters"), "{text}");
        let text = message(&net);
        assert!(text.contains("part 'opt': there is no '0', which the model needs"), "{text}");
    }

    #[test]
    fn names_of_parts_are_names() {
        let (net, file) = (param(&[1.0]), Scratch::new("names"));
        for name in ["", "a.b", "#a", "a b", "model"] {
            let line = line!() + 1;
            let run = Checkpoint::new().part("model", &net).part(name, &net);
            for error in [run.save(&file.0).unwrap_err(), run.load(&file.0).unwrap_err()] {
                assert_eq!((error.op(), error.location().line()), ("checkpoint", line), "{error}");
            }
            assert!(!file.0.exists());
        }
        crate::save(&file.0, &net).unwrap();
        let error = Checkpoint::new().part("model", &net).load(&file.0).unwrap_err().to_string();
        assert!(error.contains("is no checkpoint of a run; for weights there is load(path, &net)"), "{error}");
    }

    #[test]
    fn folders_keep_the_latest_and_find_the_newest_that_is_whole() {
        let dir = Scratch::new("folder");
        let (step, folder) = (Cell::new(0u64), Folder::new(&dir.0, 3));
        let run = Checkpoint::new().part("step", &step);
        assert_eq!(folder.newest(), Ok(None));
        for n in [9, 10, 999_999_999, 100, 11] {
            step.set(n);
            let path = folder.save(n, &run).unwrap();
            assert!(path.exists(), "{n}");
        }
        std::fs::write(dir.0.join("notes.txt"), "mine").unwrap();
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let file = |n: u64| format!("step-{n:08}.safetensors");
        let kept = [file(11), file(100), file(999_999_999)];
        assert_eq!(names()[1..], kept);
        run.load(folder.newest().unwrap().unwrap()).unwrap();
        assert_eq!(step.get(), 999_999_999);
        std::fs::write(dir.0.join(file(999_999_999)), "torn").unwrap();
        run.load(folder.newest().unwrap().unwrap()).unwrap();
        assert_eq!(step.get(), 100);
        [11, 100].iter().for_each(|n| std::fs::write(dir.0.join(file(*n)), "torn").unwrap());
        let error = folder.newest().unwrap_err().to_string();
        assert!(error.contains("step-999999999.safetensors: is truncated"), "{error}");
    }
}
