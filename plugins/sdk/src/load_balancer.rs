//! Service load balancers: the trait, the contract's types, and the books that the contract asks for,
//! so that a plugin is one pure function from a cluster to assignments.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;

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
        path: ["../../wit/common", "../../wit/host", "../../wit/load-balancer"],
        world: "k3s:load-balancer/load-balancer",
        default_bindings_module: "k3s_plugin_sdk::load_balancer::bindings",
        additional_derives: [PartialEq, Eq],
    });
}

pub use bindings::exports::k3s::load_balancer::balancer::{
    Assignment, Error, Forward, Ingress, IpMode, Mask, Problem, ReadyNodes,
};

/// What is known of the cluster, through the plugin's eyes.
#[derive(Debug)]
pub struct Cluster<S, N> {
    /// Services of type LoadBalancer, by `namespace/name`.
    pub services: BTreeMap<String, S>,
    /// By name.
    pub nodes: BTreeMap<String, N>,
    /// Nodes with a ready endpoint, by Service.
    pub ready: BTreeMap<String, BTreeSet<String>>,
}

/// A load balancer.
pub trait LoadBalancer: Sized + 'static {
    /// The operator's settings. The server always gives `reserved`, ports that no Service may take.
    type Config: DeserializeOwned + Default;
    /// What the plugin reads of a Service: serde ignores the rest.
    type Service: DeserializeOwned + 'static;
    /// What the plugin reads of a node.
    type Node: DeserializeOwned + 'static;

    /// What `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;
    /// The fields of [`LoadBalancer::Service`], as dotted paths: the host passes no others, and calls
    /// only when one of them changes. Name and namespace always come.
    const SERVICE_FIELDS: &'static [&'static str];
    /// The same of [`LoadBalancer::Node`].
    const NODE_FIELDS: &'static [&'static str];

    /// Takes the configuration; an error is one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, String>;
    /// Every Service's assignment. The same cluster must give the same answer.
    fn assign(&self, cluster: &Cluster<Self::Service, Self::Node>) -> Vec<Assignment>;
}

/// What an instance was told and what it answered: the host wants differences only.
pub struct Books<P: LoadBalancer> {
    plugin: P,
    cluster: Cluster<P::Service, P::Node>,
    /// Something is new since the plugin was asked.
    changed: bool,
    /// Answers that are new, until the host takes them.
    due: Vec<Assignment>,
    /// The last answer of each Service.
    said: BTreeMap<String, Assignment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
}

