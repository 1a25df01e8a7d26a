//! Follows the cluster's nodes, passes them to the plugin, and writes what the plugin answers about this
//! node: annotations of its Node object, and `subnet.env` for software that reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, Informers, Obj, Patch, Subscription, resources};
use k3s_lifecycle::{Tasks, sleep_opt};
use k3s_meta::object::annotations;
use k3s_meta::tree;
use k3s_sys::net::{Change, Observer};
use serde_json::json;

use crate::error::SyncError;

const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};
/// After a change of the node's own network, others follow in a moment.
const SETTLE: Duration = Duration::from_millis(50);

/// A node of the cluster, in the fields that a pod network uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The object's name.
    pub name: String,
    /// Addresses of type `InternalIP`, in their order.
    pub internal_ips: Vec<String>,
    /// `spec.podCIDRs`, or `spec.podCIDR` where only that is set.
    pub pod_cidrs: Vec<String>,
    /// Those of flannel; others change all the time.
    pub annotations: Vec<(String, String)>,
}

/// What a plugin answers about this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Annotations that the Node object should have.
    pub annotations: Vec<(String, String)>,
    /// Contents of `subnet.env`; empty for none.
    pub subnet_env: String,
}

/// The plugin as this module calls it.
#[async_trait]
pub trait NodeSync: Send + Sync + 'static {
    /// Brings the plugin up to date with the cluster's nodes. Idempotent.
    ///
    /// # Errors
    /// [`SyncError::NotReady`] until this node has what the plugin needs; others are worth a retry.
    async fn sync(&self, this_node: &str, nodes: Vec<Node>) -> Result<Outcome, SyncError>;
}

/// What following needs.
pub struct FollowNodes {
    /// The plugin.
    pub network: Arc<dyn NodeSync>,
    /// With the node's identity.
    pub client: Client,
    /// The same identity's informers.
    pub informers: Informers,
    /// This node.
    pub node_name: String,
    /// `/run/flannel`, where `subnet.env` goes.
    pub run_dir: PathBuf,
    /// For the jitter of retries.
    pub random: Random,
}

/// Starts to follow: `sync` at the start, when a node appears, disappears or changes in something
/// that matters, and when the node's own network is changed from outside.
pub fn follow_nodes(follow: FollowNodes, tasks: &Tasks) {
    tasks.spawn_until_stopped("cni nodes", run(follow));
}

async fn run(follow: FollowNodes) {
    let informer = follow.informers.all(&resources::NODES);
    let mut events = informer.subscribe();
    let mut observer = Observer::open()
        .inspect_err(|error| {
            let error = chain(error);
            tracing::warn!(error, "changes of the node's network go unnoticed");
        })
        .ok();
    informer.has_synced().await;
    let mut known: BTreeMap<String, Node> = BTreeMap::new();
    let mut backoff = RETRY.start();
    loop {
        while events.try_next().is_some() {}
        let objects = informer.list();
        let nodes: Vec<Node> = objects.iter().filter_map(|object| read(object)).collect();
        let facts = nodes.iter().map(|n| (n.name.clone(), n.clone())).collect();
        let delay = match follow.sync(nodes).await {
            Ok(()) => {
                backoff.reset();
                known = facts;
                None
            }
            Err(SyncError::NotReady(why)) => {
                tracing::debug!(why, "the pod network waits");
                known = facts;
                None
            }
            Err(error) => {
                let (why, delay) = (chain(&error), backoff.next_delay(&follow.random));
                tracing::warn!(why, ?delay, "the pod network is not set up");
                Some(delay)
            }
        };
        tokio::select! {
            () = node_changed(&mut events, &mut known) => {}
            () = network_changed(observer.as_mut()) => {}
            () = sleep_opt(delay) => {}
        }
    }
}

impl FollowNodes {
    async fn sync(&self, nodes: Vec<Node>) -> Result<(), SyncError> {
        let this = nodes.iter().find(|n| n.name == self.node_name).cloned();
        let outcome = self.network.sync(&self.node_name, nodes).await?;
        self.write_subnet_env(&outcome)?;
        match this {
            Some(node) => self.annotate(&node, &outcome).await,
            None => Ok(()),
        }
    }

    fn write_subnet_env(&self, outcome: &Outcome) -> Result<(), SyncError> {
        let path = self.run_dir.join("subnet.env");
        if outcome.subnet_env.is_empty()
            || std::fs::read_to_string(&path).is_ok_and(|t| t == outcome.subnet_env)
        {
            return Ok(());
        }
        let write = || {
            std::fs::create_dir_all(&self.run_dir)?;
            k3s_sys::fs::write_replace(&path, outcome.subnet_env.as_bytes(), 0o644)
        };
        write().map_err(|source| SyncError::SubnetEnv {
            path: path.clone(),
            source,
        })
    }

    async fn annotate(&self, node: &Node, outcome: &Outcome) -> Result<(), SyncError> {
        let missing = outcome
            .annotations
            .iter()
            .filter(|wanted| !node.annotations.contains(wanted));
        let missing: BTreeMap<&str, &str> =
            missing.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"metadata": {"annotations": missing}}));
        let result = self
            .client
            .patch(&resources::NODES, None, &node.name, &patch)
            .await;
        result.map(drop).map_err(|source| SyncError::Annotate {
            node: node.name.clone(),
            source,
        })
    }
}

/// Waits until a node differs from what is known in something that matters. Nodes write their status
/// all the time.
async fn node_changed(events: &mut Subscription, known: &mut BTreeMap<String, Node>) {
    loop {
        let event = events.next().await;
        let name = event.object().name();
        let now = if event.is_deleted() {
            None
        } else {
            read(event.object())
        };
        if known.get(name) != now.as_ref() {
            return;
        }
    }
}

/// Waits until addresses or routes were changed, or one of our devices was removed.
async fn network_changed(observer: Option<&mut Observer>) {
    let Some(observer) = observer else {
        return std::future::pending().await;
    };
    loop {
        let Ok(changes) = observer.changed().await else {
            return std::future::pending().await;
        };
        let matters = |change: &Change| match change {
            Change::Link(_) => false,
            // Pods come and go; the runtime says so itself.
            Change::LinkGone(name) => !name.starts_with("veth"),
            Change::Addressing | Change::Lost => true,
        };
        if changes.iter().any(matters) {
            tokio::time::sleep(SETTLE).await;
            return;
        }
    }
}

/// What a pod network uses of a Node object; none of one that cannot be read.
fn read(object: &Obj) -> Option<Node> {
    let view = object.typed::<k3s_objects::Node>();
    if let Err(error) = &view {
        let (node, error) = (object.name(), chain(error));
        tracing::warn!(node, error, "a Node cannot be read");
    }
    let value = object.value();
    let mut pod_cidrs = tree::texts(value, "spec.podCIDRs");
    if pod_cidrs.is_empty() {
        let only = tree::text(value, "spec.podCIDR");
        pod_cidrs.extend(Some(only).filter(|cidr| !cidr.is_empty()));
    }
    let flannel = annotations(value)
        .into_iter()
        .filter(|(key, _)| key.starts_with("flannel."));
    Some(Node {
        name: object.name().to_owned(),
        internal_ips: view
            .ok()?
            .addresses("InternalIP")
            .map(str::to_owned)
            .collect(),
        pod_cidrs: pod_cidrs.into_iter().map(str::to_owned).collect(),
        annotations: flannel.collect(),
    })
}
