//! Fuzz targets: one function for each decoder of bytes that come from outside. Each asserts properties, not only that
//! nothing panics.
//!
//! `cargo xtask fuzz` runs them under libFuzzer (`fuzz_targets/` has a program for each); the tests of this crate
//! replay `corpus/` and run a few thousand mutated inputs without instrumentation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold shall fail loudly"
)]

pub mod corpus;
mod equal;
mod lab;
pub mod mutate;
mod pieces;
pub mod targets;
