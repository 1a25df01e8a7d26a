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
use k3s_client::{Client, Informer, Object, key};
use k3s_meta::tree;
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
    let (budgets, pods) = (
        context.informers.all(&POD_DISRUPTION_BUDGETS),
        context.informers.all(&PODS),
    );
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
        .watch(&pods, move |event| {
            let pod = event.object();
            let there = of_pods.in_namespace(pod.namespace()).into_iter();
            there
                .filter(|b| selector::of(b).is_ok_and(|s| s.matches_labels(&pod.meta().labels)))
                .map(|b| b.key().clone())
                .collect()
        });
    for informer in sized.values() {
        let all = budgets.clone();
        // A size changes seldom, and a namespace has few budgets.
        controller = controller.watch(informer, move |event| {
            all.in_namespace(event.object().namespace())
                .into_iter()
                .map(|b| b.key().clone())
                .collect()
        });
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

impl Reconciler for DisruptionController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(budget) = self.budgets.get(key).filter(|b| !b.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        let selector = selector::of(&budget)?;
        let mut pods = self.pods.in_namespace(budget.namespace());
        pods.retain(|pod| selector.matches_labels(&pod.meta().labels));
        let expected = self.expected(&pods);
        let (status, wait) = plan::status(budget.value(), &pods, &expected, self.clock.now());
        write::status(&self.client, &POD_DISRUPTION_BUDGETS, &budget, status).await?;
        Ok(wait.map_or(Outcome::Done, Outcome::After))
    }
}

impl DisruptionController {
    /// How many Pods their controllers want in all.
    fn expected(&self, pods: &[Object]) -> Result<i64, NoController> {
        let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
        for pod in pods {
            let found = self.size_of(pod);
            let (uid, size) = found.ok_or_else(|| NoController(pod.name().to_owned()))?;
            sizes.insert(uid, size);
        }
        Ok(sizes.values().sum())
    }

    fn size_of(&self, pod: &Object) -> Option<(String, i64)> {
        let owner = pod.controller()?;
        let mut controller = self
            .sized
            .get(owner.kind.as_str())?
            .get(&key(pod.namespace(), &owner.name))
            .filter(|c| c.uid() == owner.uid)?;
        // The size of a ReplicaSet in a rollout is not what is wanted; its Deployment's is.
        if let Some(above) = controller.controller().filter(|o| o.kind == "Deployment") {
            controller = self
                .sized
                .get("Deployment")?
                .get(&key(pod.namespace(), &above.name))
                .filter(|c| c.uid() == above.uid)?;
        }
        Some((
            controller.uid().to_owned(),
            tree::int(controller.value(), "spec.replicas").unwrap_or(1),
        ))
    }
}
