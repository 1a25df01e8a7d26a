//! Built-in kinds as data: which kinds there are, what their fields are, and the documents that describe
//! both to clients (discovery, OpenAPI).
//!
//! The tables in `gen/` are static and hold no pointers to fix up; nothing is parsed at start. Behaviour
//! of kinds (defaults, validation, columns) is `k3s_kinds`.

pub mod define;
pub mod discovery;
pub mod fields;
#[path = "gen/mod.rs"]
mod generated;
pub mod kind;
pub mod openapi;
pub mod protobuf;
pub mod schema;
#[cfg(test)]
mod strategic_tests;

pub use kind::{Kind, Subresource, by_kind, by_resource, kinds};
pub use schema::TypeId;
