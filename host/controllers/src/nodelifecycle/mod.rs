//! Node lifecycle: a node that no longer renews its lease becomes Unknown, is tainted, and its
//! Pods leave after what they tolerate.
//!
//! Watches Nodes, Leases of `kube-node-lease`, and Pods. A healthy node is checked only when its
//! lease would run out. After a start of this server no node is judged by leases that could not be
//! renewed while it was down: grace counts from the moment this process first saw the node.
//! Upstream: `pkg/controller/nodelifecycle`, `pkg/controller/tainteviction`.

mod eviction;
mod plan;
mod taints;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_client::informer::BY_NODE;
use k3s_client::resources::{LEASES, NODES, PODS};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Obj, Object, Patch, Scope};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use parking_lot::Mutex;
use serde_json::json;

use crate::common::{pod, write};
use crate::context::Context;
use plan::Health;

/// No news for so long makes a node Unknown (upstream's default of 50 s).
const GRACE: Duration = Duration::from_secs(50);
const LEASE_NAMESPACE: &str = "kube-node-lease";

struct NodeLifecycleController {
    client: Client,
    clock: Clock,
    recorder: EventRecorder,
    nodes: Informer,
    pods: Informer,
    /// When news of a node last came, by this process' own clock. Bounded by the nodes.
    news: Arc<Mutex<HashMap<Key, News>>>,
}

/// What was last heard of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct News {
    renewed: String,
    heartbeat: String,
    at: Duration,
}

pub(crate) fn start(context: &Context) {
    eviction::start(context);
    let client = context.client("node-controller");
    let nodes = context.informers.all(&NODES);
    let scope = Scope::all().in_namespace(LEASE_NAMESPACE);
    let leases = context.informers.of(&LEASES, scope);
    let pods = context.informers.all(&PODS);
    let news: Arc<Mutex<HashMap<Key, News>>> = Arc::default();
    let reconciler = NodeLifecycleController {
        recorder: context.recorder(&client, "node-controller"),
        client,
        clock: context.clock(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        news: news.clone(),
    };
    let cache = nodes.clone();
    let clock = context.clock();
    Controller::new("node-lifecycle-controller")
        .watch_own(&nodes)
        .watch(&leases, move |event| {
            lease_changed(event, &cache, &news, clock.elapsed())
        })
        .requires(&pods)
        .run(reconciler, &context.statuses, &context.tasks);
}

/// A lease is named after its node.
fn lease_changed(
    event: &InformerEvent,
    nodes: &Informer,
    news: &Mutex<HashMap<Key, News>>,
    now: Duration,
) -> Vec<Key> {
    let lease = event.object();
    let name: Key = lease.name().into();
    if event.is_deleted() {
        return Vec::new();
    }
    let Some(node) = nodes.get(&name) else {
        return Vec::new();
    };
    let renewed = tree::text(lease.value(), "spec.renewTime").to_owned();
    news.lock()
        .entry(name.clone())
        .or_default()
        .renewed(renewed, now);
    // A lease is renewed every ten seconds: it matters only while the node counts as lost.
    if plan::ready_status(node.value()) == "Unknown" {
        vec![name]
    } else {
        Vec::new()
    }
}

impl News {
    fn renewed(&mut self, renewed: String, now: Duration) {
        if self.renewed != renewed {
            self.renewed = renewed;
            self.at = now;
        }
    }

    fn beat(&mut self, heartbeat: &str, now: Duration) {
        if self.heartbeat != heartbeat {
            heartbeat.clone_into(&mut self.heartbeat);
            self.at = now;
        }
    }
}

impl Reconciler for NodeLifecycleController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key) else {
            self.news.lock().remove(key);
            return Ok(Outcome::Done);
        };
        if node.is_deleting() {
            return Ok(Outcome::Done);
        }
        let silent_for = self.hear(key, &node);
        let health = plan::health(silent_for, GRACE);
        let node = if health == Health::Lost {
            self.mark_unknown(&node).await?
        } else {
            node
        };
        self.mark_taints(&node).await?;
        if plan::ready_status(node.value()) != "True" {
            self.mark_pods(&node).await?;
        }
        Ok(match health {
            Health::Lost => Outcome::Done,
            // A second more, so that the check comes after the moment and not just before.
            Health::Heard => {
                Outcome::After(GRACE.saturating_sub(silent_for) + Duration::from_secs(1))
            }
        })
    }
}

impl NodeLifecycleController {
    /// Records the node's own heartbeat and returns how long no heartbeat of any kind was seen.
    fn hear(&self, key: &Key, node: &Obj) -> Duration {
        let now = self.clock.elapsed();
        let mut all = self.news.lock();
        let news = all.entry(key.clone()).or_insert_with(|| News {
            at: now,
            ..News::default()
        });
        news.beat(plan::heartbeat(node.value()), now);
        now.saturating_sub(news.at)
    }

    async fn mark_unknown(&self, node: &Object) -> Result<Object, Error> {
        let Some(status) = plan::unknown_status(node.value(), &self.clock.now_rfc3339()) else {
            return Ok(node.clone());
        };
        self.recorder.normal(
            &**node,
            "NodeNotReady",
            format!("Node {} status is now: NodeNotReady", node.name()),
        );
        Ok(write::status(&self.client, &NODES, node, status)
            .await?
            .unwrap_or_else(|| node.clone()))
    }

    async fn mark_taints(&self, node: &Obj) -> Result<(), Error> {
        let now = self.clock.now_rfc3339();
        let Some(taints) = taints::wanted(node.value(), &now) else {
            return Ok(());
        };
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": node.resource_version(),
            },
            "spec": {
                "taints": taints,
            },
        }));
        self.client.patch(&NODES, None, node.name(), &patch).await?;
        Ok(())
    }

    /// Pods of a node that is not ready are not ready either: Services stop sending to them.
    async fn mark_pods(&self, node: &Obj) -> Result<(), Error> {
        for object in self.pods.by_index(BY_NODE, node.name()) {
            if !pod::of(&object).is_ready() {
                continue;
            }
            let now = self.clock.now_rfc3339();
            let conditions = plan::unready(object.value(), &now);
            let patch = Patch::Strategic(json!({
                "metadata": {
                    "uid": object.uid(),
                },
                "status": {
                    "conditions": conditions,
                },
            }));
            let patched = self
                .client
                .patch_status(&PODS, object.ns(), object.name(), &patch)
                .await;
            match patched {
                Ok(_) => {}
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
