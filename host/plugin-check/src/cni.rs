//! What the contract of pod networks promises, tried on a component with a fake node.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;
use k3s_adapters::cni::{CONTRACT, CniNetwork, CniOptions, open_cni};
use k3s_base::error::chain;
use k3s_podnetwork::{FakeNode, Grants, Ipam, NODE_OWNER, Node, NodeNetwork, NodeSync, SyncError};
use k3s_runtime::{PodNetwork, SandboxNetwork};
use serde_json::json;
use tempfile::TempDir;

use crate::suite::{Breach, Case, CheckError, Tried, Verdict, ensure, refuses_unknown};

const THIS: &str = "node-1";
const CLUSTER: &str = "10.42.0.0/16";
const POD_CIDR: &str = "10.42.7.0/24";

/// One component on one fake node.
struct Rig {
    network: CniNetwork,
    node: Arc<FakeNode>,
    _leases: TempDir,
}

impl Rig {
    fn new(tried: Tried<'_>, config: Vec<u8>) -> Result<Self, CheckError> {
        let leases = tempfile::tempdir()?;
        let cluster: Vec<Ipv4Net> = CLUSTER.parse().into_iter().collect();
        let node = Arc::new(FakeNode::new(Grants::for_networks(cluster)));
        let options = CniOptions {
            config,
            ipam: Ipam::new(leases.path()),
            net: node.clone(),
            environment: Tried::environment(),
        };
        let network = open_cni(tried.host, tried.source, options)?;
        Ok(Self {
            network,
            node,
            _leases: leases,
        })
    }

    async fn synced(&self) -> Verdict {
        self.network
            .sync(THIS, nodes(true))
            .await
            .map(drop)
            .map_err(|e| format!("sync: {}", chain(&e)).into())
    }

    async fn add(&self, id: &str) -> Verdict<Ipv4Addr> {
        let ips = self
            .network
            .add(&sandbox(id))
            .await
            .map_err(|e| format!("add {id}: {e}"))?;
        match ips.0.first() {
            Some(IpAddr::V4(address)) => Ok(*address),
            other => Err(format!("add {id}: no IPv4 address first: {other:?}").into()),
        }
    }

    async fn del(&self, id: &str) -> Verdict {
        self.network
            .del(&sandbox(id))
            .await
            .map_err(|e| format!("del {id}: {e}").into())
    }

    async fn is_connected(&self, id: &str) -> Verdict {
        self.network
            .check_sandbox(&sandbox(id))
            .await
            .map_err(|e| format!("check {id}: {e}").into())
    }

    fn refuses_to_start(&self) -> Verdict {
        tokio::task::block_in_place(|| refuses_unknown(self.network.battery().start()))
    }

    fn owns(&self, id: &str) -> bool {
        self.node.owners().is_ok_and(|owners| owners.contains(id))
    }
}

fn sandbox(id: &str) -> SandboxNetwork {
    SandboxNetwork {
        id: id.to_owned(),
        netns_path: "/nonexistent/netns".into(),
        namespace: "default".to_owned(),
        name: format!("pod-{id}"),
        uid: format!("uid-{id}"),
        ..SandboxNetwork::default()
    }
}

fn nodes(with_cidr: bool) -> Vec<Node> {
    let pod_cidrs = if with_cidr {
        vec![POD_CIDR.to_owned()]
    } else {
        Vec::new()
    };
    let internal_ips = vec!["192.0.2.10".to_owned()];
    vec![Node {
        name: THIS.to_owned(),
        internal_ips,
        pod_cidrs,
        annotations: Vec::new(),
    }]
}

pub(crate) async fn run(tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    // Refused before anything is tried.
    tried.host.load(tried.source, &CONTRACT)?;
    let given = || json!({"network": CLUSTER});
    let rig = || Rig::new(tried, tried.config(given()));
    let unknown = Rig::new(tried, tried.config_with_unknown(given()))?;
    let mut cases = Vec::new();
    let mut case = |name, outcome| cases.push(Case { name, outcome });
    case("unknown settings are refused", unknown.refuses_to_start());
    case(
        "without a pod CIDR it is not ready",
        waits_for_a_cidr(&rig()?).await,
    );
    case(
        "sync twice changes nothing the second time",
        syncs_idempotently(&rig()?).await,
    );
    case(
        "pods get different addresses of the node's range",
        gives_addresses(&rig()?).await,
    );
    case(
        "add twice gives the same address and changes nothing",
        adds_idempotently(&rig()?).await,
    );
    case(
        "check sees a connected pod and misses another",
        checks(&rig()?).await,
    );
    case(
        "del frees link and address, also twice, also of nobody",
        deletes(&rig()?).await,
    );
    case(
        "an address rests before somebody else gets it",
        lets_addresses_rest(&rig()?).await,
    );
    case(
        "gc keeps the valid ones and frees the others",
        collects(&rig()?).await,
    );
    case(
        "a fresh instance continues where the last one failed",
        survives_a_restart(&rig()?).await,
    );
    Ok(cases)
}

