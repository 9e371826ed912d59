//! What broke once, or would be expensive to find out later.

mod buffers;
mod chain;
mod fuzzed;
mod gather;