impl<P: LoadBalancer> Books<P> {
    /// Of a fresh instance.
    pub fn new(plugin: P) -> Self {
        let cluster = Cluster {
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            ready: BTreeMap::new(),
        };
        Self {
            plugin,
            cluster,
            changed: false,
            due: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    /// Takes Services.
    ///
    /// # Errors
    /// About the first that cannot be read; the others were taken.
    pub fn upsert_services(&mut self, objects: &[Vec<u8>]) -> Result<(), Error> {
        self.changed = true;
        let services = &mut self.cluster.services;
        each(objects, |json| {
            let (named, service) = read(json).map_err(|why| format!("a Service: {why}"))?;
            services.insert(format!("{}/{}", named.namespace, named.name), service);
            Ok(())
        })
    }

    /// Takes nodes.
    ///
    /// # Errors
    /// About the first that cannot be read; the others were taken.
    pub fn upsert_nodes(&mut self, objects: &[Vec<u8>]) -> Result<(), Error> {
        self.changed = true;
        let nodes = &mut self.cluster.nodes;
        each(objects, |json| {
            let (named, node) = read(json).map_err(|why| format!("a Node: {why}"))?;
            nodes.insert(named.name, node);
            Ok(())
        })
    }

    /// Forgets Services, and what was said of them.
    pub fn remove_services(&mut self, keys: &[String]) {
        self.changed = true;
        for key in keys {
            self.cluster.services.remove(key);
            self.cluster.ready.remove(key);
            self.said.remove(key);
        }
    }

    /// Forgets nodes.
    pub fn remove_nodes(&mut self, names: &[String]) {
        self.changed = true;
        for name in names {
            self.cluster.nodes.remove(name);
        }
    }

    /// Replaces what is known of endpoints.
    pub fn set_ready_nodes(&mut self, services: Vec<ReadyNodes>) {
        self.changed = true;
        let ready = services
            .into_iter()
            .map(|ready| (ready.service, ready.nodes.into_iter().collect()));
        self.cluster.ready.extend(ready);
    }

    /// At most `limit` answers that are new.
    pub fn assign(&mut self, limit: u32) -> Vec<Assignment> {
        if std::mem::take(&mut self.changed) {
            let (known, said) = (&self.cluster.services, &self.said);
            let is_new =
                |a: &Assignment| known.contains_key(&a.service) && said.get(&a.service) != Some(a);
            self.due = self
                .plugin
                .assign(&self.cluster)
                .into_iter()
                .filter(is_new)
                .collect();
        }
        let count = self
            .due
            .len()
            .min(usize::try_from(limit).unwrap_or(usize::MAX));
        let now: Vec<Assignment> = self.due.drain(..count).collect();
        self.said.extend(
            now.iter()
                .map(|assignment| (assignment.service.clone(), assignment.clone())),
        );
        now
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<(Metadata, T), String> {
    let named: Named = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let object = serde_json::from_slice(json)
        .map_err(|error| format!("{}: {error}", named.metadata.name))?;
    Ok((named.metadata, object))
}

fn each(
    objects: &[Vec<u8>],
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), Error> {
    let mut result = Ok(());
    for object in objects {
        if let Err(why) = take(object) {
            result = result.and(Err(Error::Invalid(why)));
        }
    }
    result
}

/// The mask of two lists of fields; the macro calls it.
#[must_use]
pub fn mask(services: &[&str], nodes: &[&str]) -> Mask {
    let owned = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    Mask {
        services: owned(services),
        nodes: owned(nodes),
    }
}

/// Makes a type that implements [`LoadBalancer`] the component's.
#[macro_export]
macro_rules! export_load_balancer {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::load_balancer::bindings::exports::k3s::common::plugin as common;
            use $crate::load_balancer::bindings::exports::k3s::load_balancer::balancer as contract;
            use $crate::load_balancer::{Books, LoadBalancer};

            $crate::__instance!($plugin, Books<$plugin>, Books::<$plugin>::new);

            impl contract::Guest for Exported {
                fn wanted() -> contract::Mask {
                    $crate::load_balancer::mask(<$plugin>::SERVICE_FIELDS, <$plugin>::NODE_FIELDS)
                }

                fn upsert_services(objects: Vec<Vec<u8>>) -> Result<(), contract::Error> {
                    with(|books| books.upsert_services(&objects))
                }

                fn remove_services(keys: Vec<String>) {
                    with(|books| books.remove_services(&keys));
                }

                fn upsert_nodes(objects: Vec<Vec<u8>>) -> Result<(), contract::Error> {
                    with(|books| books.upsert_nodes(&objects))
                }

                fn remove_nodes(names: Vec<String>) {
                    with(|books| books.remove_nodes(&names));
                }

                fn set_ready_nodes(services: Vec<contract::ReadyNodes>) {
                    with(|books| books.set_ready_nodes(services));
                }

                fn assign(limit: u32) -> Vec<contract::Assignment> {
                    with(|books| books.assign(limit))
                }
            }

    $crate::load_balancer::bindings::export_raw!(Exported with_types_in $crate::load_balancer::bindings);
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

        fn new((): ()) -> Result<Self, String> {
            Ok(Self)
        }

        fn assign(&self, cluster: &Cluster<Self::Service, Self::Node>) -> Vec<Assignment> {
            let forward = |node: &String| Forward {
                node: node.clone(),
                addresses: Vec::new(),
            };
            let one = |service: &String| Assignment {
                service: service.clone(),
                claimed: true,
                ingress: Vec::new(),
                forwards: cluster.nodes.keys().map(forward).collect(),
                problems: Vec::new(),
            };
            cluster.services.keys().map(one).collect()
        }
    }

    fn object(namespace: &str, name: &str) -> Vec<u8> {
        format!(r#"{{"metadata": {{"namespace": "{namespace}", "name": "{name}"}}}}"#).into_bytes()
    }

    #[test]
    fn only_differences_are_answered_and_in_portions() {
        let mut books = Books::new(Everything);
        books
            .upsert_services(&[object("n", "a"), object("n", "b"), object("n", "c")])
            .unwrap();
        assert_eq!(
            (
                books.assign(2).len(),
                books.assign(2).len(),
                books.assign(2).len()
            ),
            (2, 1, 0)
        );
        books.upsert_services(&[object("n", "a")]).unwrap();
        assert!(books.assign(10).is_empty(), "nothing differs");
        books.upsert_nodes(&[object("", "one")]).unwrap();
        assert_eq!(books.assign(10).len(), 3);
        books.remove_services(&["n/a".to_owned()]);
        assert!(
            books.assign(10).is_empty(),
            "a Service that is gone is not named"
        );
        books.upsert_services(&[object("n", "a")]).unwrap();
        assert_eq!(books.assign(10).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_costs_nobody_else() {
        let mut books = Books::new(Everything);
        let told = books.upsert_services(&[b"{".to_vec(), object("n", "b")]);
        assert!(matches!(told, Err(Error::Invalid(why)) if why.starts_with("a Service: ")));
        assert_eq!(books.assign(10).len(), 1);
    }
}
