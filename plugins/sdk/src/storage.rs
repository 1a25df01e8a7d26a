//! Storage provisioners: the trait and the contract's types.

use serde::de::DeserializeOwned;

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

/// On a volume, the node that made it: only that node's plugin is asked to delete or enlarge the volume.
pub const MADE_ON: &str = "local.path.provisioner/selected-node";

/// A provisioner of volumes. Called for volumes of its own node, one function at a time.
pub trait Provisioner: Sized + 'static {
    /// The operator's settings. The server always gives `nodePathMap`, the folders that were granted.
    type Config: DeserializeOwned + Default;

    /// What `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;

    /// Takes the configuration; an error is one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, String>;
    /// Makes a volume; the same answer for the same volume name.
    fn provision(&mut self, request: &Request) -> Result<Volume, Error>;
    /// Deletes a volume with its data; one that is gone is deleted.
    fn delete(&mut self, volume: &Existing) -> Result<(), Error>;
    /// Room for new volumes, in bytes.
    fn capacity(&mut self, class: &Class, node: &Node) -> Result<u64, Error>;

    /// Makes a volume larger and says how large it is now.
    ///
    /// # Errors
    /// [`Error::Unsupported`], unless a plugin knows how to.
    fn expand(&mut self, _volume: &Existing, _capacity_bytes: u64) -> Result<u64, Error> {
        Err(Error::Unsupported("these volumes cannot grow".to_owned()))
    }
}

/// What the host's refusal of a directory means to whoever waits for the volume.
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

/// Makes a type that implements [`Provisioner`] the component's.
#[macro_export]
macro_rules! export_storage {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::storage::Provisioner;
            use $crate::storage::bindings::exports::k3s::common::plugin as common;
            use $crate::storage::bindings::exports::k3s::storage::provisioner as contract;

            $crate::__instance!($plugin, $plugin, ::std::convert::identity::<$plugin>);

            impl contract::Guest for Exported {
                fn provision(request: contract::Request) -> Result<contract::Volume, contract::Error> {
                    with(|plugin| plugin.provision(&request))
                }

                fn delete(volume: contract::Existing) -> Result<(), contract::Error> {
                    with(|plugin| plugin.delete(&volume))
                }

                fn expand(volume: contract::Existing, capacity_bytes: u64) -> Result<u64, contract::Error> {
                    with(|plugin| plugin.expand(&volume, capacity_bytes))
                }

                fn capacity(class: contract::Class, node: contract::Node) -> Result<u64, contract::Error> {
                    with(|plugin| plugin.capacity(&class, &node))
                }
            }

    $crate::storage::bindings::export_raw!(Exported with_types_in $crate::storage::bindings);
        };
    };
}
