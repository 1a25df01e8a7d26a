//! Pod networks: the trait, the contract's types, and helpers for common plans.
//!
//! A plugin plans; the host carries the plans out. [`Host`] is what the host does for a pod network, and
//! every function gets it as a parameter, so that unit tests can pass a [`FakeHost`]:
//!
//! ```
//! use k3s_plugin_sdk::cni::net::Plan;
//! use k3s_plugin_sdk::cni::{
//!     Attachment, Error, FakeHost, Host, Node, Outcome, PodNetwork, Sandbox, ipam,
//! };
//! use k3s_plugin_sdk::{Sentence, export_cni};
//!
//! /// Gives each pod an address and connects nothing.
//! struct AddressesOnly {
//!     range: ipam::Range,
//! }
//!
//! impl PodNetwork for AddressesOnly {
//!     type Config = ();
//!     const NAME: &'static str = "addresses-only";
//!     const VERSION: &'static str = "0.1.0";
//!
//!     fn new((): ()) -> Result<Self, Sentence> {
//!         let subnet = "10.42.0.0/24".to_owned();
//!         let gateway = "10.42.0.1".to_owned();
//!         Ok(Self { range: ipam::Range { subnet, gateway } })
//!     }
//!
//!     fn sync(&mut self, _: &dyn Host, _: &str, _: &[Node]) -> Result<Outcome, Error> {
//!         Ok(Outcome { annotations: Vec::new(), subnet_env: String::new() })
//!     }
//!
//!     fn status(&self) -> Result<(), Error> {
//!         Ok(())
//!     }
//!
//!     fn add(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<Attachment, Error> {
//!         let address = host.allocate(Self::NAME, &self.range, &sandbox.id)?;
//!         host.apply(&sandbox.id, &Plan::default())?;
//!         Ok(Attachment { addresses: vec![address] })
//!     }
//!
//!     fn del(&mut self, host: &dyn Host, sandbox_id: &str) -> Result<(), Error> {
//!         host.remove(sandbox_id)?;
//!         Ok(host.release(Self::NAME, sandbox_id)?)
//!     }
//!
//!     fn check(&mut self, _: &dyn Host, _: &Sandbox) -> Result<(), Error> {
//!         Ok(())
//!     }
//!
//!     fn gc(&mut self, host: &dyn Host, valid_ids: &[String]) -> Result<(), Error> {
//!         k3s_plugin_sdk::cni::collect_garbage(host, Self::NAME, valid_ids)
//!     }
//! }
//!
//! export_cni!(AddressesOnly);
//!
//! let host = FakeHost::default();
//! let mut network = AddressesOnly::new(()).unwrap();
//! let sandbox = Sandbox {
//!     id: "s1".to_owned(),
//!     pod_namespace: "default".to_owned(),
//!     pod_name: "web".to_owned(),
//!     pod_uid: "1".to_owned(),
//!     ports: Vec::new(),
//!     annotations: Vec::new(),
//! };
//! assert_eq!(network.add(&host, &sandbox).unwrap().addresses, ["10.42.0.2"]);
//! network.del(&host, "s1").unwrap();
//! assert!(host.leases.borrow().is_empty());
//! ```

use std::collections::BTreeSet;

use crate::sentence::Sentence;
use crate::settings::Settings;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::cni_fake::FakeHost;

/// The contract as generated; [`crate::export_cni`] needs it.
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
        path: ["../../wit/common", "../../wit/host", "../../wit/net", "../../wit/ipam", "../../wit/cni"],
        world: "k3s:cni/cni",
        default_bindings_module: "k3s_plugin_sdk::cni::bindings",
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::k3s::cni::network::{
    Attachment, Error, Node, Outcome, PortMapping, Protocol, Sandbox,
};
pub use bindings::k3s::ipam::ipam;
pub use bindings::k3s::net::net;

/// Owner of everything the node as a whole needs; every other owner is a sandbox.
pub const NODE_OWNER: &str = "node";

