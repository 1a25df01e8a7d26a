//! What every part of the kubelet shares: configuration, connections, caches and the tables of
//! running pods.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use k3s_client::{Client, Informer, Informers, Resource, resources};
use k3s_lifecycle::Tasks;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use serde::de::DeserializeOwned;

use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::container::security::Features;
use crate::cri::Cri;
use crate::events::Events;
use crate::image::Images;
use crate::node::NodeState;
use crate::pod::table::Table;
use crate::volume::token::Tokens;

/// The shared handle.
pub(crate) type Ctx = Arc<Context>;

/// See the module.
pub(crate) struct Context {
    pub(crate) config: KubeletConfig,
    pub(crate) client: Client,
    /// May set what NodeRestriction denies to the node.
    pub(crate) supervisor: Option<Client>,
    pub(crate) informers: Informers,
    pub(crate) services: Informer,
    /// Pods bound to this node, mirrors among them.
    pub(crate) pod_objects: Informer,
    /// Asks the manager to compare the table with what should be there.
    pub(crate) resync: tokio::sync::Notify,
    pub(crate) cri: Cri,
    /// Prefix of container ids.
    pub(crate) runtime_name: String,
    /// `name://version`.
    pub(crate) runtime_version: String,
    pub(crate) events: Events,
    pub(crate) node: NodeState,
    pub(crate) cgroups: Cgroups,
    pub(crate) images: Images,
    pub(crate) tokens: Tokens,
    pub(crate) pods: Table,
    pub(crate) tasks: Tasks,
    pub(crate) port: AtomicU16,
}

/// Why an object could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// It does not exist (an `optional` reference may ignore that).
    pub(crate) missing: bool,
    pub(crate) message: String,
}

impl Context {
    /// The port HTTPS is served on.
    pub(crate) fn port(&self) -> u16 {
        self.port.load(Ordering::SeqCst)
    }

    /// What the runtime can do.
    pub(crate) fn features(&self) -> Features {
        self.node.features()
    }

    /// Services whose variables a pod of `namespace` may get: the namespace's own and `kubernetes`.
    pub(crate) fn services(&self, namespace: &str) -> Vec<Service> {
        let own = self.services.in_namespace(namespace).into_iter();
        let master = self
            .services
            .get("default/kubernetes")
            .filter(|_| namespace != "default");
        own.chain(master)
            .filter_map(|object| object.decode().ok())
            .collect()
    }

    /// A ConfigMap, as it is now.
    pub(crate) async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<ConfigMap, Lookup> {
        self.fetch(&resources::CONFIG_MAPS, "configmap", namespace, name)
            .await
    }

    /// A Secret, as it is now.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, Lookup> {
        self.fetch(&resources::SECRETS, "secret", namespace, name)
            .await
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        what: &str,
        namespace: &str,
        name: &str,
    ) -> Result<T, Lookup> {
        match self.client.get(resource, Some(namespace), name).await {
            Ok(object) => object.decode().map_err(|e| Lookup {
                missing: false,
                message: e.to_string(),
            }),
            Err(error) if error.is_not_found() => Err(Lookup {
                missing: true,
                message: format!("{what} \"{name}\" not found"),
            }),
            Err(error) => Err(Lookup {
                missing: false,
                message: format!("failed to fetch {what} {namespace}/{name}: {error}"),
            }),
        }
    }
}
