//! Service load balancers: the trait, the contract's types, and the bookkeeping that the contract asks
//! for, so that a plugin is one pure function from a cluster to assignments.
//!
//! ```
//! use k3s_plugin_sdk::{Sentence, export_load_balancer};
//! use k3s_plugin_sdk::load_balancer::{Assignment, Cluster, LoadBalancer};
//! use k3s_plugin_sdk::serde::de::IgnoredAny;
//!
//! /// Every node answers for every Service.
//! struct Everywhere;
//!
//! impl LoadBalancer for Everywhere {
//!     type Config = ();
//!     type Service = IgnoredAny;
//!     type Node = IgnoredAny;
//!
//!     const NAME: &'static str = "everywhere";
//!     const VERSION: &'static str = "0.1.0";
//!     const SERVICE_FIELDS: &'static [&'static str] = &[];
//!     const NODE_FIELDS: &'static [&'static str] = &[];
//!
//!     fn new((): ()) -> Result<Self, Sentence> {
//!         Ok(Self)
//!     }
//!
//!     fn assign(&self, cluster: &Cluster<IgnoredAny, IgnoredAny>) -> Vec<Assignment> {
//!         let everywhere = |service: &String| Assignment {
//!             claimed: true,
//!             ..Assignment::nothing(service)
//!         };
//!         cluster.services.keys().map(everywhere).collect()
//!     }
//! }
//!
//! export_load_balancer!(Everywhere);
//!
//! assert!(Everywhere.assign(&Cluster::default()).is_empty());
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::sentence::Sentence;
use crate::settings::Settings;

/// The contract as generated; [`crate::export_load_balancer`] needs it.
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
        path: ["../../wit/common", "../../wit/host", "../../wit/load-balancer-0.2"],
        world: "k3s:load-balancer/load-balancer",
        default_bindings_module: "k3s_plugin_sdk::load_balancer::bindings",
        additional_derives: [PartialEq, Eq],
    });
}

pub use bindings::exports::k3s::common::feed::{Error, Interest, Object, ObjectKey};
pub use bindings::exports::k3s::load_balancer::balancer::{
    Assignment, Forward, Ingress, IpMode, Problem, ReadyNodes,
};

/// The cluster as the plugin sees it.
#[derive(Debug)]
pub struct Cluster<S, N> {
    /// Services of type LoadBalancer, by `namespace/name`.
    pub services: BTreeMap<String, S>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, N>,
    /// Names of nodes with a ready endpoint, by Service.
    pub ready: BTreeMap<String, BTreeSet<String>>,
}

impl<S, N> Default for Cluster<S, N> {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            ready: BTreeMap::new(),
        }
    }
}

/// A load balancer.
pub trait LoadBalancer: Sized + 'static {
    /// The operator's settings. The host always sets `reserved`, ports that no Service may have.
    type Config: Settings;
    /// What the plugin reads of a Service; serde ignores the rest.
    type Service: DeserializeOwned + 'static;
    /// What the plugin reads of a Node.
    type Node: DeserializeOwned + 'static;

    /// The name that `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;
    /// The mask of Services: the fields that [`LoadBalancer::Service`] has, as dotted paths.
    const SERVICE_FIELDS: &'static [&'static str];
    /// The mask of Nodes: the fields that [`LoadBalancer::Node`] has.
    const NODE_FIELDS: &'static [&'static str];

    /// Creates the plugin.
    ///
    /// # Errors
    /// The configuration is not usable; one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, Sentence>;

    /// Returns the assignment of every Service. The same cluster leads to the same assignments.
    fn assign(&self, cluster: &Cluster<Self::Service, Self::Node>) -> Vec<Assignment>;
}