async fn waits_for_a_cidr(rig: &Rig) -> Verdict {
    match rig.network.sync(THIS, nodes(false)).await {
        Err(SyncError::NotReady(_)) => {}
        other => return Err(format!("sync returned {other:?}").into()),
    }
    ensure(
        rig.network.check().await.is_err_and(|e| e.retryable),
        "status must be not-ready before a sync",
    )?;
    let early = rig.network.add(&sandbox("early")).await;
    ensure(
        early.is_err_and(|e| e.retryable),
        "add must say not-ready before a sync",
    )
}

async fn syncs_idempotently(rig: &Rig) -> Verdict {
    rig.synced().await?;
    let changes = rig.node.changes();
    rig.synced().await?;
    ensure(
        rig.node.changes() == changes,
        "the second sync changed the node",
    )?;
    rig.network
        .check()
        .await
        .map_err(|e| format!("status after a sync: {e}").into())
}

async fn gives_addresses(rig: &Rig) -> Verdict {
    rig.synced().await?;
    let range: Ipv4Net = POD_CIDR.parse().map_err(|_| Breach::from("no range"))?;
    let (a, b) = (rig.add("a").await?, rig.add("b").await?);
    ensure(a != b, "two pods have one address")?;
    ensure(
        range.contains(&a) && range.contains(&b),
        &format!("{a} or {b} is outside {range}"),
    )?;
    ensure(
        rig.owns("a") && rig.owns("b"),
        "a pod's link belongs to nobody",
    )
}

async fn adds_idempotently(rig: &Rig) -> Verdict {
    rig.synced().await?;
    let first = rig.add("a").await?;
    let changes = rig.node.changes();
    let second = rig.add("a").await?;
    ensure(first == second, &format!("{first}, then {second}"))?;
    ensure(
        rig.node.changes() == changes,
        "the second add changed the node",
    )
}

async fn checks(rig: &Rig) -> Verdict {
    rig.synced().await?;
    rig.add("a").await?;
    rig.is_connected("a").await?;
    ensure(
        rig.is_connected("stranger").await.is_err(),
        "a pod that was never added is reported as connected",
    )?;
    rig.node.remove("a").map_err(|e| chain(&e))?;
    ensure(
        rig.is_connected("a").await.is_err(),
        "a pod whose link was lost is reported as connected",
    )
}

async fn deletes(rig: &Rig) -> Verdict {
    rig.synced().await?;
    rig.add("a").await?;
    rig.add("b").await?;
    rig.del("a").await?;
    ensure(!rig.owns("a"), "its link is still there")?;
    ensure(rig.owns("b"), "somebody else's link is gone")?;
    rig.del("a").await?;
    rig.del("nobody").await?;
    rig.is_connected("b").await
}

async fn lets_addresses_rest(rig: &Rig) -> Verdict {
    rig.synced().await?;
    let first = rig.add("a").await?;
    rig.del("a").await?;
    let next = rig.add("b").await?;
    ensure(first != next, &format!("{next} was given again at once"))
}

async fn collects(rig: &Rig) -> Verdict {
    rig.synced().await?;
    rig.add("a").await?;
    rig.add("b").await?;
    rig.network
        .gc(&["b".to_owned()])
        .await
        .map_err(|e| format!("gc: {e}"))?;
    ensure(!rig.owns("a") && rig.owns("b"), "it freed the wrong one")?;
    rig.is_connected("b").await?;
    let node = rig
        .node
        .owners()
        .is_ok_and(|owners| owners.contains(NODE_OWNER));
    rig.synced().await?;
    let after = rig
        .node
        .owners()
        .is_ok_and(|owners| owners.contains(NODE_OWNER));
    ensure(node == after, "it took away what the node has")
}

async fn survives_a_restart(rig: &Rig) -> Verdict {
    rig.synced().await?;
    let before = rig.add("a").await?;
    rig.network.battery().recycle();
    rig.is_connected("a").await?;
    ensure(rig.add("a").await? == before, "the address is another")?;
    rig.add("b").await?;
    rig.network.battery().recycle();
    rig.del("a").await?;
    ensure(
        !rig.owns("a") && rig.owns("b"),
        "a fresh instance deletes the wrong one",
    )
}
