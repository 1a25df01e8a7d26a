//! ResourceQuota: counts what a namespace uses and writes it into the status that admission charges.
//!
//! A quota is recounted when it changes, when something it may count comes, goes or ends, and from time
//! to time. A count never takes back a charge whose object is still to come ([`plan`]). Upstream:
//! `pkg/controller/resourcequota`.

mod plan;

use std::collections::HashMap;
use std::time::Duration;

use k3s_base::Clock;
use k3s_client::resources::{
    CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, INGRESSES, JOBS, LEASES, NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS,
    SECRETS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS,
};
use k3s_client::{Client, Informer, InformerEvent, Object, Resource};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use parking_lot::Mutex;
use serde_json::Value;

use crate::common::write;
use crate::context::Context;
use crate::garbagecollector;

/// Upstream's `--resource-quota-sync-period`.
const RECOUNT: Duration = Duration::from_secs(300);
/// A charge whose object has not come by then was for nothing: longer than a request may take.
const QUIET: Duration = Duration::from_secs(65);
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
    clock: Clock,
    quotas: Informer,
    counted: Vec<(Resource, Informer)>,
    last: Mutex<HashMap<Key, Last>>,
}

/// What the last count of a quota has found.
struct Last {
    /// The quota's resource version, and since when it is that one.
    version: String,
    since: Duration,
    usage: plan::Usage,
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
        clock: context.clock(),
        quotas,
        counted,
        last: Mutex::default(),
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
    let spec_changed = tree::get(old, "spec") != tree::get(new, "spec");
    phase_changed || spec_changed || actual_resources(old) != actual_resources(new)
}

/// What each container of a pod has, which a resize changes after the spec.
fn actual_resources(pod: &Value) -> Vec<(&str, Option<&Value>)> {
    let lists = ["status.containerStatuses", "status.initContainerStatuses"];
    let statuses = lists.into_iter().flat_map(|list| tree::list(pod, list));
    let of = |status| (tree::text(status, "name"), tree::get(status, "resources"));
    statuses.map(of).collect()
}

impl Reconciler for ResourceQuotaController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(quota) = self.quotas.get(key) else {
            self.last.lock().remove(key);
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
        let (since, before) = self.last(key, &quota);
        let left = (since + QUIET).saturating_sub(self.clock.elapsed());
        let quiet = left.is_zero();
        let settled = tally.settle(quota.value(), &before, quiet);
        write::status(&self.client, &RESOURCE_QUOTAS, &quota, settled.status).await?;
        if let Some(last) = self.last.lock().get_mut(key) {
            last.usage = settled.counted;
        }
        if settled.holds_more {
            return Ok(Outcome::After(left));
        }
        Ok(Outcome::After(RECOUNT))
    }
}

impl ResourceQuotaController {
    /// Since when the quota is as it is, and what it counted the last time.
    fn last(&self, key: &Key, quota: &Object) -> (Duration, plan::Usage) {
        let now = self.clock.elapsed();
        let version = quota.resource_version();
        let mut all = self.last.lock();
        let last = all.entry(key.clone()).or_insert_with(|| Last {
            version: String::new(),
            since: now,
            usage: plan::Usage::new(),
        });
        if last.version != version {
            version.clone_into(&mut last.version);
            last.since = now;
        }
        (last.since, last.usage.clone())
    }
}