impl Assignment {
    /// A Service that is another load balancer's.
    #[must_use]
    pub fn nothing(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            claimed: false,
            ingress: Vec::new(),
            forwards: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// Makes a plugin incremental: it keeps the cluster and returns an assignment only if it differs from the
/// last one of the same Service. The macro exports it; unit tests can use it too.
#[derive(Debug)]
pub struct Incremental<P: LoadBalancer> {
    plugin: P,
    cluster: Cluster<P::Service, P::Node>,
    /// The cluster changed since the last plan.
    is_stale: bool,
    /// Assignments the host has not been given yet.
    due: Vec<Assignment>,
    /// The last assignment of each Service that the host was given.
    returned: BTreeMap<String, Assignment>,
}

impl<P: LoadBalancer> Incremental<P> {
    /// A plugin that knows no objects yet.
    pub fn new(plugin: P) -> Self {
        Self {
            plugin,
            cluster: Cluster::default(),
            is_stale: false,
            due: Vec::new(),
            returned: BTreeMap::new(),
        }
    }

    /// Adds or replaces Services and Nodes.
    ///
    /// # Errors
    /// [`Error::Invalid`] about the first object that cannot be read; the others are accepted.
    pub fn upsert(&mut self, objects: Vec<Object>) -> Result<(), Error> {
        self.is_stale = true;
        let mut result = Ok(());
        for object in objects {
            if let Err(why) = self.upsert_one(object) {
                result = result.and(Err(Error::Invalid(why.into())));
            }
        }
        result
    }

    fn upsert_one(&mut self, object: Object) -> Result<(), Sentence> {
        let Object { key, json } = object;
        match key.kind.as_str() {
            "Service" => {
                let service = read(&key, &json)?;
                self.cluster.services.insert(service_key(&key), service);
            }
            "Node" => {
                let node = read(&key, &json)?;
                self.cluster.nodes.insert(key.name, node);
            }
            // Never asked for.
            _ => {}
        }
        Ok(())
    }

    /// Removes Services and Nodes, and with a Service the memory of its assignment.
    pub fn remove(&mut self, keys: &[ObjectKey]) {
        self.is_stale = true;
        for key in keys {
            match key.kind.as_str() {
                "Service" => {
                    let service = service_key(key);
                    self.cluster.services.remove(&service);
                    self.cluster.ready.remove(&service);
                    self.returned.remove(&service);
                }
                "Node" => drop(self.cluster.nodes.remove(&key.name)),
                _ => {}
            }
        }
    }

    /// Replaces the ready nodes of these Services.
    pub fn set_ready_nodes(&mut self, services: Vec<ReadyNodes>) {
        self.is_stale = true;
        for ReadyNodes { service, nodes } in services {
            let nodes = nodes.into_iter().collect();
            self.cluster.ready.insert(service, nodes);
        }
    }

    /// Returns at most `limit` assignments that are new or different.
    pub fn assign(&mut self, limit: u32) -> Vec<Assignment> {
        if std::mem::take(&mut self.is_stale) {
            self.plan();
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let count = self.due.len().min(limit);
        let page: Vec<Assignment> = self.due.drain(..count).collect();
        for assignment in &page {
            let service = assignment.service.clone();
            self.returned.insert(service, assignment.clone());
        }
        page
    }

    fn plan(&mut self) {
        let mut all = self.plugin.assign(&self.cluster);
        all.retain(|assignment| {
            let service = &assignment.service;
            let exists = self.cluster.services.contains_key(service);
            exists && self.returned.get(service) != Some(assignment)
        });
        self.due = all;
    }
}

fn service_key(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn read<T: DeserializeOwned>(key: &ObjectKey, json: &[u8]) -> Result<T, Sentence> {
    let name = || match key.namespace.as_str() {
        "" => key.name.clone(),
        _ => service_key(key),
    };
    let invalid = |error| format!("{} {}: {error}", key.kind, name());
    Ok(serde_json::from_slice(json).map_err(invalid)?)
}

/// The interests of a plugin with these masks; the macro calls it.
#[doc(hidden)]
#[must_use]
pub fn interests(service_fields: &[&str], node_fields: &[&str]) -> Vec<Interest> {
    let owned = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    let services = Interest {
        group: String::new(),
        version: "v1".to_owned(),
        plural: "services".to_owned(),
        kind: "Service".to_owned(),
        namespaced: true,
        optional: false,
        fields: owned(service_fields),
    };
    let nodes = Interest {
        plural: "nodes".to_owned(),
        kind: "Node".to_owned(),
        namespaced: false,
        fields: owned(node_fields),
        ..services.clone()
    };
    vec![services, nodes]
}

/// Exports a type that implements [`LoadBalancer`] as the component.
#[macro_export]
macro_rules! export_load_balancer {
    ($plugin:ty) => {
        $crate::__check!($plugin, $crate::load_balancer::LoadBalancer);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::load_balancer::bindings::exports::k3s::common::{feed, plugin as common};
            use $crate::load_balancer::bindings::exports::k3s::load_balancer::balancer as contract;
            use $crate::load_balancer::{Incremental, LoadBalancer};

            $crate::__instance!($plugin, Incremental<$plugin>, Incremental::<$plugin>::new);

            impl feed::Guest for Exported {
                fn interests() -> Vec<feed::Interest> {
                    $crate::load_balancer::interests(
                        <$plugin>::SERVICE_FIELDS,
                        <$plugin>::NODE_FIELDS,
                    )
                }

                fn upsert(objects: Vec<feed::Object>) -> Result<(), feed::Error> {
                    with(|state| state.upsert(objects))
                }

                fn remove(keys: Vec<feed::ObjectKey>) -> Result<(), feed::Error> {
                    with(|state| state.remove(&keys));
                    Ok(())
                }
            }

            impl contract::Guest for Exported {
                fn set_ready_nodes(services: Vec<contract::ReadyNodes>) {
                    with(|state| state.set_ready_nodes(services));
                }

                fn assign(limit: u32) -> Vec<contract::Assignment> {
                    with(|state| state.assign(limit))
                }
            }

            $crate::load_balancer::bindings::export_raw!(
                Exported with_types_in $crate::load_balancer::bindings
            );
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything;

    impl LoadBalancer for Everything {
        type Config = ();
        type Service = serde::de::IgnoredAny;
        type Node = serde::de::IgnoredAny;

        const NAME: &'static str = "everything";
        const VERSION: &'static str = "0.1.0";
        const SERVICE_FIELDS: &'static [&'static str] = &[];
        const NODE_FIELDS: &'static [&'static str] = &[];

        fn new((): ()) -> Result<Self, Sentence> {
            Ok(Self)
        }

        fn assign(&self, cluster: &Cluster<Self::Service, Self::Node>) -> Vec<Assignment> {
            let forward = |node: &String| Forward {
                node: node.clone(),
                addresses: Vec::new(),
            };
            let one = |service: &String| Assignment {
                claimed: true,
                forwards: cluster.nodes.keys().map(forward).collect(),
                ..Assignment::nothing(service)
            };
            cluster.services.keys().map(one).collect()
        }
    }

    fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    fn service(name: &str) -> Object {
        Object {
            key: key("Service", "n", name),
            json: b"{}".to_vec(),
        }
    }

    #[test]
    fn only_differences_are_returned_and_in_pages() {
        let mut state = Incremental::new(Everything);
        state
            .upsert(vec![service("a"), service("b"), service("c")])
            .unwrap();
        let pages = [state.assign(2), state.assign(2), state.assign(2)];
        assert_eq!(pages.map(|page| page.len()), [2, 1, 0]);
        state.upsert(vec![service("a")]).unwrap();
        assert!(state.assign(10).is_empty(), "nothing differs");
        let node = Object {
            key: key("Node", "", "one"),
            json: b"{}".to_vec(),
        };
        state.upsert(vec![node]).unwrap();
        assert_eq!(state.assign(10).len(), 3);
        state.remove(&[key("Service", "n", "a")]);
        assert!(
            state.assign(10).is_empty(),
            "a removed Service is not named"
        );
        state.upsert(vec![service("a")]).unwrap();
        assert_eq!(state.assign(10).len(), 1);
        state.remove(&[key("Node", "", "one")]);
        assert_eq!(state.assign(10).len(), 3);
    }

    #[test]
    fn an_unreadable_object_is_named_and_the_others_are_accepted() {
        let mut state = Incremental::new(Everything);
        let broken = Object {
            json: b"{".to_vec(),
            ..service("a")
        };
        let result = state.upsert(vec![broken, service("b")]);
        assert!(matches!(result, Err(Error::Invalid(why)) if why.starts_with("Service n/a: ")));
        assert_eq!(state.assign(10).len(), 1);
    }
}
