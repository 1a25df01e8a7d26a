//! Discovery documents: which groups, versions and resources there are. The legacy documents and the
//! aggregated ones (`apidiscovery.k8s.io/v2`) are made from the same rows, so they cannot disagree.
//!
//! Every function works on rows, not tables: kinds defined at run time are chained behind
//! [`built_in`].

mod aggregated;
mod legacy;
mod order;
mod row;

pub use aggregated::{AggregatedVersion, aggregated_core, aggregated_groups};
pub use legacy::{core_versions, group, groups, resources};
pub use order::priorities;
pub use row::{Row, SubRow, built_in};

#[cfg(test)]
mod tests;
