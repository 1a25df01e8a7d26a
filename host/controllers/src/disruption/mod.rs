//! PodDisruptionBudget: how many Pods may be evicted now. The eviction subresource reads and spends
//! what this controller writes into the status.
//!
//! Watches budgets, Pods, and the controllers whose size says how many Pods are expected. Upstream:
//! `pkg/controller/disruption`.

mod plan;

use std::collections::BTreeMap;

use k3s_client::resources::{
    DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS,
};
use k3s_client::{Client, Informer, InformerEvent, Object, key};
use k3s_meta::{OwnerReference, tree};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::{selector, write};
use crate::context::Context;
use plan::NoController;

struct DisruptionController {
    client: Client,
    clock: k3s_base::Clock,
    budgets: Informer,
    pods: Informer,
    /// Informers of the kinds that control Pods and have a size, by kind.
    sized: BTreeMap<&'static str, Informer>,
}

pub(crate) fn start(context: &Context) {
    let budgets = context.informers.all(&POD_DISRUPTION_BUDGETS);
    let pods = context.informers.all(&PODS);
    let sized: BTreeMap<&'static str, Informer> = [
        ("Deployment", DEPLOYMENTS),
        ("ReplicaSet", REPLICA_SETS),
        ("ReplicationController", REPLICATION_CONTROLLERS),
        ("StatefulSet", STATEFUL_SETS),
    ]
    .into_iter()
    .map(|(kind, resource)| (kind, context.informers.all(&resource)))
    .collect();
    let of_pods = budgets.clone();
    let mut controller = Controller::new("disruption-controller")
        .watch_own(&budgets)
        .watch(&pods, move |event| pod_changed(event, &of_pods));
    for informer in sized.values() {
        let of_sized = budgets.clone();
        controller = controller.watch(informer, move |event| size_changed(event, &of_sized));
    }
    let reconciler = DisruptionController {
        client: context.client("disruption-controller"),
        clock: context.clock(),
        budgets,
        pods,
        sized,
    };
    controller.run(reconciler, &context.statuses, &context.tasks);
}

fn pod_changed(event: &InformerEvent, budgets: &Informer) -> Vec<Key> {
    let pod = event.object();
    let labels = &pod.meta().labels;
    budgets
        .in_namespace(pod.namespace())
        .into_iter()
        .filter(|budget| selector::selects(budget, labels))
        .map(|budget| budget.key().clone())
        .collect()
}

/// Every budget of the namespace: a size changes seldom, and a namespace has few budgets.
fn size_changed(event: &InformerEvent, budgets: &Informer) -> Vec<Key> {
    let namespace = event.object().namespace();
    budgets
        .in_namespace(namespace)
        .into_iter()
        .map(|budget| budget.key().clone())
        .collect()
}

impl Reconciler for DisruptionController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(budget) = self.budgets.get(key) else {
            return Ok(Outcome::Done);
        };
        if budget.is_deleting() {
            return Ok(Outcome::Done);
        }
        let selector = selector::of(&budget)?;
        let mut pods = self.pods.in_namespace(budget.namespace());
        pods.retain(|pod| {
            let labels = &pod.meta().labels;
            selector.matches_labels(labels)
        });
        let expected = self.expected(&pods);
        let now = self.clock.now();
        let (status, wait) = plan::status(budget.value(), &pods, &expected, now);
        write::status(&self.client, &POD_DISRUPTION_BUDGETS, &budget, status).await?;
        match wait {
            Some(wait) => Ok(Outcome::After(wait)),
            None => Ok(Outcome::Done),
        }
    }
}

impl DisruptionController {
    /// How many Pods their controllers want in all.
    fn expected(&self, pods: &[Object]) -> Result<i64, NoController> {
        let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
        for pod in pods {
            let Some((uid, size)) = self.size_of(pod) else {
                let name = pod.name().to_owned();
                return Err(NoController(name));
            };
            sizes.insert(uid, size);
        }
        Ok(sizes.values().sum())
    }

    fn size_of(&self, pod: &Object) -> Option<(String, i64)> {
        let namespace = pod.namespace();
        let owner = pod.controller()?;
        let mut controller = self.named(namespace, owner)?;
        // The size of a ReplicaSet in a rollout is not what is wanted; its Deployment's is.
        if let Some(above) = controller.controller()
            && above.kind == "Deployment"
        {
            controller = self.named(namespace, above)?;
        }
        let uid = controller.uid().to_owned();
        let size = tree::int(controller.value(), "spec.replicas").unwrap_or(1);
        Some((uid, size))
    }

    /// The very object that a reference names, if it is of a kind with a size.
    fn named(&self, namespace: &str, owner: &OwnerReference) -> Option<Object> {
        let informer = self.sized.get(owner.kind.as_str())?;
        let found = informer.get(&key(namespace, &owner.name))?;
        if found.uid() != owner.uid {
            return None;
        }
        Some(found)
    }
}
