//! What an optimizer keeps, to disk and back: by parameter (`exp_avg.conv1.weight`), so that layouts and groups may be others when it
//! is loaded.

use std::collections::HashSet;

use thalweg_graph::{
    DType, Error, ErrorKind, Result, State, Tensor,
    module::{
        Layout, Segment,
        snapshot::{Array, Snapshot, Value},
    },
    shape::count,
};

use crate::{
    control::{Control, LANES},
    group::Group,
    rule::Kept,
    work::Work,
};

const CONTROL: &str = "#control";
pub(crate) const RATE: &str = "#lr";
/// Of each group whether its parameters have taken different numbers of steps: they are computed by other kernels then.
const RAGGED: &str = "#ragged";
/// Of how many losses gradients were added up for the step to come, and these.
pub(crate) const SUMMED: &str = "#summed";
pub(crate) const SUM: &str = "#sum";
/// The count of steps, which every parameter has.
const STEP: &str = "step";

/// All entries.
pub(crate) fn save(work: &Work) -> Result<Snapshot> {
    let mut to = Snapshot::new();
    let control = work.control.state().tensor().to_vec::<f64>()?;
    to.insert(CONTROL, Value::Words(control[..LANES].iter().map(|x| x.to_bits()).collect()));
    to.insert(RAGGED, Value::Words(work.groups.iter().map(|g| g.is_ragged().into()).collect()));
    for group in &work.groups {
        let segments = group.arena.layout().segments();
        for (i, (name, _)) in group.numbers.iter().enumerate() {
            let (first, _) = group.number(i);
            for (j, segment) in segments.iter().enumerate() {
                to.insert(format!("{name}.{}", segment.path), Value::Number(control[first + j]));
            }
        }
        for Kept { slot, layout, state } in &group.kept {
            let flat = Array::of(&state.tensor())?;
            for segment in of_some(layout) {
                to.insert(format!("{}.{}", slot.name(), segment.path), Value::Array(cut(&flat, segment)));
            }
        }
    }
    Ok(to)
}

/// The parts that have elements.
fn of_some(layout: &Layout) -> impl Iterator<Item = &Segment> {
    layout.segments().iter().filter(|segment| count(&segment.shape) > 0)
}

/// One parameter's part of a flat buffer.
fn cut(flat: &Array, Segment { offset, shape, .. }: &Segment) -> Array {
    let size = flat.dtype.size_bytes();
    let bytes = flat.bytes[offset * size..(offset + count(shape)) * size].to_vec();
    Array { dtype: flat.dtype, shape: shape.clone(), bytes }
}

/// What is to be written.
pub(crate) struct Prepared {
    writes: Vec<(State, Tensor)>,
    ragged: Vec<bool>,
}

impl Prepared {
    /// Writes it.
    pub fn commit(self, work: &Work) -> Result<()> {
        work.groups.iter().zip(self.ragged).for_each(|(group, ragged)| group.set_ragged(ragged));
        self.writes.iter().try_for_each(|(state, value)| state.write(value))
    }
}

/// Every state with its new value, for an optimizer whose loss scale begins at `scale`. Parameters that the snapshot does not know begin anew:
/// they have just been given room.
#[track_caller]
pub(crate) fn prepare(work: &Work, from: &Snapshot, scale: f64) -> Result<Prepared> {
    let control = work.control.state().tensor();
    let device = control.device().clone();
    let mut lanes = control.to_vec::<f64>()?;
    lanes[..LANES].copy_from_slice(&Control::adapt(from.words::<LANES>(CONTROL)?.map(f64::from_bits), scale));
    let mut ragged = match from.get(RAGGED) {
        Some(Value::Words(flags)) if flags.len() == work.groups.len() => flags.iter().map(|f| *f != 0).collect(),
        _ => vec![false; work.groups.len()],
    };
    let mut writes = Vec::new();
    for (group, ragged) in work.groups.iter().zip(&mut ragged) {
        let segments = group.arena.layout().segments();
        let is_known: Vec<bool> = segments.iter().map(|s| knows(from, &s.path)).collect();
        for (i, (name, _)) in group.numbers.iter().enumerate() {
            let (first, len) = group.number(i);
            for (j, segment) in segments.iter().enumerate().filter(|(j, _)| is_known[*j]) {
                lanes[first + j] = from.number(&format!("{name}.{}", segment.path))?;
            }
            *ragged |= lanes[first..first + len].iter().any(|x| x.to_bits() != lanes[first].to_bits());
        }
        for kept in &group.kept {
            writes.push((kept.state.clone(), of_slot(kept, group, from)?));
        }
    }
    let control = work.control.of(&device, &lanes);
    control.check()?;
    writes.push((work.control.state().clone(), control));
    Ok(Prepared { writes, ragged })
}

/// Whether a snapshot was taken of an optimizer that had room for a parameter.
pub(crate) fn knows(from: &Snapshot, path: &str) -> bool {
    from.get(&format!("{STEP}.{path}")).is_some()
}

/// The names of all entries.
pub(crate) fn names(work: &Work) -> HashSet<String> {
    let mut names: HashSet<String> = [CONTROL, RATE, RAGGED, SUMMED].map(str::to_string).into();
    for group in &work.groups {
        let kept = group.kept.iter().map(|kept| kept.slot.name());
        let of_each: Vec<&str> = group.numbers.iter().map(|(name, _)| *name).chain(kept).collect();
        for segment in group.arena.layout().segments() {
            names.extend(of_each.iter().map(|name| format!("{name}.{}", segment.path)));
        }
    }
    names
}

/// A slot's new value.
#[track_caller]
fn of_slot(Kept { slot, layout, state }: &Kept, group: &Group, from: &Snapshot) -> Result<Tensor> {
    let mut flat = Array::of(&state.tensor())?;
    let size = flat.dtype.size_bytes();
    for segment in of_some(layout).filter(|segment| knows(from, &segment.path)) {
        let name = format!("{}.{}", slot.name(), segment.path);
        let part = fitting(from.array(&name)?, &name, &segment.shape, flat.dtype)?;
        flat.bytes[segment.offset * size..][..part.bytes.len()].copy_from_slice(&part.bytes);
    }
    flat.upload(group.arena.device())
}

#[track_caller]
pub(crate) fn fitting<'a>(array: &'a Array, name: &str, shape: &[usize], dtype: DType) -> Result<&'a Array> {
    if array.shape == shape && array.dtype == dtype && array.bytes.len() == count(shape) * dtype.size_bytes() {
        return Ok(array);
    }
    let problem = format!("'{name}' is {}{:?}, and {dtype}{shape:?} is needed", array.dtype, array.shape);
    Err(Error::new("load", ErrorKind::Invalid(problem)))
}
