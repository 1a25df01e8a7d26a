//! Node IPAM: every node gets its part of the cluster's pod networks, once and for good.
//!
//! What is taken is read from the nodes themselves at each allocation, under one worker, so there
//! is no second book to keep: two nodes can never get the same part, also across restarts.

mod plan;

use std::collections::HashMap;

use ipnet::IpNet;
use k3s_client::resources::NODES;
use k3s_client::{Client, EventRecorder, Informer, Obj, Patch};
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
        let present = tree::list(node.value(), "spec.podCIDRs");
        if !present.is_empty() {
            self.given.lock().remove(key);
            return Ok(Outcome::Done);
        }
        if node.is_deleting() {
            return Ok(Outcome::Done);
        }
        let parts = self.parts_of(key, &node)?;
        let texts: Vec<String> = parts.iter().map(IpNet::to_string).collect();
        let patch = Patch::Strategic(json!({
            "metadata": {
                "uid": node.uid(),
            },
            "spec": {
                "podCIDR": texts.first(),
                "podCIDRs": texts,
            },
        }));
        let patched = self.client.patch(&NODES, None, key, &patch).await;
        match patched {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

impl NodeIpamController {
    /// What the node was given before, or else parts that are free.
    fn parts_of(&self, key: &Key, node: &Obj) -> Result<Vec<IpNet>, ControllerError> {
        let given = self.given.lock().get(key).cloned();
        if let Some(parts) = given {
            return Ok(parts);
        }
        let allocated = self.allocate();
        if allocated.is_err() {
            let message = format!("Node {key} status is now: CIDRNotAvailable");
            self.recorder.normal(node, "CIDRNotAvailable", message);
        }
        let parts = allocated?;
        self.given.lock().insert(key.clone(), parts.clone());
        Ok(parts)
    }

    fn allocate(&self) -> Result<Vec<IpNet>, ControllerError> {
        let mut taken: Vec<IpNet> = self.given.lock().values().flatten().copied().collect();
        for node in self.nodes.list() {
            for text in tree::texts(node.value(), "spec.podCIDRs") {
                if let Ok(part) = text.parse::<IpNet>() {
                    taken.push(part);
                }
            }
        }
        self.networks
            .iter()
            .map(|network| network.free(&taken))
            .collect()
    }
}
