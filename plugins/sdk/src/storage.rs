//! Storage provisioners: the trait and the contract's types.
//!
//! The host watches claims and volumes and writes the objects; the plugin decides where a volume lives.
//! [`Host`] is what the host does for a provisioner, and every function gets it as a parameter, so that
//! unit tests can pass a substitute:
//!
//! ```
//! use k3s_plugin_sdk::{Sentence, export_storage};
//! use k3s_plugin_sdk::storage::{
//!     Class, Error, Existing, Host, Kind, Node, Provisioner, Request, Volume, directories,
//! };
//!
//! /// Every volume is a directory below `/data`.
//! struct OneFolder;
//!
//! impl Provisioner for OneFolder {
//!     type Config = ();
//!     const NAME: &'static str = "one-folder";
//!     const VERSION: &'static str = "0.1.0";
//!
//!     fn new((): ()) -> Result<Self, Sentence> {
//!         Ok(Self)
//!     }
//!
//!     fn provision(&mut self, host: &dyn Host, request: &Request) -> Result<Volume, Error> {
//!         let path = format!("/data/{}", request.volume_name);
//!         host.make(&path, 0o777, None)?;
//!         Ok(Volume {
//!             kind: Kind::Local,
//!             path,
//!             affinity: None,
//!             capacity_bytes: request.claim.capacity_bytes,
//!             annotations: Vec::new(),
//!         })
//!     }
//!
//!     fn delete(&mut self, host: &dyn Host, volume: &Existing) -> Result<(), Error> {
//!         Ok(host.remove(&volume.path)?)
//!     }
//!
//!     fn capacity(&mut self, host: &dyn Host, _: &Class, _: &Node) -> Result<u64, Error> {
//!         Ok(host.usage("/data")?.available_bytes)
//!     }
//! }
//!
//! export_storage!(OneFolder);
//!
//! /// A disk with room for 7 bytes.
//! struct SmallDisk;
//!
//! impl Host for SmallDisk {
//!     fn make(
//!         &self,
//!         _: &str,
//!         _: u32,
//!         _: Option<directories::Owner>,
//!     ) -> Result<bool, directories::Error> {
//!         Ok(true)
//!     }
//!
//!     fn remove(&self, _: &str) -> Result<(), directories::Error> {
//!         Ok(())
//!     }
//!
//!     fn usage(&self, _: &str) -> Result<directories::Space, directories::Error> {
//!         Ok(directories::Space { capacity_bytes: 10, available_bytes: 7 })
//!     }
//!
//!     fn random_bytes(&self, count: u32) -> Vec<u8> {
//!         vec![0; count as usize]
//!     }
//! }
//!
//! let class = Class { name: "c".to_owned(), annotations: Vec::new(), parameters: Vec::new() };
//! let node = Node { name: "n".to_owned(), labels: Vec::new() };
//! let mut provisioner = OneFolder::new(()).unwrap();
//! assert_eq!(provisioner.capacity(&SmallDisk, &class, &node).unwrap(), 7);
//! ```

use crate::sentence::Sentence;
use crate::settings::Settings;

/// The contract as generated; [`crate::export_storage`] needs it.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod bindings {
    contract!({
        path: ["../../wit/common", "../../wit/host", "../../wit/volumes", "../../wit/storage"],
        world: "k3s:storage/storage",
        default_bindings_module: "k3s_plugin_sdk::storage::bindings",
    });
}

pub use bindings::exports::k3s::storage::provisioner::{
    Affinity, Claim, Class, Error, Existing, Kind, Node, Request, Volume,
};
pub use bindings::k3s::volumes::directories;

/// Annotation of a volume with the node that made it: the host asks only that node's plugin to delete or
/// expand the volume.
pub const SELECTED_NODE: &str = "local.path.provisioner/selected-node";

