//! Pods by node and what they refer to, kept by a watch on pods.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_meta::object;
use k3s_registry::Registry;
use k3s_store::{Entry, EventKind, Watcher};
use parking_lot::RwLock;
use serde_json::Value;

use crate::Result;

/// What a pod can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refers {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
}

/// The references of all bound pods.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<Box<str>, HashMap<Arc<str>, Pod>>,
    node_of: HashMap<Arc<str>, Box<str>>,
}

struct Pod {
    namespace: Box<str>,
    refers: HashSet<(Refers, Box<str>)>,
}

impl Graph {
    pub(super) fn refers(&self, node: &str, what: Refers, namespace: &str, name: &str) -> bool {
        let wanted = (what, Box::from(name));
        let pods = self.nodes.get(node).into_iter().flat_map(HashMap::values);
        pods.filter(|pod| &*pod.namespace == namespace)
            .any(|pod| pod.refers.contains(&wanted))
    }

    fn put(&mut self, entry: &Entry) {
        self.remove(&entry.key);
        let Ok(pod) = serde_json::from_slice::<Value>(&entry.value) else {
            tracing::error!(key = %entry.key, "a stored pod cannot be decoded");
            return;
        };
        let node = object::at_str(&pod, &["spec", "nodeName"]);
        // A pod that has ended needs nothing any more.
        if node.is_empty()
            || matches!(
                object::at_str(&pod, &["status", "phase"]),
                "Succeeded" | "Failed"
            )
        {
            return;
        }
        let known = Pod {
            namespace: object::namespace(&pod).into(),
            refers: references(&pod),
        };
        self.nodes
            .entry(node.into())
            .or_default()
            .insert(entry.key.clone(), known);
        self.node_of.insert(entry.key.clone(), node.into());
    }

    fn remove(&mut self, key: &Arc<str>) {
        let Some(node) = self.node_of.remove(key) else {
            return;
        };
        if let Some(pods) = self.nodes.get_mut(&node) {
            pods.remove(key);
            if pods.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }
}

/// Builds the graph and keeps it.
pub(super) fn start(registry: &Registry, tasks: &Tasks) -> Result<Arc<RwLock<Graph>>> {
    let prefix = registry.resource("", "v1", "pods")?.prefix.clone();
    let graph = Arc::new(RwLock::new(Graph::default()));
    let watcher = build(registry, &prefix, &graph)?;
    tasks.spawn_until_stopped(
        "node graph",
        follow(registry.clone(), watcher, graph.clone()),
    );
    Ok(graph)
}

fn build(registry: &Registry, prefix: &str, graph: &RwLock<Graph>) -> Result<Watcher> {
    let snapshot = registry.store().snapshot();
    let mut fresh = Graph::default();
    for entry in snapshot.range(prefix, None) {
        fresh.put(entry);
    }
    *graph.write() = fresh;
    Ok(registry.store().watch(prefix, snapshot.revision())?)
}

async fn follow(registry: Registry, mut watcher: Watcher, graph: Arc<RwLock<Graph>>) {
    loop {
        match watcher.next_batch().await {
            Ok(events) => {
                let mut graph = graph.write();
                for event in &events {
                    match event.kind {
                        EventKind::Put { .. } => graph.put(&event.entry),
                        EventKind::Delete => graph.remove(&event.entry.key),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the node graph starts anew");
                let prefix = watcher.prefix().to_owned();
                match build(&registry, &prefix, &graph) {
                    Ok(fresh) => watcher = fresh,
                    Err(_) => return,
                }
            }
        }
    }
}

/// Everything a pod's spec names (`pkg/api/v1/pod/util.go` visitors).
fn references(pod: &Value) -> HashSet<(Refers, Box<str>)> {
    let mut found = HashSet::new();
    let mut add = |what: Refers, name: &str| {
        if !name.is_empty() {
            found.insert((what, Box::from(name)));
        }
    };
    add(
        Refers::ServiceAccount,
        object::at_str(pod, &["spec", "serviceAccountName"]),
    );
    for secret in object::at_list(pod, &["spec", "imagePullSecrets"]) {
        add(Refers::Secret, object::at_str(secret, &["name"]));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in object::at_list(pod, &["spec", list]) {
            for source in object::at_list(container, &["envFrom"]) {
                add(
                    Refers::Secret,
                    object::at_str(source, &["secretRef", "name"]),
                );
                add(
                    Refers::ConfigMap,
                    object::at_str(source, &["configMapRef", "name"]),
                );
            }
            for variable in object::at_list(container, &["env"]) {
                add(
                    Refers::Secret,
                    object::at_str(variable, &["valueFrom", "secretKeyRef", "name"]),
                );
                add(
                    Refers::ConfigMap,
                    object::at_str(variable, &["valueFrom", "configMapKeyRef", "name"]),
                );
            }
        }
    }
    for volume in object::at_list(pod, &["spec", "volumes"]) {
        volume_references(pod, volume, &mut add);
    }
    found
}

fn volume_references(pod: &Value, volume: &Value, add: &mut impl FnMut(Refers, &str)) {
    add(
        Refers::Secret,
        object::at_str(volume, &["secret", "secretName"]),
    );
    add(
        Refers::ConfigMap,
        object::at_str(volume, &["configMap", "name"]),
    );
    add(
        Refers::Claim,
        object::at_str(volume, &["persistentVolumeClaim", "claimName"]),
    );
    if volume
        .get("ephemeral")
        .is_some_and(|source| !source.is_null())
    {
        let name = format!(
            "{}-{}",
            object::name(pod),
            object::at_str(volume, &["name"])
        );
        add(Refers::Claim, &name);
    }
    for source in object::at_list(volume, &["projected", "sources"]) {
        add(Refers::Secret, object::at_str(source, &["secret", "name"]));
        add(
            Refers::ConfigMap,
            object::at_str(source, &["configMap", "name"]),
        );
    }
    for (kind, field) in SECRET_SOURCES {
        add(
            Refers::Secret,
            object::at_str(volume, &[kind, field, "name"]),
        );
    }
    add(
        Refers::Secret,
        object::at_str(volume, &["azureFile", "secretName"]),
    );
}

/// Volume sources that name a secret.
const SECRET_SOURCES: [(&str, &str); 7] = [
    ("cephfs", "secretRef"),
    ("csi", "nodePublishSecretRef"),
    ("flexVolume", "secretRef"),
    ("iscsi", "secretRef"),
    ("rbd", "secretRef"),
    ("scaleIO", "secretRef"),
    ("storageos", "secretRef"),
];
