//! Kinds that come and go with their definitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k3s_client::discovery::Served;
use k3s_client::resources::CUSTOM_RESOURCE_DEFINITIONS;
use k3s_client::{Client, Informer, Resource, Scope, WorkQueue};
use k3s_lifecycle::CancellationToken;
use k3s_reconcile::Key;
use tracing::debug;

use super::graph::Graph;
use super::{changed, discover, informer};
use crate::context::Context;

/// How long to gather changes of definitions: a chart brings dozens at once, and each changes a few times.
const GATHER: Duration = Duration::from_millis(300);

/// A kind that is followed.
pub(super) struct Followed {
    number: usize,
    informer: Informer,
    stop: CancellationToken,
}

/// Brings the followed kinds in line with those that are served.
pub(super) struct Follower {
    pub(super) context: Context,
    pub(super) client: Client,
    pub(super) graph: Arc<Graph>,
    pub(super) queue: WorkQueue<Key>,
    pub(super) followed: HashMap<Resource, Followed>,
}

/// The kinds whose objects can have owners and be collected.
fn to_follow(served: &[Served]) -> HashSet<Resource> {
    let mut followed = HashSet::new();
    for kind in served {
        let is_collectable = kind.takes(&["list", "watch", "delete"]);
        if is_collectable && kind.resource.plural != "events" {
            followed.insert(kind.resource.clone());
        }
    }
    followed
}

impl Follower {
    pub(super) async fn run(mut self) {
        let definitions = self
            .context
            .informers
            .of(&CUSTOM_RESOURCE_DEFINITIONS, Scope::metadata());
        let mut changes = definitions.subscribe();
        loop {
            changes.next().await;
            tokio::time::sleep(GATHER).await;
            while changes.try_next().is_some() {}
            let served = discover(&self.context, &self.client).await;
            self.adjust(served);
        }
    }

    /// Waits until every followed kind was listed once.
    pub(super) async fn synced(&self) {
        for followed in self.followed.values() {
            followed.informer.has_synced().await;
        }
    }

    pub(super) fn adjust(&mut self, served: Vec<Served>) {
        let wanted = to_follow(&served);
        let kinds = served.into_iter().map(|kind| kind.resource).collect();
        self.graph.set_kinds(kinds);
        let gone: Vec<Resource> = self
            .followed
            .keys()
            .filter(|kind| !wanted.contains(*kind))
            .cloned()
            .collect();
        for kind in gone {
            if let Some(followed) = self.followed.remove(&kind) {
                debug!(%kind, "no longer followed");
                followed.stop.cancel();
                self.graph.drop_kind(followed.number);
            }
        }
        for kind in wanted {
            if !self.followed.contains_key(&kind) {
                debug!(%kind, "followed");
                self.follow(kind);
            }
        }
    }

    fn follow(&mut self, kind: Resource) {
        let informer = informer(&self.context, &kind);
        let number = self.graph.add(informer.clone());
        let stop = CancellationToken::new();
        let graph = self.graph.clone();
        let queue = self.queue.clone();
        let source = informer.clone();
        let stopped = stop.clone();
        self.context
            .tasks
            .spawn_until_stopped("garbage-collector-source", async move {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = feed(source, &graph, number, &queue) => {}
                }
            });
        // Owners of this kind could not be looked up before.
        for item in self.graph.owned_by(&kind) {
            self.queue.add(item.key());
        }
        self.followed.insert(
            kind,
            Followed {
                number,
                informer,
                stop,
            },
        );
    }
}

async fn feed(informer: Informer, graph: &Graph, number: usize, queue: &WorkQueue<Key>) {
    let mut changes = informer.subscribe();
    // The subscription keeps the informer alive; with both gone, its reflector stops.
    drop(informer);
    loop {
        let event = changes.next().await;
        changed(graph, number, &event)
            .into_iter()
            .for_each(|key| queue.add(key));
    }
}
