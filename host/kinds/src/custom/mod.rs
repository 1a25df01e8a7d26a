//! Custom resources: what a CustomResourceDefinition says of a kind, as rules of the same form that
//! built-in kinds have.
//!
//! A definition's schema is read once into a tree of checks; objects are then pruned, defaulted and
//! validated by walks over that tree and the object. Whether a definition may be used at all is the
//! validation of the CustomResourceDefinition kind, which uses `structural`.

mod columns;
mod default;
pub(crate) mod format;
pub(crate) mod jsonpath;
pub(crate) mod pattern;
mod prune;
mod rules;
mod scale;
pub(crate) mod schema;
pub(crate) mod structural;
#[cfg(test)]
mod tests;
pub(crate) mod validate;

pub use rules::CustomRules;
pub use scale::ScalePaths;
