//! Whatever a file or a text says, reading it ends in a value or an error: no panic, no absurd allocation.
//!
//! A binary of its own, as its allocator bounds all that is held at a time.
#![allow(missing_docs)]

mod equations;
mod files;
mod mangle;
mod subscripts;
mod weights;

use std::alloc::System;

use cap::Cap;

/// Beyond this an allocation fails, which ends the test.
const BYTES: usize = 1 << 28;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, BYTES);

/// Says what was being read where a test panics.
struct Reading<'a>(&'a dyn std::fmt::Debug);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while reading {:?}", self.0);
        }
    }
}
