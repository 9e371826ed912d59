//! Every method that has a gradient and no case in the families, and every setting that takes a derivative another way. For
//! finite differences alone: what devices do with them, random programs try.

mod blocks;
mod constant;
mod elementwise;
mod layers;
mod linear;
mod loss;
mod norm;
mod order;
mod pool;
mod positions;
mod recorded;
mod reduce;
mod sequences;
mod views;

use crate::Case;

/// All of them.
pub fn settings() -> Vec<Case> {
    let families = [
        elementwise::elementwise(),
        reduce::reduce(),
        order::order(),
        views::views(),
        positions::positions(),
        linear::linear(),
        pool::pool(),
        norm::norm(),
        loss::loss(),
        layers::layers(),
        sequences::sequences(),
        blocks::blocks(),
        recorded::recorded(),
    ];
    families.into_iter().flatten().collect()
}
