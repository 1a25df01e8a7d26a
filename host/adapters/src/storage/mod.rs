//! Persistent volumes by plugin: a provisioner component over one capability, [`Directories`], and the
//! driver that watches claims and volumes through the API and writes what the component decides.
//!
//! The plugin says where a volume lives; this module is alone with the API and the disk. The driver
//! acts for claims whose first pod runs on this node, and deletes volumes that were made on it. It
//! keeps nothing: claims and volumes are the desired state, and every step is repeated until done.
//!
//! Calls go to one instance, one at a time. A trap costs the instance; the next one is configured
//! alike. While the plugin is down, claims stay pending with an Event and volumes stay mounted.
//!
//! Tasks owned: those of two controllers ([`drive`]).

mod capability;
pub(crate) mod check;
mod directories;
mod driver;
mod open;
mod plan;
mod provisioner;

pub use directories::{Directories, DirectoryError};
pub use driver::{Drive, PROVISIONER, drive};
pub use open::{StorageOptions, open_storage};
pub use provisioner::{ProvisionError, StorageProvisioner};

use k3s_plugin_host::Contract;

/// What a storage component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "storage",
    exports: &["k3s:common/plugin@0.1.0", "k3s:storage/provisioner@0.1.0"],
    imports: &["k3s:volumes/directories@0.1.0"],
};
