//! The integration tests, one binary.
#![allow(missing_docs)]
