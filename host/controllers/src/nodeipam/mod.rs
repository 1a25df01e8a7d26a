//! Node IPAM: every node gets its part of the cluster's pod networks, once and for good.
//!
//! What is taken is read from the nodes themselves at each allocation, under one worker, so there
//! is no second book to keep: two nodes can never get the same part, also across restarts.

mod plan;

use std::collections::HashMap;

use ipnet::IpNet;
use k3s_client::resources::NODES;
use k3s_client::{Client, EventRecorder, Informer, Patch};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use parking_lot::Mutex;
use serde_json::json;

use crate::context::Context;
use crate::error::ControllerError;

struct NodeIpamController {
    client: Client,
    recorder: EventRecorder,
    nodes: Informer,
    networks: Vec<plan::Network>,
    /// Given out, but perhaps not in the cache yet; forgotten when the cache shows it.
    given: Mutex<HashMap<Key, Vec<IpNet>>>,
}

pub(crate) fn start(context: &Context) {
    let config = &context.config;
    let networks = config.cluster_cidrs.iter().map(|cidr| plan::Network {
        cidr: *cidr,
        mask: if cidr.addr().is_ipv4() {
            config.node_cidr_mask
        } else {
            config.node_cidr_mask_v6
        },
    });
    let client = context.client("node-controller");
    let nodes = context.informers.all(&NODES);
    let reconciler = NodeIpamController {
        recorder: context.recorder(&client, "cidrAllocator"),
        client,
        nodes: nodes.clone(),
        networks: networks.collect(),
        given: Mutex::default(),
    };
    // One worker: allocation is a read and a write that must not interleave.
    Controller::new("node-ipam-controller")
        .workers(1)
        .watch_own(&nodes)
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for NodeIpamController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key) else {
            self.given.lock().remove(key);
            return Ok(Outcome::Done);
        };
        if !tree::list(node.value(), "spec.podCIDRs").is_empty() {
            self.given.lock().remove(key);
            return Ok(Outcome::Done);
        }
        if node.is_deleting() {
            return Ok(Outcome::Done);
        }
        let own = self.given.lock().get(key).cloned();
        let parts = match own {
            Some(parts) => parts,
            None => match self.allocate() {
                Ok(parts) => parts,
                Err(full) => {
                    self.recorder.normal(
                        &*node,
                        "CIDRNotAvailable",
                        format!("Node {key} status is now: CIDRNotAvailable"),
                    );
                    return Err(full.into());
                }
            },
        };
        self.given.lock().insert(key.clone(), parts.clone());
        let texts: Vec<String> = parts.iter().map(IpNet::to_string).collect();
        let patch = json!({"metadata": {"uid": node.uid()}, "spec": {"podCIDR": texts.first(), "podCIDRs": texts}});
        match self
            .client
            .patch(&NODES, None, key, &Patch::Strategic(patch))
            .await
        {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            result => Ok(result.map(|_| Outcome::Done)?),
        }
    }
}

impl NodeIpamController {
    fn allocate(&self) -> Result<Vec<IpNet>, ControllerError> {
        let mut taken: Vec<IpNet> = self.given.lock().values().flatten().copied().collect();
        for node in self.nodes.list() {
            let texts = tree::list(node.value(), "spec.podCIDRs")
                .iter()
                .filter_map(|v| v.as_str());
            taken.extend(texts.filter_map(|text| text.parse::<IpNet>().ok()));
        }
        self.networks
            .iter()
            .map(|network| network.free(&taken))
            .collect()
    }
}
