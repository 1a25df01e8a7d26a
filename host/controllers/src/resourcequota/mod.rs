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
use serde_json::Value;

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
    let whole = WHOLE
        .into_iter()
        .map(|resource| (resource.clone(), context.informers.all(&resource)));
    let counted = COUNTED
        .into_iter()
        .map(|r| (r.clone(), garbagecollector::informer(context, &r)));
    let counted: Vec<(Resource, Informer)> = whole.chain(counted).collect();
    let mut controller = Controller::new("resourcequota-controller").watch_own(&quotas);
    for (_, informer) in &counted {
        let all = quotas.clone();
        controller = controller.watch(informer, move |event| {
            if !matters(event) {
                return Vec::new();
            }
            all.in_namespace(event.object().namespace())
                .into_iter()
                .map(|quota| quota.key().clone())
                .collect()
        });
    }
    let reconciler = ResourceQuotaController {
        client: context.client("resourcequota-controller"),
        quotas,
        counted,
    };
    controller.run(reconciler, &context.statuses, &context.tasks);
}

/// Whether an event can change what is used: not every status of a pod does.
fn matters(event: &InformerEvent) -> bool {
    let InformerEvent::Updated { old, new } = event else {
        return true;
    };
    let (old, new) = (old.value(), new.value());
    tree::text(old, "status.phase") != tree::text(new, "status.phase")
        || tree::get(old, "spec") != tree::get(new, "spec")
}

impl Reconciler for ResourceQuotaController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(quota) = self.quotas.get(key).filter(|quota| !quota.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        let mut tally = plan::Tally::new(quota.value());
        for (resource, informer) in &self.counted {
            let name = (&*resource.group, &*resource.plural);
            tally.kind(name);
            for object in informer.in_namespace(quota.namespace()) {
                tally.add(name, object.value());
            }
        }
        let quotas = (&*RESOURCE_QUOTAS.group, &*RESOURCE_QUOTAS.plural);
        tally.kind(quotas);
        for object in self.quotas.in_namespace(quota.namespace()) {
            tally.add(quotas, object.value());
        }
        let status: Value = tally.status();
        write::status(&self.client, &RESOURCE_QUOTAS, &quota, status).await?;
        Ok(Outcome::After(RECOUNT))
    }
}
