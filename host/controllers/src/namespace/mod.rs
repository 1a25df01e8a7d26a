//! Namespace deletion: everything in it is deleted, Pods first, then the namespace.
//!
//! Watches Namespaces, and Pods so that the end of the last one is noticed at once. Which kinds
//! there are is asked of the API. Upstream: `pkg/controller/namespace/deletion`.

mod apply;
mod plan;

use std::time::Duration;

use k3s_client::resources::{NAMESPACES, PODS};
use k3s_client::{Client, Informer, InformerEvent, Object};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::write;
use crate::context::Context;

pub(super) const FINALIZER: &str = "kubernetes";
/// How soon to check again while content remains. Most of it is deleted at once; what has finalizers or
/// grace takes its time.
const AGAIN: Duration = Duration::from_secs(2);

struct NamespaceController {
    client: Client,
    clock: k3s_base::Clock,
    namespaces: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("namespace-controller");
    let namespaces = context.informers.all(&NAMESPACES);
    let pods = context.informers.all(&PODS);
    let reconciler = NamespaceController {
        client,
        clock: context.clock(),
        namespaces: namespaces.clone(),
    };
    let of_pods = namespaces.clone();
    Controller::new("namespace-controller")
        .workers(5)
        .watch(&namespaces, namespace_changed)
        .watch(&pods, move |event| pod_gone(event, &of_pods))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn namespace_changed(event: &InformerEvent) -> Vec<Key> {
    let namespace = event.object();
    if event.is_deleted() || !namespace.is_deleting() {
        return Vec::new();
    }
    vec![namespace.key().clone()]
}

fn pod_gone(event: &InformerEvent, namespaces: &Informer) -> Vec<Key> {
    if !event.is_deleted() {
        return Vec::new();
    }
    let pod = event.object();
    match namespaces.get(pod.namespace()) {
        Some(namespace) if namespace.is_deleting() => vec![namespace.key().clone()],
        _ => Vec::new(),
    }
}

impl Reconciler for NamespaceController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if self.namespaces.get(key).is_none() {
            return Ok(Outcome::Done);
        }
        // The decision to delete everything is never taken from a cache.
        let namespace = match self.client.get(&NAMESPACES, None, key).await {
            Ok(namespace) => namespace,
            Err(error) if error.is_not_found() => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        };
        if !namespace.is_deleting() || !is_held(&namespace) {
            return Ok(Outcome::Done);
        }
        let found = self.empty(key).await?;
        if found.is_empty() {
            self.finalize(&namespace).await?;
            return Ok(Outcome::Done);
        }
        let now = self.clock.now_rfc3339();
        let status = plan::status(namespace.value(), &found, &now);
        write::status(&self.client, &NAMESPACES, &namespace, status).await?;
        Ok(Outcome::After(AGAIN))
    }
}

/// Whether the namespace still waits for this controller.
fn is_held(namespace: &Object) -> bool {
    tree::list(namespace.value(), "spec.finalizers")
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

impl NamespaceController {
    /// Gives up this controller's hold on an empty namespace.
    async fn finalize(&self, namespace: &Object) -> Result<(), Error> {
        let rest: Vec<Value> = tree::list(namespace.value(), "spec.finalizers")
            .iter()
            .filter(|finalizer| *finalizer != FINALIZER)
            .cloned()
            .collect();
        let mut body = namespace.value().clone();
        tree::set(&mut body, "spec.finalizers", rest);
        let finalized = self
            .client
            .update_subresource(&NAMESPACES, None, "finalize", &body)
            .await;
        match finalized {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
