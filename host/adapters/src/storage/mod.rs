//! Persistent volumes by plugin: `k3s_storage::Provisioner` implemented by a component over one
//! capability, [`Directories`].
//!
//! A fresh instance gets the same configuration and nothing else: claims and volumes are the desired
//! state.

mod capability;
mod convert;
mod directories;
mod kind;
mod provisioner;

pub use directories::{Directories, DirectoryError};
pub use kind::StorageKind;
pub use provisioner::{StorageOptions, StorageProvisioner, open_storage};

use k3s_plugin_host::Contract;

/// What a storage component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "storage",
    exports: &[&["k3s:common/plugin@0.1.0", "k3s:storage/provisioner@0.1.0"]],
    imports: &["k3s:volumes/directories@0.1.0"],
};
