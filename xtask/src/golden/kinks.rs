//! A curve that went another way where steps are not continuous, and is right.
//!
//! A gradient jumps where an input of a ReLU crosses zero, or where two elements of a pooling window are equal; Adam's first step is the sign of
//! a gradient. If a step has such a number at its kink to within rounding, either way is right for weights that are equal to within rounding,
//! and from there on the curves differ. (PyTorch in f32 leaves the tolerance of `train_cnn`'s AdamW, by 7e-4, in 2 of 100 runs whose first
//! weights are moved by half a unit in the last place.) So such a curve is held to the exact one that goes the same way: training in f64 on the
//! strict executor, with weights that are moved, ahead of the step where the two part, by no more than a unit in the last place of an f32. All
//! tolerances stay as they are.

use serde_json::Value;
use thalweg_device::DeviceExt;
use thalweg_graph::{DType, Device, Rng, Tensor};

use super::{
    curve::{Curve, rounding_only},
    models::Model,
    outcome::{Run, Stop},
    training::Training,
};

/// How many moves are tried at a step, and at how many steps.
const TRIES: u64 = 64;
const STEPS: usize = 3;
/// Two ways part where weights have changed by amounts that differ by this share of the largest, or more; rounding is less than a hundredth.
const APART: f64 = 1e-3;

/// The weights are moved ahead of this step by numbers from this seed.
type Move = (usize, u64);

/// The exact curve that goes the way of `got`, if one does.
pub fn follow<M: Model>(
    run: &Run,
    case: &Value,
    model: impl Fn(&Run) -> Result<M, Stop>,
    got: &Curve,
) -> Result<Option<Curve>, Stop> {
    let mut moves: Vec<Move> = Vec::new();
    let mut want = exact(run, case, &model, &moves)?;
    while let Some((step, param)) = parting(run, case, got, &want) {
        if moves.len() == STEPS {
            return Ok(None);
        }
        let mut tries = (0..TRIES).map(|seed| {
            let moves = [&moves[..], &[(step, seed)]].concat();
            Ok((exact(run, case, &model, &moves)?, moves))
        });
        let goes_on = |(want, _): &(Curve, _)| parting(run, case, got, want).is_none_or(|(next, _)| next > step);
        let Some(found) = tries.find(|tried: &Result<_, Stop>| tried.as_ref().map_or(true, goes_on)) else {
            return Ok(None);
        };
        (want, moves) = found?;
        let name = case["name"].as_str().unwrap_or("?");
        println!(
            "  {name}: in step {step} {param} goes another way, as it does for weights that are moved by their rounding"
        );
    }
    Ok((!moves.is_empty()).then_some(want))
}

/// Training in f64 on the strict executor, with these moves.
fn exact<M: Model>(
    run: &Run,
    case: &Value,
    model: impl Fn(&Run) -> Result<M, Stop>,
    moves: &[Move],
) -> Result<Curve, Stop> {
    let device = Device::strict();
    let exact = Run { device: &device, dtype: DType::F64, store: run.store };
    Curve::trained(Training::new(&exact, case, model(&exact)?)?, case, |net, step| {
        for (_, seed) in moves.iter().filter(|(at, _)| *at == step) {
            let mut rng = Rng::seed(*seed);
            let mut unit = || 1.0 + f64::from(f32::EPSILON) * (2.0 * rng.uniform() - 1.0);
            for (_, p) in net.named() {
                let moved: Vec<f64> = p.tensor().to_vec::<f64>()?.into_iter().map(|v| v * unit()).collect();
                p.set(&Tensor::from_slice(&device, &moved, p.shape()))?;
            }
        }
        Ok(())
    })
}

/// The first step in which a parameter changes by another amount, and its name. What is noise in the reference too is left out.
fn parting(run: &Run, case: &Value, got: &Curve, want: &Curve) -> Option<(usize, String)> {
    let names: Vec<&String> = got.first.iter().map(|(name, _)| name).collect();
    let apart = |got: [&Vec<f64>; 2], want: [&Vec<f64>; 2]| {
        let change = |[before, after]: [&Vec<f64>; 2]| before.iter().zip(after).map(|(b, a)| a - b).collect::<Vec<_>>();
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let (mine, theirs) = (change(got), change(want));
        let allowed = APART * largest(&theirs) + 4.0 * f64::from(f32::EPSILON) * largest(want[0]);
        mine.iter().zip(&theirs).any(|(mine, theirs)| (mine - theirs).abs() > allowed)
    };
    let steps = got.weights.windows(2).zip(want.weights.windows(2)).enumerate();
    let mut partings = steps.flat_map(|(step, (got, want))| {
        let is_held = |i: &usize| !rounding_only(run, case, names[*i]);
        let is_apart = move |i: &usize| apart([&got[0][*i], &got[1][*i]], [&want[0][*i], &want[1][*i]]);
        let names = &names;
        (0..names.len()).filter(is_held).filter(is_apart).map(move |i| (step, names[i].clone()))
    });
    partings.next()
}
