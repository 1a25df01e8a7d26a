//! Garbage collector: deletes objects whose owners are all deleted.
//!
//! Follows every kind that can be listed, watched and deleted (metadata only where no other
//! controller needs the whole). The caches say what may have lost its owner; the decision is taken
//! on live reads, since a stale snapshot must never delete a live object. Foreground deletion and
//! orphaning are finalizers that this controller works off. Kinds that are defined while it runs are
//! followed as they come and go. Upstream: `pkg/controller/garbagecollector`.

mod apply;
mod graph;
mod kinds;
mod orphan;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_client::discovery::Served;
use k3s_client::{Client, Informer, InformerEvent, Obj, Resource, Scope};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use tracing::warn;

use crate::context::Context;
use graph::{Graph, Item};
use kinds::Follower;

const NAME: &str = "garbage-collector-controller";
pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";
/// Between tries to learn which kinds there are.
const DISCOVERY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(10),
    jitter: 0.2,
};
/// How long the first pass waits for all kinds to be listed.
const SYNC: Duration = Duration::from_secs(30);
/// Kinds that other controllers follow whole: sharing that copy is cheaper than a second one.
const SHARED: &[Resource] = {
    use k3s_client::resources::*;
    &[
        CLUSTER_ROLES,
        DAEMON_SETS,
        DEPLOYMENTS,
        ENDPOINT_SLICES,
        ENDPOINTS,
        JOBS,
        STATEFUL_SETS,
        NAMESPACES,
        NODES,
        PODS,
        REPLICA_SETS,
        REPLICATION_CONTROLLERS,
        SERVICE_ACCOUNTS,
        SERVICES,
        POD_DISRUPTION_BUDGETS,
        CONTROLLER_REVISIONS,
    ]
};

struct GarbageCollector {
    client: Client,
    graph: Arc<Graph>,
    queue: k3s_client::WorkQueue<Key>,
}

pub(crate) fn start(context: &Context) {
    let context = context.clone();
    let tasks = context.tasks.clone();
    tasks.spawn_until_stopped("garbage-collector-start", async move {
        let client = context.client("generic-garbage-collector");
        let served = discover(&context, &client).await;
        run(context, client, served).await;
    });
}

/// All of the API has to be known: an owner of an unknown kind could not be looked up.
async fn discover(context: &Context, client: &Client) -> Vec<Served> {
    let mut backoff = DISCOVERY.start();
    loop {
        match client.discover().await {
            Ok((served, failed)) => {
                let is_complete = failed.is_empty() && !served.is_empty();
                if is_complete {
                    return served;
                }
                warn!(?failed, "cannot discover all kinds yet");
            }
            Err(error) => {
                let error = error.chain();
                tracing::debug!(%error, "cannot discover kinds yet");
            }
        }
        let delay = backoff.next_delay(&context.config.random);
        tokio::time::sleep(delay).await;
    }
}

async fn run(context: Context, client: Client, served: Vec<Served>) {
    let graph = Arc::new(Graph::default());
    let controller = Controller::new(NAME).workers(8);
    let queue = controller.queue();
    let collector = GarbageCollector {
        client: client.clone(),
        graph: graph.clone(),
        queue: queue.clone(),
    };
    let mut follower = Follower {
        context: context.clone(),
        client,
        graph,
        queue,
        followed: HashMap::new(),
    };
    follower.adjust(served);
    // The wait is bounded, since a kind may disappear meanwhile; decisions are taken on live reads.
    let synced = tokio::time::timeout(SYNC, follower.synced()).await;
    synced.unwrap_or_else(|_| warn!("not every kind could be listed yet"));
    controller.run(collector, &context.statuses, &context.tasks);
    follower.run().await;
}

/// The informer of a kind: whole objects where a controller reads them, metadata of the rest.
pub(crate) fn informer(context: &Context, resource: &Resource) -> Informer {
    if SHARED.contains(resource) {
        return context.informers.all(resource);
    }
    context.informers.of(resource, Scope::metadata())
}

/// The items that a change can affect.
fn changed(graph: &Graph, number: usize, event: &InformerEvent) -> Vec<Key> {
    let object = event.object();
    let mut keys = Vec::new();
    if event.is_deleted() {
        graph.remove(object.uid());
        keys.extend(dependent_keys(graph, object));
        keys.extend(waiting_owners(graph, object));
        return keys;
    }
    graph.insert(number, object);
    let has_owners = !object.meta().owner_references.is_empty();
    let is_held_by_us = object.is_deleting() && waits_for_us(object);
    if has_owners || is_held_by_us {
        let item = Item::of(number, object);
        keys.push(item.key());
    }
    if let InformerEvent::Updated { old, .. } = event {
        if old.meta().owner_references != object.meta().owner_references {
            keys.extend(waiting_owners(graph, old));
        }
        let deletion_began = object.is_deleting() && !old.is_deleting();
        if deletion_began && object.has_finalizer(FOREGROUND) {
            keys.extend(dependent_keys(graph, object));
        }
    }
    keys
}

fn dependent_keys(graph: &Graph, owner: &Obj) -> Vec<Key> {
    graph
        .dependents(owner.uid())
        .iter()
        .map(Item::key)
        .collect()
}

fn waits_for_us(object: &Obj) -> bool {
    object.has_finalizer(FOREGROUND) || object.has_finalizer(ORPHAN)
}

/// Owners in foreground deletion that may have waited for this object.
fn waiting_owners(graph: &Graph, object: &Obj) -> Vec<Key> {
    let mut waiting = Vec::new();
    for reference in &object.meta().owner_references {
        let Some((item, owner)) = graph.find(&reference.uid) else {
            continue;
        };
        if owner.is_deleting() && owner.has_finalizer(FOREGROUND) {
            waiting.push(item.key());
        }
    }
    waiting
}

impl Reconciler for GarbageCollector {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(item) = Item::parse(key) else {
            return Ok(Outcome::Done);
        };
        let Some(object) = self.graph.get(&item) else {
            return Ok(Outcome::Done);
        };
        if !object.is_deleting() {
            self.collect(&item, &object).await?;
        } else if object.has_finalizer(ORPHAN) {
            self.orphan_dependents(&item, &object).await?;
        } else if object.has_finalizer(FOREGROUND) {
            self.work_off_foreground(&item, &object).await?;
        }
        Ok(Outcome::Done)
    }
}
