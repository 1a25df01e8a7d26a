//! The component's exports, and the host's imports.

use std::cell::RefCell;

use crate::bindings::exports::k3s::cni::network::{
    Attachment, Error, Guest as Network, Node, Outcome, Sandbox,
};
use crate::bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use crate::bindings::k3s::host::log::{self, Level};
use crate::bindings::k3s::ipam::ipam::{self, Error as IpamError, Lease, Range};
use crate::bindings::k3s::net::net::{self, Error as NetError, Plan, Uplink};
use crate::config;
use crate::flannel::Flannel;
use crate::host::Host;

struct Component;

#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}

thread_local! {
    static FLANNEL: RefCell<Option<Flannel>> = const { RefCell::new(None) };
}

fn with<T>(work: impl FnOnce(&mut Flannel) -> Result<T, Error>) -> Result<T, Error> {
    FLANNEL.with_borrow_mut(|slot| {
        let unconfigured = || Error::NotReady("not configured".to_owned());
        slot.as_mut().ok_or_else(unconfigured).and_then(work)
    })
}

impl Plugin for Component {
    fn describe() -> Description {
        Description {
            name: "flannel".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn configure(bytes: Vec<u8>) -> Result<(), ConfigError> {
        // A panic's message would be lost with the instance.
        std::panic::set_hook(Box::new(|panic| log::log(Level::Error, &panic.to_string())));
        let config = config::parse(&bytes).map_err(ConfigError::Invalid)?;
        FLANNEL.set(Some(Flannel::new(config)));
        Ok(())
    }
}

impl Network for Component {
    fn add(sandbox: Sandbox) -> Result<Attachment, Error> {
        with(|flannel| flannel.add(&Imports, &sandbox))
    }

    fn del(sandbox_id: String) -> Result<(), Error> {
        Flannel::del(&Imports, &sandbox_id)
    }

    fn check(sandbox: Sandbox) -> Result<(), Error> {
        with(|flannel| flannel.check(&Imports, &sandbox))
    }

    fn status() -> Result<(), Error> {
        with(|flannel| flannel.status())
    }

    fn gc(valid_ids: Vec<String>) -> Result<(), Error> {
        Flannel::gc(&Imports, &valid_ids)
    }

    fn sync(this_node: String, nodes: Vec<Node>) -> Result<Outcome, Error> {
        with(|flannel| flannel.sync(&Imports, &this_node, &nodes))
    }
}

/// The imported capabilities.
struct Imports;

impl Host for Imports {
    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, NetError> {
        net::apply(owner, plan)
    }

    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, NetError> {
        net::differences(owner, plan)
    }

    fn remove(&self, owner: &str) -> Result<(), NetError> {
        net::remove(owner)
    }

    fn owners(&self) -> Result<Vec<String>, NetError> {
        net::owners()
    }

    fn uplink(&self) -> Result<Uplink, NetError> {
        net::find_uplink()
    }

    fn allocate(&self, network: &str, range: &Range, owner: &str) -> Result<String, IpamError> {
        ipam::allocate(network, range, owner)
    }

    fn release(&self, network: &str, owner: &str) -> Result<(), IpamError> {
        ipam::release(network, owner)
    }

    fn leases(&self, network: &str) -> Result<Vec<Lease>, IpamError> {
        ipam::leases(network)
    }
}
