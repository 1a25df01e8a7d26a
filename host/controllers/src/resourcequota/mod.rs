//! ResourceQuota: counts what a namespace uses and writes it into the status that admission charges.
//!
//! A quota is recounted when it changes, when something it may count comes, goes or ends, and from time
//! to time, which gives back what was charged for objects that were never stored. Upstream:
//! `pkg/controller/resourcequota`.

mod plan;

use std::time::Duration;

use k3s_client::resources::{
    CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, INGRESSES, JOBS, LEASES, NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS,
    SECRETS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS,
};
use k3s_client::{Client, Informer, InformerEvent, Resource};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::write;
use crate::context::Context;
use crate::garbagecollector;

/// Upstream's `--resource-quota-sync-period`.
const RECOUNT: Duration = Duration::from_secs(300);
/// Kinds of which more than the number matters.
const WHOLE: [Resource; 3] = [PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS];
/// Kinds that are only counted. A quota on another kind keeps no use of it, and admission says so.
const COUNTED: [Resource; 13] = [
    CONFIG_MAPS,
    SECRETS,
    REPLICATION_CONTROLLERS,
    SERVICE_ACCOUNTS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    DAEMON_SETS,
    JOBS,
    CRON_JOBS,
    INGRESSES,
    NETWORK_POLICIES,
    LEASES,
];

struct ResourceQuotaController {
    client: Client,
    quotas: Informer,
    counted: Vec<(Resource, Informer)>,
}

pub(crate) fn start(context: &Context) {
    let quotas = context.informers.all(&RESOURCE_QUOTAS);
    let mut counted: Vec<(Resource, Informer)> = Vec::new();
    for resource in WHOLE {
        let informer = context.informers.all(&resource);
        counted.push((resource, informer));
    }
    for resource in COUNTED {
        let informer = garbagecollector::informer(context, &resource);
        counted.push((resource, informer));
    }
    let mut controller = Controller::new("resourcequota-controller").watch_own(&quotas);
    for (_, informer) in &counted {
        let of_counted = quotas.clone();
        controller = controller.watch(informer, move |event| counted_changed(event, &of_counted));
    }
    let reconciler = ResourceQuotaController {
        client: context.client("resourcequota-controller"),
        quotas,
        counted,
    };
    controller.run(reconciler, &context.statuses, &context.tasks);
}

fn counted_changed(event: &InformerEvent, quotas: &Informer) -> Vec<Key> {
    if !matters(event) {
        return Vec::new();
    }
    let namespace = event.object().namespace();
    quotas
        .in_namespace(namespace)
        .into_iter()
        .map(|quota| quota.key().clone())
        .collect()
}

/// Whether an event can change what is used: not every status of a pod does.
fn matters(event: &InformerEvent) -> bool {
    let InformerEvent::Updated { old, new } = event else {
        return true;
    };
    let old = old.value();
    let new = new.value();
    let phase_changed = tree::text(old, "status.phase") != tree::text(new, "status.phase");
    phase_changed || tree::get(old, "spec") != tree::get(new, "spec")
}

impl Reconciler for ResourceQuotaController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(quota) = self.quotas.get(key) else {
            return Ok(Outcome::Done);
        };
        if quota.is_deleting() {
            return Ok(Outcome::Done);
        }
        let namespace = quota.namespace();
        let mut tally = plan::Tally::new(quota.value());
        let quotas = (&RESOURCE_QUOTAS, &self.quotas);
        let counted = self
            .counted
            .iter()
            .map(|(resource, informer)| (resource, informer));
        for (resource, informer) in counted.chain([quotas]) {
            let kind = (&*resource.group, &*resource.plural);
            tally.kind(kind);
            for object in informer.in_namespace(namespace) {
                tally.add(kind, object.value());
            }
        }
        let status = tally.status();
        write::status(&self.client, &RESOURCE_QUOTAS, &quota, status).await?;
        Ok(Outcome::After(RECOUNT))
    }
}
