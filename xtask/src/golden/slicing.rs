//! Python's subscripts: `x[1:3, ::2, -1, None, ...]`.

use std::collections::HashMap;

use thalweg_graph::Tensor;

use super::outcome::Stop;

/// The tensor that `name[subscripts]` stands for; words among the bounds are looked up in `words`.
pub fn subscript(x: &Tensor, expr: &str, words: &HashMap<&str, isize>) -> Result<Tensor, Stop> {
    let bad = || Stop::Unsupported(format!("subscript {expr}"));
    let inside = expr.trim().strip_suffix(']').and_then(|e| e.split_once('[')).ok_or_else(bad)?.1;
    let number = |text: &str| -> Result<Option<isize>, Stop> {
        match text.trim() {
            "" => Ok(None),
            word if words.contains_key(word) => Ok(words.get(word).copied()),
            text => text.parse().map(Some).map_err(|_| bad()),
        }
    };
    let items: Vec<&str> = inside.split(',').map(str::trim).collect();
    let consumed = items.iter().filter(|i| !matches!(**i, "None" | "...")).count();
    let mut y = x.clone();
    let mut axis = 0;
    for item in items {
        match item {
            "None" => {
                y = y.unsqueeze(axis);
                axis += 1;
            }
            "..." => axis += x.rank().checked_sub(consumed).ok_or_else(bad)?,
            range if range.contains(':') => {
                let parts = range.split(':').map(number).collect::<Result<Vec<_>, _>>()?;
                let (start, end) = (parts[0].unwrap_or(0), parts[1].unwrap_or(isize::MAX));
                let step = parts.get(2).copied().flatten().unwrap_or(1);
                y = if step == 1 { y.slice(axis, start..end) } else { y.slice_step(axis, start..end, step) };
                axis += 1;
            }
            index => y = y.select(axis, number(index)?.ok_or_else(bad)?),
        }
    }
    Ok(y)
}