/// A provisioner of volumes. The host calls one function at a time, for volumes of this node.
pub trait Provisioner: Sized + 'static {
    /// The operator's settings. The host always sets `nodePathMap`, the granted folders.
    type Config: Settings;

    /// The name that `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;

    /// Creates the plugin.
    ///
    /// # Errors
    /// The configuration is not usable; one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, Sentence>;

    /// Makes a volume. Repeated calls for one volume name return the same volume.
    ///
    /// # Errors
    /// There is no volume; the error says whether to retry.
    fn provision(&mut self, host: &dyn Host, request: &Request) -> Result<Volume, Error>;

    /// Deletes a volume and its data. Succeeds if it no longer exists.
    ///
    /// # Errors
    /// Data may be left; the host calls again.
    fn delete(&mut self, host: &dyn Host, volume: &Existing) -> Result<(), Error>;

    /// Returns the room for new volumes, in bytes.
    ///
    /// # Errors
    /// The class or node has no volumes here, or the disk failed.
    fn capacity(&mut self, host: &dyn Host, class: &Class, node: &Node) -> Result<u64, Error>;

    /// Expands a volume and returns its new size in bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless a plugin implements it.
    fn expand(
        &mut self,
        _host: &dyn Host,
        _volume: &Existing,
        _capacity_bytes: u64,
    ) -> Result<u64, Error> {
        Err(Error::Unsupported("these volumes cannot grow".to_owned()))
    }
}

/// What the host does for a provisioner: the import `k3s:volumes/directories`, whose WIT text describes
/// each function, and randomness.
pub trait Host {
    /// Makes a directory and missing ones above it. Returns false if it already existed.
    ///
    /// # Errors
    /// See [`directories::Error`].
    fn make(
        &self,
        path: &str,
        mode: u32,
        owner: Option<directories::Owner>,
    ) -> Result<bool, directories::Error>;

    /// Removes a directory and its contents. Succeeds if it does not exist.
    ///
    /// # Errors
    /// See [`directories::Error`].
    fn remove(&self, path: &str) -> Result<(), directories::Error>;

    /// Returns the size of the file system that holds the path.
    ///
    /// # Errors
    /// See [`directories::Error`].
    fn usage(&self, path: &str) -> Result<directories::Space, directories::Error>;

    /// Returns `count` random bytes.
    fn random_bytes(&self, count: u32) -> Vec<u8>;
}

/// The host that runs the component; [`crate::export_storage`] passes it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Imports;

impl Host for Imports {
    fn make(
        &self,
        path: &str,
        mode: u32,
        owner: Option<directories::Owner>,
    ) -> Result<bool, directories::Error> {
        directories::make(path, mode, owner)
    }

    fn remove(&self, path: &str) -> Result<(), directories::Error> {
        directories::remove(path)
    }

    fn usage(&self, path: &str) -> Result<directories::Space, directories::Error> {
        directories::usage(path)
    }

    fn random_bytes(&self, count: u32) -> Vec<u8> {
        crate::random::bytes(count)
    }
}

/// What a refused directory means for the claim that waits for its volume.
impl From<directories::Error> for Error {
    fn from(error: directories::Error) -> Self {
        match error {
            directories::Error::Denied(why) | directories::Error::Invalid(why) => {
                Self::Invalid(why)
            }
            directories::Error::Unavailable(why) => Self::Retry(why),
            directories::Error::Other(why) => Self::Other(why),
        }
    }
}

/// Exports a type that implements [`Provisioner`] as the component.
#[macro_export]
macro_rules! export_storage {
    ($plugin:ty) => {
        $crate::__check!($plugin, $crate::storage::Provisioner);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::storage::bindings::exports::k3s::common::plugin as common;
            use $crate::storage::bindings::exports::k3s::storage::provisioner as contract;
            use $crate::storage::{Imports, Provisioner};

            $crate::__instance!($plugin, $plugin, ::std::convert::identity::<$plugin>);

            impl contract::Guest for Exported {
                fn provision(
                    request: contract::Request,
                ) -> Result<contract::Volume, contract::Error> {
                    with(|plugin| plugin.provision(&Imports, &request))
                }

                fn delete(volume: contract::Existing) -> Result<(), contract::Error> {
                    with(|plugin| plugin.delete(&Imports, &volume))
                }

                fn expand(
                    volume: contract::Existing,
                    capacity_bytes: u64,
                ) -> Result<u64, contract::Error> {
                    with(|plugin| plugin.expand(&Imports, &volume, capacity_bytes))
                }

                fn capacity(
                    class: contract::Class,
                    node: contract::Node,
                ) -> Result<u64, contract::Error> {
                    with(|plugin| plugin.capacity(&Imports, &class, &node))
                }
            }

            $crate::storage::bindings::export_raw!(Exported with_types_in $crate::storage::bindings);
        };
    };
}
