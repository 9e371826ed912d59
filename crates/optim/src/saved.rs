//! What an optimizer keeps, to disk and back: by parameter (`exp_avg.conv1.weight`), so that layouts and groups may be others when it
//! is loaded.

use thalweg_graph::{
    DType, Error, ErrorKind, Result, State, Tensor,
    module::{
        Segment,
        snapshot::{Array, Loading, Snapshot, Stateful, Value},
    },
    shape::count,
};

use crate::{
    control::LANES,
    group::Group,
    optimizer::{Optimizer, Work, lock},
    rule::{Kept, Slot},
};

const CONTROL: &str = "#control";
const RATE: &str = "#lr";

/// All entries.
pub(crate) fn save(work: &Work) -> Result<Snapshot> {
    let mut to = Snapshot::new();
    let control = work.control.state().tensor().to_vec::<f64>()?;
    to.insert(CONTROL, Value::Words(control[..LANES].iter().map(|x| x.to_bits()).collect()));
    for group in &work.groups {
        let segments = group.arena.layout().segments();
        for (i, (name, _)) in group.numbers.iter().enumerate() {
            let (first, _) = group.number(i);
            for (j, segment) in segments.iter().enumerate() {
                to.insert(format!("{name}.{}", segment.path), Value::Number(control[first + j]));
            }
        }
        for Kept { slot, states } in &group.kept {
            let name = slot.name();
            if let Slot::Flat { .. } = slot {
                let flat = Array::of(&states[0].tensor())?;
                for segment in segments {
                    to.insert(format!("{name}.{}", segment.path), Value::Array(cut(&flat, segment)));
                }
            } else {
                for (state, segment) in states.iter().zip(segments) {
                    to.insert(format!("{name}.{}", segment.path), Value::Array(Array::of(&state.tensor())?));
                }
            }
        }
    }
    Ok(to)
}

/// One parameter's part of a flat buffer.
fn cut(flat: &Array, Segment { offset, shape, .. }: &Segment) -> Array {
    let size = flat.dtype.size_bytes();
    let bytes = flat.bytes[offset * size..(offset + count(shape)) * size].to_vec();
    Array { dtype: flat.dtype, shape: shape.clone(), bytes }
}

/// Loads all entries.
pub(crate) fn load(work: &Work, from: &Snapshot, fresh: bool) -> Result<()> {
    prepare(work, from, fresh)?.into_iter().try_for_each(|(state, value)| state.write(&value))
}

/// Every state with its new value. Parameters that the snapshot does not know begin anew: they were frozen when it was taken (`fresh`: or
/// have just been given room).
fn prepare(work: &Work, from: &Snapshot, fresh: bool) -> Result<Vec<(State, Tensor)>> {
    let control = work.control.state().tensor();
    let device = control.device().clone();
    let mut lanes = control.to_vec::<f64>()?;
    lanes[..LANES].copy_from_slice(&from.words::<LANES>(CONTROL)?.map(f64::from_bits));
    let mut writes = Vec::new();
    let mut known = 0;
    for group in &work.groups {
        let segments = group.arena.layout().segments();
        let is_known: Vec<bool> = segments.iter().map(|s| from.get(&format!("step.{}", s.path)).is_some()).collect();
        known += is_known.iter().filter(|k| **k).count();
        let mut ragged = false;
        for (i, (name, _)) in group.numbers.iter().enumerate() {
            let (first, len) = group.number(i);
            for (j, segment) in segments.iter().enumerate().filter(|(j, _)| is_known[*j]) {
                let name = format!("{name}.{}", segment.path);
                lanes[first + j] = from.number(&name)?;
            }
            ragged |= lanes[first..first + len].iter().any(|x| x.to_bits() != lanes[first].to_bits());
        }
        if ragged {
            group.set_ragged();
        }
        for Kept { slot, states } in &group.kept {
            writes.extend(of_slot(slot, states, group, &is_known, from)?);
        }
    }
    if known == 0 && !fresh {
        let problem = "it knows none of this optimizer's parameters".to_string();
        return Err(Error::new("load", ErrorKind::Invalid(problem)));
    }
    let control = work.control.of(&device, &lanes);
    writes.push((work.control.state().clone(), control));
    Ok(writes)
}

fn of_slot(
    slot: &Slot,
    states: &[State],
    group: &Group,
    is_known: &[bool],
    from: &Snapshot,
) -> Result<Vec<(State, Tensor)>> {
    let segments = group.arena.layout().segments().iter().zip(is_known).enumerate();
    let known = segments.filter(|(_, (_, known))| **known).map(|(j, (segment, _))| (j, segment));
    let device = group.arena.device();
    if let Slot::Flat { .. } = slot {
        let mut flat = Array::of(&states[0].tensor())?;
        let size = flat.dtype.size_bytes();
        for (_, segment) in known {
            let name = format!("{}.{}", slot.name(), segment.path);
            let part = fitting(from.array(&name)?, &name, &segment.shape, flat.dtype)?;
            flat.bytes[segment.offset * size..][..part.bytes.len()].copy_from_slice(&part.bytes);
        }
        return Ok(vec![(states[0].clone(), flat.upload(device)?)]);
    }
    let mut writes = Vec::new();
    for (j, segment) in known {
        let (state, name) = (&states[j], format!("{}.{}", slot.name(), segment.path));
        let now = state.tensor();
        let part = fitting(from.array(&name)?, &name, now.shape(), now.dtype())?;
        writes.push((state.clone(), part.upload(device)?));
    }
    Ok(writes)
}

fn fitting<'a>(array: &'a Array, name: &str, shape: &[usize], dtype: DType) -> Result<&'a Array> {
    if array.shape == shape && array.dtype == dtype && array.bytes.len() == count(shape) * dtype.size_bytes() {
        return Ok(array);
    }
    let problem = format!("'{name}' is {}{:?}, and {dtype}{shape:?} is needed", array.dtype, array.shape);
    Err(Error::new("load", ErrorKind::Invalid(problem)))
}

impl Stateful for Optimizer {
    /// Slots by parameter, counts of steps (and so the position in a schedule), the loss scale, the learning rate. The schedule itself is
    /// a function, which the program gives again.
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        let saved = save(&self.work())?;
        saved.iter().for_each(|(name, value)| to.insert(name, value.clone()));
        to.insert(RATE, Value::Number(self.lr()));
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let writes = prepare(&self.work(), from, false)?;
        let rate = if let Some(Value::Number(rate)) = from.get(RATE) { Some(*rate) } else { None };
        let mut loading = Loading::new();
        loading.then(move || {
            writes.iter().try_for_each(|(state, value)| state.write(value))?;
            rate.into_iter().try_for_each(|rate| self.lr.set(rate))?;
            if let Some(rates) = &*lock(&self.rates) {
                rates.forget();
            }
            Ok(())
        });
        Ok(loading)
    }
}
