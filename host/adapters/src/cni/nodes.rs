//! Follows the cluster's nodes and tells the plugin; tells the cluster what the plugin says of this one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{BackoffPolicy, Random};
use k3s_client::{Client, Informers, Obj, Patch, Subscription, resources};
use k3s_lifecycle::Tasks;
use k3s_sys::net::{Change, Observer};
use k3s_wit_bindings::cni::exports::k3s::cni::network::{Node, Outcome};
use serde::Deserialize;
use serde_json::json;

use super::network::{CniNetwork, SyncError};

const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};
/// After a change of the node's own network, others follow in a moment.
const SETTLE: Duration = Duration::from_millis(50);

/// What following needs.
pub struct FollowNodes {
    /// The network to tell.
    pub network: Arc<CniNetwork>,
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

/// Starts to follow: `sync` at the start, when a node appears, goes or changes in something that
/// matters, and when somebody changes the node's own network.
pub fn follow_nodes(follow: FollowNodes, tasks: &Tasks) {
    tasks.spawn_until_stopped("cni nodes", run(follow));
}

async fn run(follow: FollowNodes) {
    let informer = follow.informers.all(&resources::NODES);
    let mut events = informer.subscribe();
    let mut observer = Observer::open()
        .inspect_err(|error| tracing::warn!(%error, "changes of the node's network go unnoticed"))
        .ok();
    informer.has_synced().await;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut backoff = RETRY.start();
    loop {
        while events.try_next().is_some() {}
        let nodes: Vec<Node> = informer
            .list()
            .iter()
            .filter_map(|object| read(object))
            .collect();
        let facts = nodes
            .iter()
            .map(|n| (n.name.clone(), format!("{n:?}")))
            .collect();
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
            Err(SyncError::Failed(why)) => {
                let delay = backoff.next_delay(&follow.random);
                tracing::warn!(why, ?delay, "the pod network is not set up");
                Some(delay)
            }
        };
        tokio::select! {
            () = node_changed(&mut events, &mut known) => {}
            () = network_changed(observer.as_mut()) => {}
            () = after(delay) => {}
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
        write().map_err(|e| SyncError::Failed(format!("{}: {e}", path.display())))
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
        result
            .map(drop)
            .map_err(|e| SyncError::Failed(format!("annotate node {}: {e}", node.name)))
    }
}

/// Waits until a node differs from what is known in something that matters. Nodes write their status
/// all the time.
async fn node_changed(events: &mut Subscription, known: &mut BTreeMap<String, String>) {
    loop {
        let event = events.next().await;
        let name = event.object().name();
        let now = if event.is_deleted() {
            None
        } else {
            read(event.object()).map(|n| format!("{n:?}"))
        };
        if known.get(name) != now.as_ref() {
            return;
        }
    }
}

/// Waits until somebody changed addresses or routes, or took one of our devices away.
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

async fn after(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeObject {
    metadata: Metadata,
    spec: Spec,
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    #[serde(rename = "podCIDR")]
    pod_cidr: String,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<Address>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    address_type: String,
    address: String,
}

fn read(object: &Obj) -> Option<Node> {
    let result = object.decode::<NodeObject>();
    if let Err(error) = &result {
        tracing::warn!(node = object.name(), %error, "left out, since it cannot be read");
    }
    let node = result.ok()?;
    let mut pod_cidrs = node.spec.pod_cidrs;
    if pod_cidrs.is_empty() && !node.spec.pod_cidr.is_empty() {
        pod_cidrs.push(node.spec.pod_cidr);
    }
    let internal = node
        .status
        .addresses
        .into_iter()
        .filter(|a| a.address_type == "InternalIP");
    let flannel = node
        .metadata
        .annotations
        .into_iter()
        .filter(|(key, _)| key.starts_with("flannel."));
    Some(Node {
        name: object.name().to_owned(),
        internal_ips: internal.map(|a| a.address).collect(),
        pod_cidrs,
        // Only those that a pod network cares for: others change all the time.
        annotations: flannel.collect(),
    })
}
