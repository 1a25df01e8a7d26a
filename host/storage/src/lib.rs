//! The storage provisioner of a node: follows claims and volumes through the API, has a
//! [`Provisioner`] (a component in its adapter) make, delete and expand volumes, and writes the objects
//! that follow.
//!
//! The provisioner says where a volume lives; this crate is alone with the API. It acts for claims
//! whose first pod runs on this node, and deletes volumes that were made on it. It keeps no state:
//! claims and volumes are the desired state, and every step is repeated until it succeeds. While the
//! provisioner is down, claims stay pending with an Event and volumes stay mounted.
//!
//! Tasks: those of two controllers ([`start`]).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod driver;
mod plan;
mod provisioner;

pub use driver::{SettingsSource, StorageConfig, start};
pub use provisioner::{
    Affinity, Claim, Class, Existing, Node, ProvisionError, Provisioner, Request, Volume,
    VolumeKind,
};
