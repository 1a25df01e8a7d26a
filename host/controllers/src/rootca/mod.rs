//! The ConfigMap `kube-root-ca.crt` of every namespace: what Pods check the API server with.

use k3s_client::resources::{CONFIG_MAPS, NAMESPACES};
use k3s_client::{Client, Informer, Scope};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::context::Context;

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

struct RootCaPublisher {
    client: Client,
    pem: String,
    namespaces: Informer,
    published: Informer,
}

pub(crate) fn start(context: &Context) {
    let namespaces = context.informers.all(&NAMESPACES);
    let scope = Scope::fields(format!("metadata.name={NAME}"));
    let published = context.informers.of(&CONFIG_MAPS, scope);
    let reconciler = RootCaPublisher {
        client: context.client("root-ca-cert-publisher"),
        pem: context.config.root_ca_pem.clone(),
        namespaces: namespaces.clone(),
        published: published.clone(),
    };
    Controller::new("root-ca-certificate-publisher-controller")
        .watch_own(&namespaces)
        .watch(&published, |event| {
            let namespace = event.object().namespace();
            vec![namespace.into()]
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

/// The bundle that a ConfigMap holds.
fn published_pem(map: &Value) -> Option<&str> {
    tree::map(map, "data").get("ca.crt")?.as_str()
}

impl Reconciler for RootCaPublisher {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(namespace) = self.namespaces.get(key) else {
            return Ok(Outcome::Done);
        };
        if namespace.is_deleting() {
            return Ok(Outcome::Done);
        }
        let there = self.published.get(&format!("{key}/{NAME}"));
        let written = match there {
            Some(there) => {
                if published_pem(there.value()) == Some(self.pem.as_str()) {
                    return Ok(Outcome::Done);
                }
                let mut body = there.value().clone();
                tree::set(&mut body, "data", json!({"ca.crt": self.pem}));
                self.client.update(&CONFIG_MAPS, Some(key), &body).await
            }
            None => {
                let body = config_map(key, &self.pem);
                self.client.create(&CONFIG_MAPS, Some(key), &body).await
            }
        };
        match written {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_already_exists() => Ok(Outcome::Done),
            Err(error) if error.is_namespace_terminating() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

fn config_map(namespace: &str, pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "annotations": {
                "kubernetes.io/description": DESCRIPTION,
            },
        },
        "data": {
            "ca.crt": pem,
        },
    })
}
