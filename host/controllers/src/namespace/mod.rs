//! Namespace deletion: everything in it is deleted, Pods first, then the namespace.
//!
//! Watches Namespaces, and Pods so that the end of the last one is noticed at once. Which kinds
//! there are is asked of the API. Upstream: `pkg/controller/namespace/deletion`.

mod apply;
mod plan;

use std::time::Duration;

use k3s_client::resources::{NAMESPACES, PODS};
use k3s_client::{Client, Informer};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

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
    let namespaces = context.informers.all(&NAMESPACES);
    let reconciler = NamespaceController {
        client: context.client("namespace-controller"),
        clock: context.clock(),
        namespaces: namespaces.clone(),
    };
    let of_pods = namespaces.clone();
    Controller::new("namespace-controller")
        .workers(5)
        .watch(&namespaces, |event| {
            let ending = !event.is_deleted() && event.object().is_deleting();
            ending
                .then(|| event.object().key().clone())
                .into_iter()
                .collect()
        })
        .watch(&context.informers.all(&PODS), move |event| {
            let namespace = of_pods
                .get(event.object().namespace())
                .filter(|ns| event.is_deleted() && ns.is_deleting());
            namespace.map(|ns| ns.key().clone()).into_iter().collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for NamespaceController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if self.namespaces.get(key).is_none() {
            return Ok(Outcome::Done);
        }
        // The decision to delete everything is never taken from a cache.
        let namespace = match self.client.get(&NAMESPACES, None, key).await {
            Ok(namespace) if namespace.is_deleting() => namespace,
            Ok(_) => return Ok(Outcome::Done),
            Err(error) if error.is_not_found() => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        };
        let finalizers = tree::list(namespace.value(), "spec.finalizers");
        if !finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(Outcome::Done);
        }
        let found = self.empty(key).await?;
        if !found.is_empty() {
            let status = plan::status(namespace.value(), &found, &self.clock.now_rfc3339());
            crate::common::write::status(&self.client, &NAMESPACES, &namespace, status).await?;
            return Ok(Outcome::After(AGAIN));
        }
        let rest: Vec<Value> = finalizers
            .iter()
            .filter(|f| *f != FINALIZER)
            .cloned()
            .collect();
        let mut body = namespace.value().clone();
        tree::set(&mut body, "spec.finalizers", rest);
        match self
            .client
            .update_subresource(&NAMESPACES, None, "finalize", &body)
            .await
        {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Outcome::Done),
        }
    }
}
