//! Label and field selectors: grammar, matching and messages of upstream's `labels` and `fields`.

mod field;
mod label;
mod lexer;
mod object;
mod parse;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};