/// A pod network. The host calls one function at a time. After a failure it calls `sync` on a fresh
/// instance, which must restore everything the plugin needs to know.
pub trait PodNetwork: Sized + 'static {
    /// The operator's settings. The host always sets `network`, the cluster's pod range.
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

    /// Sets this node up. `nodes` are all nodes of the cluster, this one included.
    ///
    /// # Errors
    /// [`Error::NotReady`] as long as this node has no pod CIDR.
    fn sync(&mut self, host: &dyn Host, this_node: &str, nodes: &[Node]) -> Result<Outcome, Error>;

    /// Returns whether pods can be added.
    ///
    /// # Errors
    /// [`Error::NotReady`] if not.
    fn status(&self) -> Result<(), Error>;

    /// Connects a pod; does nothing new if it is already connected.
    ///
    /// # Errors
    /// The pod is not connected; the error says whether to retry.
    fn add(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<Attachment, Error>;

    /// Undoes `add`, including one that failed halfway.
    ///
    /// # Errors
    /// Something is left; the host calls again.
    fn del(&mut self, host: &dyn Host, sandbox_id: &str) -> Result<(), Error>;

    /// Checks that a pod is still connected the way `add` left it.
    ///
    /// # Errors
    /// [`Error::Other`] names what differs.
    fn check(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<(), Error>;

    /// Frees what belongs to none of these sandboxes; [`collect_garbage`] does it for most networks.
    ///
    /// # Errors
    /// Something is left; the host calls again.
    fn gc(&mut self, host: &dyn Host, valid_ids: &[String]) -> Result<(), Error>;
}

/// What the host does for a pod network: the imports `k3s:net` and `k3s:ipam`, whose WIT texts describe
/// each function.
pub trait Host {
    /// Makes the plan true and removes everything else the owner had. Returns the number of changes.
    ///
    /// # Errors
    /// See [`net::Error`].
    fn apply(&self, owner: &str, plan: &net::Plan) -> Result<u32, net::Error>;

    /// Returns what `apply` would change, one line each.
    ///
    /// # Errors
    /// See [`net::Error`].
    fn differences(&self, owner: &str, plan: &net::Plan) -> Result<Vec<String>, net::Error>;

    /// Removes everything of an owner.
    ///
    /// # Errors
    /// See [`net::Error`].
    fn remove(&self, owner: &str) -> Result<(), net::Error>;

    /// Returns everyone who owns something.
    ///
    /// # Errors
    /// See [`net::Error`].
    fn owners(&self) -> Result<Vec<String>, net::Error>;

    /// Returns the link and address through which the node reaches other nodes.
    ///
    /// # Errors
    /// See [`net::Error`].
    fn find_uplink(&self) -> Result<net::Uplink, net::Error>;

    /// Returns the owner's address, or allocates the next free one.
    ///
    /// # Errors
    /// [`ipam::Error::Exhausted`] when no address is free.
    fn allocate(
        &self,
        network: &str,
        range: &ipam::Range,
        owner: &str,
    ) -> Result<String, ipam::Error>;

    /// Releases the owner's addresses.
    ///
    /// # Errors
    /// See [`ipam::Error`].
    fn release(&self, network: &str, owner: &str) -> Result<(), ipam::Error>;

    /// Returns every lease of a network.
    ///
    /// # Errors
    /// See [`ipam::Error`].
    fn leases(&self, network: &str) -> Result<Vec<ipam::Lease>, ipam::Error>;
}

/// The host that runs the component; [`crate::export_cni`] passes it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Imports;

impl Host for Imports {
    fn apply(&self, owner: &str, plan: &net::Plan) -> Result<u32, net::Error> {
        net::apply(owner, plan)
    }

    fn differences(&self, owner: &str, plan: &net::Plan) -> Result<Vec<String>, net::Error> {
        net::differences(owner, plan)
    }

    fn remove(&self, owner: &str) -> Result<(), net::Error> {
        net::remove(owner)
    }

    fn owners(&self) -> Result<Vec<String>, net::Error> {
        net::owners()
    }

    fn find_uplink(&self) -> Result<net::Uplink, net::Error> {
        net::find_uplink()
    }

    fn allocate(
        &self,
        network: &str,
        range: &ipam::Range,
        owner: &str,
    ) -> Result<String, ipam::Error> {
        ipam::allocate(network, range, owner)
    }

    fn release(&self, network: &str, owner: &str) -> Result<(), ipam::Error> {
        ipam::release(network, owner)
    }

    fn leases(&self, network: &str) -> Result<Vec<ipam::Lease>, ipam::Error> {
        ipam::leases(network)
    }
}

impl Default for net::Plan {
    /// A plan of nothing.
    fn default() -> Self {
        Self {
            links: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            sysctls: Vec::new(),
            tables: Vec::new(),
            elements: Vec::new(),
        }
    }
}

/// What a refused plan means for the pod that waits for it.
impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        match error {
            net::Error::Failed(why) => Self::Retry(why),
            net::Error::Denied(why) => Self::Invalid(format!("not granted: {why}")),
            net::Error::Conflict(why) => Self::Invalid(why),
            net::Error::Invalid(why) | net::Error::Other(why) => Self::Other(why),
        }
    }
}

