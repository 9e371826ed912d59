//! An optimizer to disk and back.

use thalweg_graph::{
    Error, ErrorKind, Grads, Param, Result,
    module::snapshot::{Array, Loading, Snapshot, Stateful, Value},
};

use crate::{
    group::Group,
    optimizer::Optimizer,
    saved::{RATE, SUM, SUMMED, fitting, knows, names, prepare, save},
    work::{Summed, Work, lock},
};

impl Stateful for Optimizer {
    /// Slots by parameter, counts of steps (and so the position in a schedule), the loss scale, the learning rate, gradients added up
    /// for the step to come. The schedule itself is a function, which the program gives again.
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let saved = save(&self.work())?;
        saved.iter().for_each(|(name, value)| to.insert(name, value.clone()));
        to.insert(RATE, Value::Number(self.lr()));
        let sum = lock(&self.sum);
        let Some(Summed { grads, losses, .. }) = &*sum else { return Ok(()) };
        to.insert(SUMMED, Value::Words(vec![(*losses).into()]));
        for (name, param) in &self.params {
            if let Some(gradient) = grads.get(param) {
                to.insert(format!("{SUM}.{name}"), Value::Array(Array::of(gradient)?));
            }
        }
        Ok(())
    }

    /// It then has room for the parameters that it had room for when it was saved, in the same order, so that norms are added up in
    /// the same order; others are given room when they have a gradient.
    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let rooms: Vec<(String, Param)> = self.params.iter().filter(|(name, _)| knows(from, name)).cloned().collect();
        if rooms.is_empty() {
            let problem = "it knows none of this optimizer's parameters".to_string();
            return Err(Error::new("load", ErrorKind::Invalid(problem)));
        }
        let device = self.device();
        let work = self.work();
        let same = work.size() == rooms.len() && rooms.iter().all(|(_, p)| work.has(p));
        let fresh =
            if same { None } else { Some(Work::of(Group::all(&rooms, &self.rules)?, &device, self.first_scale())?) };
        let to = fresh.as_ref().unwrap_or(&work);
        let prepared = prepare(to, from, self.first_scale())?;
        let rate = from.number(RATE)?;
        let (mut names, mut sum) = (names(to), Vec::new());
        for (name, param) in &self.params {
            let entry = format!("{SUM}.{name}");
            if from.get(&entry).is_some() {
                let (shape, dtype) = (param.shape(), param.tensor().dtype());
                sum.push((param, fitting(from.array(&entry)?, &entry, &shape, dtype)?.upload(&device)?));
                names.insert(entry);
            }
        }
        let summed = if from.get(SUMMED).is_some() { Some(from.words::<1>(SUMMED)?[0]) } else { None };
        if let Some((left, _)) = from.iter().find(|(name, _)| !names.contains(*name)) {
            let problem =
                format!("there is '{left}', which this optimizer has not: it has another rule, or other parameters");
            return Err(Error::new("load", ErrorKind::Invalid(problem)));
        }
        drop(work);
        let mut loading = Loading::new();
        loading.then(move || {
            if let Some(fresh) = fresh {
                self.replace(fresh);
            }
            prepared.commit(&self.work())?;
            self.lr.set(rate)?;
            self.forget_count();
            *lock(&self.sum) = None;
            Ok(())
        });
        // Gradients belong to a version of their parameters, which may be loaded after this.
        loading.last(move || {
            let Some(n) = summed else { return Ok(()) };
            let mut grads = Grads::new();
            sum.iter().try_for_each(|(param, gradient)| grads.insert(*param, gradient))?;
            let (grads, flats, _) = self.work().lay_out(grads);
            *lock(&self.sum) = Some(Summed { grads, flats, losses: n as u32, recording: None });
            Ok(())
        });
        Ok(loading)
    }
}
