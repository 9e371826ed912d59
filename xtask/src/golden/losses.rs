//! Losses.

use super::call::Table;

pub const LOSSES: Table = &[];
