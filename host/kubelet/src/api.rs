//! What the node reads from the API on behalf of its pods: ConfigMaps, Secrets, Services and
//! RuntimeClasses. It knows nothing of the pods' workers, so that containers, volumes and images
//! can share it.

use k3s_client::{Client, Informer, Informers, Resource, Scope, Subscription, resources};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// An `optional` reference may ignore this.
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("failed to fetch {kind} {namespace}/{name}")]
    Fetch {
        kind: &'static str,
        namespace: String,
        name: String,
        #[source]
        source: k3s_client::Error,
    },
}

/// A ConfigMap or Secret whose content a pod's files are made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reference {
    ConfigMap(String),
    Secret(String),
}

/// A source of files under observation; dropping it ends the observation.
pub(crate) struct Followed {
    _informer: Informer,
    subscription: Subscription,
}

impl Followed {
    /// Resolves when the object changes.
    pub(crate) async fn changed(&mut self) {
        self.subscription.next().await;
    }
}

/// The node's view of the API, under the node's own identity.
#[derive(Debug)]
pub(crate) struct ApiReader {
    client: Client,
    services: Informer,
    informers: Informers,
}

impl ApiReader {
    pub(crate) fn new(client: Client, informers: Informers) -> Self {
        Self {
            client,
            services: informers.all(&resources::SERVICES),
            informers,
        }
    }

    /// Resolves once the Services are known.
    pub(crate) async fn services_synced(&self) {
        self.services.has_synced().await;
    }

    /// Services whose variables a pod of `namespace` may get: the namespace's own and `kubernetes`.
    pub(crate) fn services(&self, namespace: &str) -> Vec<Service> {
        let own = self.services.in_namespace(namespace).into_iter();
        let master = self.services.get("default/kubernetes");
        let master = master.filter(|_| namespace != "default");
        own.chain(master)
            .filter_map(|object| object.decode().ok())
            .collect()
    }

    /// A ConfigMap, as it is now.
    pub(crate) async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<ConfigMap, ReadError> {
        self.fetch(&resources::CONFIG_MAPS, "configmap", namespace, name)
            .await
    }

    /// A Secret, as it is now.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, ReadError> {
        self.fetch(&resources::SECRETS, "secret", namespace, name)
            .await
    }

    /// The handler that a RuntimeClass names.
    pub(crate) async fn runtime_handler(&self, class: &str) -> Result<String, k3s_client::Error> {
        let object = self
            .client
            .get(&resources::RUNTIME_CLASSES, None, class)
            .await?;
        let handler = object.value().get("handler").and_then(Value::as_str);
        Ok(handler.unwrap_or_default().to_owned())
    }

    /// Follows the changes of one ConfigMap or Secret.
    pub(crate) fn follow(&self, namespace: &str, reference: &Reference) -> Followed {
        let (resource, name) = match reference {
            Reference::ConfigMap(name) => (&resources::CONFIG_MAPS, name),
            Reference::Secret(name) => (&resources::SECRETS, name),
        };
        let scope = Scope::fields(format!("metadata.name={name}")).in_namespace(namespace);
        let informer = self.informers.of(resource, scope);
        Followed {
            subscription: informer.subscribe(),
            _informer: informer,
        }
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        kind: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<T, ReadError> {
        let found = self.client.get(resource, Some(namespace), name).await;
        let decoded = found.and_then(|object| object.decode());
        decoded.map_err(|source| {
            if source.is_not_found() {
                return ReadError::NotFound {
                    kind,
                    name: name.to_owned(),
                };
            }
            ReadError::Fetch {
                kind,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                source,
            }
        })
    }
}

/// A missing object is nothing where the reference is `optional`.
pub(crate) fn unless_optional<T>(
    found: Result<T, ReadError>,
    optional: Option<bool>,
) -> Result<Option<T>, ReadError> {
    match found {
        Err(ReadError::NotFound { .. }) if optional == Some(true) => Ok(None),
        other => other.map(Some),
    }
}
