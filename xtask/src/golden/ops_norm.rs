//! Normalisations.

use super::call::Table;

pub const NORM: Table = &[];
