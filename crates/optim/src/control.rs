//! The optimizer's numbers that live on the device, in one small vector, so that no step waits for the host. It is in F32 whatever the
//! parameters are stored in (F64 for parameters in F64): 16 bits would not count beyond 256.
//!
//! ```text
//! | scale good step skipped norm 0 0 0 | step of each parameter | a number of the rule of each | … |  … the same of the next group
//! ```
//!
//! While all parameters have taken every step, a rule's numbers are equal for all of them and are read and written as one.

use thalweg_graph::{DType, Device, Result, State, Tensor};

use crate::LossScale;

/// Lanes in front of the groups'.
pub(crate) const LANES: usize = 8;
const SCALE: usize = 0;
/// What stands for the scale where none is used.
pub(crate) const UNSCALED: f64 = 0.0;
const GOOD: usize = 1;
/// Steps taken.
pub(crate) const STEP: usize = 2;
/// Steps skipped.
pub(crate) const SKIPPED: usize = 3;
const NORM: usize = 4;

/// What the optimizer knows of the steps so far, read from the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Steps taken; skipped ones do not count.
    pub steps: u64,
    /// Steps skipped because the loss or a gradient was not finite.
    pub skipped: u64,
    /// The loss scale; 1 where none is used.
    pub loss_scale: f64,
    /// The norm of the latest gradients before clipping, where it is computed (mixed f16, or clipping), else 0.
    pub grad_norm: f64,
}

/// The vector.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    state: State,
    /// To which entry each lane belongs: a fixed lane is an entry of its own, then comes one for each number of each group.
    entries: Tensor,
}

/// An entry and its new value: a number for all its lanes, or one for each.
pub(crate) struct Block {
    pub entry: usize,
    pub first: usize,
    pub new: Tensor,
}

impl Control {
    /// A vector at the start, with these entries behind the fixed lanes: what each of their lanes holds, and how many they are.
    pub fn new(device: &Device, dtype: DType, scale: f64, numbers: &[(f64, usize)]) -> Result<Control> {
        let mut lanes = vec![0.0; LANES];
        lanes[SCALE] = scale;
        let mut entries: Vec<i32> = (0..LANES as i32).collect();
        for (i, (start, len)) in numbers.iter().enumerate() {
            lanes.extend(std::iter::repeat_n(start, *len));
            entries.extend(std::iter::repeat_n((LANES + i) as i32, *len));
        }
        // Lanes are computed from each other.
        let state = State::new(vector(device, dtype, &lanes))?.doubled()?;
        Ok(Control { state, entries: Tensor::from_slice(device, &entries, [entries.len()]) })
    }

    /// A vector like this one with these lanes.
    pub fn of(&self, device: &Device, lanes: &[f64]) -> Tensor {
        vector(device, self.state.tensor().dtype(), lanes)
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// One lane, of rank 0.
    pub fn lane(&self, i: usize) -> Tensor {
        self.state.tensor().select(0, i as isize)
    }

    /// Some lanes.
    pub fn lanes(&self, first: usize, len: usize) -> Tensor {
        self.state.tensor().slice(0, first as isize..(first + len) as isize)
    }

    /// The loss scale, of rank 0.
    pub fn scale(&self) -> Tensor {
        self.lane(SCALE)
    }

    /// Sets the loss scale, and nothing else.
    pub fn set_scale(&self, scale: f64) -> Result<()> {
        let old = self.state.tensor();
        self.state.write(&self.entries.eq(SCALE as i32).where_(scale, &old))
    }

    /// The vector after a step: `finite` tells whether it is taken, where that is asked.
    pub fn next(
        &self,
        scaling: Option<&LossScale>,
        finite: Option<&Tensor>,
        norm: Option<Tensor>,
        blocks: Vec<Block>,
    ) -> Tensor {
        let old = self.state.tensor();
        let [scale, good, step, skipped] = [SCALE, GOOD, STEP, SKIPPED].map(|i| self.lane(i));
        let one = |lane: usize, new: Tensor| Block { entry: lane, first: lane, new };
        // What moves with every step that is taken, and what moves either way.
        let mut taken = vec![one(STEP, step + 1.0)];
        let mut always: Vec<Block> = norm.map(|norm| one(NORM, norm)).into_iter().collect();
        if let (Some(s), Some(finite)) = (scaling, finite) {
            let due = (&good + 1.0).ge(f64::from(s.interval));
            let grown = due.where_((&scale * s.growth).minimum(s.max), &scale);
            let counted = due.where_(0.0, &good + 1.0);
            always.push(one(SCALE, finite.where_(grown, (&scale * s.backoff).maximum(s.min))));
            always.push(one(GOOD, finite.where_(counted, 0.0)));
        }
        if let Some(finite) = finite {
            always.push(one(SKIPPED, finite.where_(&skipped, &skipped + 1.0)));
        }
        taken.extend(blocks);
        let put = |v: Tensor, Block { entry, first, new }: Block| {
            let new = new.cast(old.dtype());
            // One for each lane: they are moved to where they belong.
            let new = match new.count() {
                1 => new.reshape(()),
                n => new.pad(&[(first as isize, (old.count() - first - n) as isize)], 0.0),
            };
            self.entries.eq(entry as i32).where_(new, v)
        };
        let stepped = taken.into_iter().fold(old.clone(), put);
        let stepped = match finite {
            Some(finite) => finite.where_(stepped, &old),
            None => stepped,
        };
        always.into_iter().fold(stepped, put)
    }

    /// Lanes that were saved, for an optimizer whose scale begins at `scale`. A scale is what one that scales has learnt: where only
    /// one of the two does, it begins anew.
    pub fn adapt(mut saved: [f64; LANES], scale: f64) -> [f64; LANES] {
        if (saved[SCALE] == UNSCALED) != (scale == UNSCALED) {
            (saved[SCALE], saved[GOOD]) = (scale, 0.0);
        }
        saved
    }

    pub fn report(&self) -> Result<Report> {
        let lanes = self.state.tensor().to_vec::<f64>()?;
        Ok(Report {
            steps: lanes[STEP] as u64,
            skipped: lanes[SKIPPED] as u64,
            loss_scale: if lanes[SCALE] == UNSCALED { 1.0 } else { lanes[SCALE] },
            grad_norm: lanes[NORM],
        })
    }
}

/// Numbers on a device, rounded to F32 unless they are to be F64.
pub(crate) fn vector(device: &Device, dtype: DType, lanes: &[f64]) -> Tensor {
    match dtype {
        DType::F64 => Tensor::from_slice(device, lanes, [lanes.len()]),
        _ => Tensor::from_slice(device, &lanes.iter().map(|x| *x as f32).collect::<Vec<f32>>(), [lanes.len()]),
    }
}

/// The dtype that a rule computes in for parameters of a dtype.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        dtype => dtype,
    }
}
