//! Thalweg's optimizer crate: update rules, schedules, clipping, loss scaling.
