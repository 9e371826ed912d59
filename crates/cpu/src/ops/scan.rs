//! A recorded step, walked over sequences.

use thalweg_ir::op::scan::{Scan, row};

use super::Array;

/// Every result, by steps one behind the other: `step` gives carries and rows from carries, rows of sequences, and constants.
pub fn scan<E>(
    of: &Scan,
    inputs: &[Array],
    mut step: impl FnMut(&[&[f64]]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Vec<Vec<f64>>, E> {
    let (starts, rest) = inputs.split_at(of.carries);
    let (sequences, constants) = rest.split_at(of.sequences);
    let len = |k: usize| of.step.outputs[k].count();
    let mut carry: Vec<Vec<f64>> = starts.iter().map(|start| start.data.to_vec()).collect();
    let rows = of.step.outputs.len() - of.carries;
    let mut before: Vec<Vec<f64>> = (0..of.carries).map(|c| vec![0.0; (of.steps + 1) * row(len(c))]).collect();
    let mut ys: Vec<Vec<f64>> = (0..rows).map(|y| vec![0.0; of.steps * row(len(of.carries + y))]).collect();
    let put = |to: &mut Vec<f64>, entry: usize, x: &[f64]| to[entry * row(x.len())..][..x.len()].copy_from_slice(x);
    for i in 0..of.steps {
        let t = if of.reverse { of.steps - 1 - i } else { i };
        let entry = t + usize::from(of.reverse);
        carry.iter().zip(&mut before).for_each(|(carry, before)| put(before, entry, carry));
        let rows_of = sequences.iter().zip(&of.step.inputs[of.carries..]).map(|(sequence, of)| {
            let len = of.count();
            &sequence.data[t * row(len)..][..len]
        });
        let taken: Vec<&[f64]> =
            carry.iter().map(Vec::as_slice).chain(rows_of).chain(constants.iter().map(|c| c.data)).collect();
        let mut given = step(&taken)?;
        given.split_off(of.carries).iter().zip(&mut ys).for_each(|(y, ys)| put(ys, t, y));
        carry = given;
    }
    let end = if of.reverse { 0 } else { of.steps };
    carry.iter().zip(&mut before).for_each(|(carry, before)| put(before, end, carry));
    Ok(carry.into_iter().chain(before).chain(ys).collect())
}