impl From<ipam::Error> for Error {
    fn from(error: ipam::Error) -> Self {
        match error {
            ipam::Error::Exhausted => {
                Self::Exhausted("every address of this node's pod CIDR is taken".to_owned())
            }
            ipam::Error::Unavailable(why) => Self::Retry(why),
            ipam::Error::Invalid(why) | ipam::Error::Other(why) => Self::Other(why),
        }
    }
}

/// The name of a pod's link on the node: `veth` and 32 bits of a hash (FNV-1a) of the sandbox's id, which
/// stays below the kernel's limit of 15 characters.
///
/// ```
/// assert_eq!(k3s_plugin_sdk::cni::link_name("s1"), "veth0851b8c9");
/// ```
#[must_use]
pub fn link_name(sandbox_id: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = sandbox_id.bytes().fold(0x811c_9dc5_u32, step);
    format!("veth{hash:08x}")
}

/// Removes what belongs to none of these sandboxes. Links are removed before leases are released: an
/// address must not be given out while its last owner is still connected.
///
/// # Errors
/// Something is left; a further call continues.
pub fn collect_garbage(host: &dyn Host, network: &str, valid_ids: &[String]) -> Result<(), Error> {
    let valid_ids = valid_ids.iter().map(String::as_str);
    let keep: BTreeSet<&str> = valid_ids.chain([NODE_OWNER]).collect();
    for owner in host.owners()? {
        if !keep.contains(owner.as_str()) {
            host.remove(&owner)?;
        }
    }
    for lease in host.leases(network)? {
        if !keep.contains(lease.owner.as_str()) {
            host.release(network, &lease.owner)?;
        }
    }
    Ok(())
}

/// Exports a type that implements [`PodNetwork`] as the component.
#[macro_export]
macro_rules! export_cni {
    ($plugin:ty) => {
        $crate::__check!($plugin, $crate::cni::PodNetwork);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::cni::bindings::exports::k3s::cni::network as contract;
            use $crate::cni::bindings::exports::k3s::common::plugin as common;
            use $crate::cni::{Error, Imports, PodNetwork};

            $crate::__instance!($plugin, $plugin, ::std::convert::identity::<$plugin>);

            impl contract::Guest for Exported {
                fn add(sandbox: contract::Sandbox) -> Result<contract::Attachment, Error> {
                    with(|plugin| plugin.add(&Imports, &sandbox))
                }

                fn del(sandbox_id: String) -> Result<(), Error> {
                    with(|plugin| plugin.del(&Imports, &sandbox_id))
                }

                fn check(sandbox: contract::Sandbox) -> Result<(), Error> {
                    with(|plugin| plugin.check(&Imports, &sandbox))
                }

                fn status() -> Result<(), Error> {
                    with(|plugin| plugin.status())
                }

                fn gc(valid_ids: Vec<String>) -> Result<(), Error> {
                    with(|plugin| plugin.gc(&Imports, &valid_ids))
                }

                fn sync(
                    this_node: String,
                    nodes: Vec<contract::Node>,
                ) -> Result<contract::Outcome, Error> {
                    with(|plugin| plugin.sync(&Imports, &this_node, &nodes))
                }
            }

    $crate::cni::bindings::export_raw!(Exported with_types_in $crate::cni::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_fit_the_kernel_s_limit_and_differ() {
        let (a, b) = (link_name("a"), link_name("b"));
        assert!(a != b && a.len() <= 15 && a.starts_with("veth"), "{a} {b}");
    }
}
