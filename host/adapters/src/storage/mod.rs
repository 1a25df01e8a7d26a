//! Persistent volumes by plugin: `k3s_storage::Provisioner` implemented by a component over one
//! capability, [`Directories`].
//!
//! Calls go to one instance, one at a time. A trap costs the instance; the next one is configured
//! alike.

mod capability;
pub(crate) mod check;
mod convert;
mod directories;
mod open;
mod provisioner;

pub use directories::{Directories, DirectoryError};
pub use open::{StorageOptions, open_storage};
pub use provisioner::StorageProvisioner;

use k3s_plugin_host::Contract;

/// What a storage component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "storage",
    exports: &[&["k3s:common/plugin@0.1.0", "k3s:storage/provisioner@0.1.0"]],
    imports: &["k3s:volumes/directories@0.1.0"],
};
