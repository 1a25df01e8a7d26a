//! Pod networks: the trait, the contract's types, and short ways to common plans.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

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
    });
}

pub use bindings::exports::k3s::cni::network::{Attachment, Error, Node, Outcome, Sandbox};
pub use bindings::k3s::ipam::ipam;
pub use bindings::k3s::net::net;

/// Owner of what the node as a whole needs; every other owner is a sandbox.
pub const NODE_OWNER: &str = "node";

/// A pod network. The host calls one function at a time; whatever an instance learnt is gone after a
/// failure, so that `sync` must be able to bring all of it back.
pub trait PodNetwork: Sized + 'static {
    /// The operator's settings. `network`, the cluster's pod range, is always among them.
    type Config: DeserializeOwned + Default;

    /// What `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;

    /// Takes the configuration; an error is one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, String>;
    /// The cluster's nodes, this one among them: set the node up.
    fn sync(&mut self, this_node: &str, nodes: &[Node]) -> Result<Outcome, Error>;
    /// Whether pods can be added.
    fn status(&self) -> Result<(), Error>;
    /// Connects a pod; again, if it is connected already.
    fn add(&mut self, sandbox: &Sandbox) -> Result<Attachment, Error>;
    /// Undoes `add`, whole or half.
    fn del(&mut self, sandbox_id: &str) -> Result<(), Error>;
    /// Whether a pod is connected as `add` left it.
    fn check(&mut self, sandbox: &Sandbox) -> Result<(), Error>;
    /// Frees what belongs to no sandbox of these.
    fn gc(&mut self, valid_ids: &[String]) -> Result<(), Error>;
}

impl Default for net::Plan {
    /// Nothing.
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

/// What the host's refusal of a plan means to whoever waits for the pod.
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

/// The name of a pod's link on the node: `veth` and 32 bits of a hash of the sandbox's id (FNV-1a).
#[must_use]
pub fn link_name(sandbox_id: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("veth{:08x}", sandbox_id.bytes().fold(0x811c_9dc5_u32, step))
}

/// Removes what belongs to no sandbox of these, links before leases: nobody may get an address while
/// its last owner is still connected.
///
/// # Errors
/// When the host cannot; calling it again goes on.
pub fn collect_garbage(network: &str, valid_ids: &[String]) -> Result<(), Error> {
    let keep: BTreeSet<&str> = valid_ids
        .iter()
        .map(String::as_str)
        .chain([NODE_OWNER])
        .collect();
    for owner in net::owners()?
        .iter()
        .filter(|owner| !keep.contains(owner.as_str()))
    {
        net::remove(owner)?;
    }
    for lease in ipam::leases(network)?
        .iter()
        .filter(|lease| !keep.contains(lease.owner.as_str()))
    {
        ipam::release(network, &lease.owner)?;
    }
    Ok(())
}

/// Makes a type that implements [`PodNetwork`] the component's.
#[macro_export]
macro_rules! export_cni {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::cni::bindings::exports::k3s::cni::network as contract;
            use $crate::cni::bindings::exports::k3s::common::plugin as common;
            use $crate::cni::{Error, PodNetwork};

            $crate::__instance!($plugin, $plugin, ::std::convert::identity::<$plugin>);

            impl contract::Guest for Exported {
                fn add(sandbox: contract::Sandbox) -> Result<contract::Attachment, Error> {
                    with(|plugin| plugin.add(&sandbox))
                }

                fn del(sandbox_id: String) -> Result<(), Error> {
                    with(|plugin| plugin.del(&sandbox_id))
                }

                fn check(sandbox: contract::Sandbox) -> Result<(), Error> {
                    with(|plugin| plugin.check(&sandbox))
                }

                fn status() -> Result<(), Error> {
                    with(|plugin| plugin.status())
                }

                fn gc(valid_ids: Vec<String>) -> Result<(), Error> {
                    with(|plugin| plugin.gc(&valid_ids))
                }

                fn sync(
                    this_node: String,
                    nodes: Vec<contract::Node>,
                ) -> Result<contract::Outcome, Error> {
                    with(|plugin| plugin.sync(&this_node, &nodes))
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
