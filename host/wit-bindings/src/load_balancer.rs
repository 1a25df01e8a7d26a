//! `k3s:load-balancer`: components of both tracks behind one type.
//!
//! 0.2 receives Services and Nodes through `k3s:common/feed`; 0.1 has functions of its own for each of the
//! two, and masks instead of interests. [`LoadBalancer`] speaks of both as objects and interests. The
//! records of assignments are equal, and wasmtime compares types by structure.

use wasmtime::AsContextMut;
use wasmtime::component::{ComponentType, Instance, Lift};

use crate::common::AnyPlugin;
use crate::common::exports::k3s::common::plugin;
use crate::feed::FedPlugin;
use crate::feed::exports::k3s::common::feed;
use crate::load_balancer_0_2::LoadBalancer as Current;
use crate::released::{Function, Interface};

pub use crate::feed::exports::k3s::common::feed::{Interest, Object, ObjectKey};
pub use crate::load_balancer_0_2::exports::k3s::load_balancer::balancer::*;

/// The kind of Services in object keys.
pub const SERVICE: &str = "Service";
/// The kind of Nodes in object keys.
pub const NODE: &str = "Node";

/// An instance of a load balancer component.
pub struct LoadBalancer {
    plugin: AnyPlugin,
    track: Track,
}

/// The exports of one track.
enum Track {
    /// `k3s:load-balancer@0.2.0`.
    V0_2(FedPlugin, Current),
    /// `k3s:load-balancer@0.1.0`.
    V0_1(Released),
}

/// The functions of `k3s:load-balancer/balancer@0.1.0`.
struct Released {
    wanted: Function,
    upsert_services: Function,
    remove_services: Function,
    upsert_nodes: Function,
    remove_nodes: Function,
    set_ready_nodes: Function,
    assign: Function,
}

/// The record `mask` of 0.1: fields to pass of each kind.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Mask {
    services: Vec<String>,
    nodes: Vec<String>,
}

impl LoadBalancer {
    /// Finds the exports of an instance, of the newest track that it has.
    ///
    /// # Errors
    /// When the instance has neither track's exports.
    pub fn new(mut store: impl AsContextMut, instance: &Instance) -> wasmtime::Result<Self> {
        let released = Interface::find(&mut store, instance, "k3s:load-balancer/balancer@0.1.0");
        let track = match released {
            Some(balancer) => Track::V0_1(Released {
                wanted: balancer.function(&mut store, "wanted")?,
                upsert_services: balancer.function(&mut store, "upsert-services")?,
                remove_services: balancer.function(&mut store, "remove-services")?,
                upsert_nodes: balancer.function(&mut store, "upsert-nodes")?,
                remove_nodes: balancer.function(&mut store, "remove-nodes")?,
                set_ready_nodes: balancer.function(&mut store, "set-ready-nodes")?,
                assign: balancer.function(&mut store, "assign")?,
            }),
            None => Track::V0_2(
                FedPlugin::new(&mut store, instance)?,
                Current::new(&mut store, instance)?,
            ),
        };
        let plugin = AnyPlugin::new(store, instance)?;
        Ok(Self { plugin, track })
    }

    /// See `configure` in `wit/common/plugin.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_configure(
        &self,
        store: impl AsContextMut,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), plugin::ConfigError>> {
        self.plugin
            .k3s_common_plugin()
            .call_configure(store, config)
    }

    /// See `interests` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_interests(&self, store: impl AsContextMut) -> wasmtime::Result<Vec<Interest>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_interests(store),
            Track::V0_1(released) => released.interests(store),
        }
    }

    /// See `upsert` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_upsert(
        &self,
        store: impl AsContextMut,
        objects: &[Object],
    ) -> wasmtime::Result<Result<(), feed::Error>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_upsert(store, objects),
            Track::V0_1(released) => released.upsert(store, objects),
        }
    }

    /// See `remove` in `wit/common/feed.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_remove(
        &self,
        store: impl AsContextMut,
        keys: &[ObjectKey],
    ) -> wasmtime::Result<Result<(), feed::Error>> {
        match &self.track {
            Track::V0_2(fed, _) => fed.k3s_common_feed().call_remove(store, keys),
            Track::V0_1(released) => released.remove(store, keys).map(Ok),
        }
    }

    /// See `set-ready-nodes` in `wit/load-balancer-0.2/load-balancer.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_set_ready_nodes(
        &self,
        store: impl AsContextMut,
        services: &[ReadyNodes],
    ) -> wasmtime::Result<()> {
        match &self.track {
            Track::V0_2(_, current) => current
                .k3s_load_balancer_balancer()
                .call_set_ready_nodes(store, services),
            Track::V0_1(released) => released.set_ready_nodes.call(store, (services,)),
        }
    }

    /// See `assign` in `wit/load-balancer-0.2/load-balancer.wit`.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn call_assign(
        &self,
        store: impl AsContextMut,
        limit: u32,
    ) -> wasmtime::Result<Vec<Assignment>> {
        match &self.track {
            Track::V0_2(_, current) => current
                .k3s_load_balancer_balancer()
                .call_assign(store, limit),
            Track::V0_1(released) => released.assign.call(store, (limit,)).map(one),
        }
    }
}

impl Released {
    fn interests(&self, store: impl AsContextMut) -> wasmtime::Result<Vec<Interest>> {
        let (mask,) = self.wanted.call::<_, (Mask,)>(store, ())?;
        Ok(vec![
            interest("services", SERVICE, true, mask.services),
            interest("nodes", NODE, false, mask.nodes),
        ])
    }

    /// Nodes first, as hosts of that track did.
    fn upsert(
        &self,
        mut store: impl AsContextMut,
        objects: &[Object],
    ) -> wasmtime::Result<Result<(), feed::Error>> {
        let mut outcome = Ok(());
        for (kind, function) in [(NODE, &self.upsert_nodes), (SERVICE, &self.upsert_services)] {
            let of_kind = objects.iter().filter(|object| object.key.kind == kind);
            let documents: Vec<&[u8]> = of_kind.map(|object| object.json.as_slice()).collect();
            if !documents.is_empty() {
                let (accepted,) = function.call(&mut store, (documents.as_slice(),))?;
                outcome = outcome.and(understood(accepted));
            }
        }
        Ok(outcome)
    }

    fn remove(&self, mut store: impl AsContextMut, keys: &[ObjectKey]) -> wasmtime::Result<()> {
        let nodes = keys.iter().filter(|key| key.kind == NODE);
        let names: Vec<&str> = nodes.map(|key| key.name.as_str()).collect();
        if !names.is_empty() {
            self.remove_nodes
                .call::<_, ()>(&mut store, (names.as_slice(),))?;
        }
        let services = keys.iter().filter(|key| key.kind == SERVICE);
        let names: Vec<String> = services
            .map(|key| format!("{}/{}", key.namespace, key.name))
            .collect();
        if !names.is_empty() {
            self.remove_services
                .call::<_, ()>(&mut store, (names.as_slice(),))?;
        }
        Ok(())
    }
}

fn interest(plural: &str, kind: &str, namespaced: bool, fields: Vec<String>) -> Interest {
    Interest {
        group: String::new(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespaced,
        optional: false,
        fields,
    }
}

/// In 0.1 any error is about an object, and the rest of the batch was accepted.
fn understood(result: Result<(), feed::Error>) -> Result<(), feed::Error> {
    let Err(feed::Error::Invalid(why) | feed::Error::Other(why)) = result else {
        return Ok(());
    };
    Err(feed::Error::Invalid(why))
}

fn one<T>((value,): (T,)) -> T {
    value
}
