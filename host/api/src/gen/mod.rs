//! Generated tables. `cargo xtask gen-api` writes everything in this folder but this file.

pub(crate) mod fields;
pub(crate) mod kinds;
pub(crate) mod names;
pub(crate) mod types;
