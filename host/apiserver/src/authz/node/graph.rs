//! Pods by node and what they refer to: the index of a mirror of pods.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k3s_base::Shrink as _;
use k3s_base::error::chain;
use k3s_meta::{object, tree};
use k3s_objects::pod::MIRROR_ANNOTATION;
use k3s_registry::Resource;
use k3s_registry::mirror::Index;
use k3s_store::Entry;
use serde_json::Value;

/// What a pod can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ReferenceKind {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
}

/// The references of all bound pods.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<Box<str>, HashMap<Arc<str>, PodReferences>>,
    node_of: HashMap<Arc<str>, Box<str>>,
}

struct PodReferences {
    namespace: Box<str>,
    references: HashSet<(ReferenceKind, Box<str>)>,
}

impl Graph {
    /// Whether a pod of the node refers to the object.
    pub(super) fn refers(
        &self,
        node: &str,
        kind: ReferenceKind,
        namespace: &str,
        name: &str,
    ) -> bool {
        let wanted = (kind, Box::from(name));
        let pods = self.nodes.get(node).into_iter().flat_map(HashMap::values);
        pods.filter(|pod| &*pod.namespace == namespace)
            .any(|pod| pod.references.contains(&wanted))
    }

    /// Whether the pod under `key` is bound to the node.
    pub(super) fn runs(&self, node: &str, key: &str) -> bool {
        self.node_of.get(key).is_some_and(|bound| &**bound == node)
    }

    fn put(&mut self, key: &Arc<str>, pod: &Value) {
        let node = tree::text(pod, "spec.nodeName");
        if node.is_empty() {
            return;
        }
        // A node makes its mirror pods itself, and must not thereby grant itself what they name.
        let is_mirror = object::annotation(pod, MIRROR_ANNOTATION).is_some();
        let known = PodReferences {
            namespace: object::namespace(pod).into(),
            references: if is_mirror || has_ended(pod) {
                HashSet::new()
            } else {
                references(pod)
            },
        };
        let pods = self.nodes.entry(node.into()).or_default();
        pods.insert(key.clone(), known);
        self.node_of.insert(key.clone(), node.into());
    }

    fn forget(&mut self, key: &Arc<str>) {
        let Some(node) = self.node_of.remove(key) else {
            return;
        };
        let Some(pods) = self.nodes.get_mut(&node) else {
            return;
        };
        pods.remove(key);
        pods.shrink_when_sparse();
        if pods.is_empty() {
            self.nodes.remove(&node);
        }
        self.node_of.shrink_when_sparse();
    }
}

impl Index for Graph {
    fn clear(&mut self, _: &Resource) {
        self.nodes.clear();
        self.node_of.clear();
    }

    fn upsert(&mut self, _: &Resource, entry: &Arc<Entry>) {
        self.forget(&entry.key);
        match serde_json::from_slice::<Value>(&entry.value) {
            Ok(pod) => self.put(&entry.key, &pod),
            // A node may read nothing because of a pod that cannot be read.
            Err(error) => {
                tracing::error!(error = chain(&error), key = %entry.key, "a stored pod cannot be decoded");
            }
        }
    }

    fn remove(&mut self, _: &Resource, entry: &Arc<Entry>) {
        self.forget(&entry.key);
    }
}

/// A pod that has ended needs nothing any more.
fn has_ended(pod: &Value) -> bool {
    let phase = tree::text(pod, "status.phase");
    matches!(phase, "Succeeded" | "Failed")
}

/// Everything a pod's spec names (`pkg/api/v1/pod/util.go` visitors).
pub(crate) fn references(pod: &Value) -> HashSet<(ReferenceKind, Box<str>)> {
    let mut found = HashSet::new();
    let mut add = |what: ReferenceKind, name: &str| {
        if !name.is_empty() {
            found.insert((what, Box::from(name)));
        }
    };
    add(
        ReferenceKind::ServiceAccount,
        tree::text(pod, "spec.serviceAccountName"),
    );
    for secret in tree::list(pod, "spec.imagePullSecrets") {
        add(ReferenceKind::Secret, tree::text(secret, "name"));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in tree::list(pod, &format!("spec.{list}")) {
            for source in tree::list(container, "envFrom") {
                add(ReferenceKind::Secret, tree::text(source, "secretRef.name"));
                add(
                    ReferenceKind::ConfigMap,
                    tree::text(source, "configMapRef.name"),
                );
            }
            for variable in tree::list(container, "env") {
                add(
                    ReferenceKind::Secret,
                    tree::text(variable, "valueFrom.secretKeyRef.name"),
                );
                add(
                    ReferenceKind::ConfigMap,
                    tree::text(variable, "valueFrom.configMapKeyRef.name"),
                );
            }
        }
    }
    for volume in tree::list(pod, "spec.volumes") {
        volume_references(pod, volume, &mut add);
    }
    found
}

fn volume_references(pod: &Value, volume: &Value, add: &mut impl FnMut(ReferenceKind, &str)) {
    add(
        ReferenceKind::Secret,
        tree::text(volume, "secret.secretName"),
    );
    add(
        ReferenceKind::ConfigMap,
        tree::text(volume, "configMap.name"),
    );
    add(
        ReferenceKind::Claim,
        tree::text(volume, "persistentVolumeClaim.claimName"),
    );
    if volume
        .get("ephemeral")
        .is_some_and(|source| !source.is_null())
    {
        let name = format!("{}-{}", object::name(pod), tree::text(volume, "name"));
        add(ReferenceKind::Claim, &name);
    }
    for source in tree::list(volume, "projected.sources") {
        add(ReferenceKind::Secret, tree::text(source, "secret.name"));
        add(
            ReferenceKind::ConfigMap,
            tree::text(source, "configMap.name"),
        );
    }
    for (kind, field) in SECRET_SOURCES {
        add(
            ReferenceKind::Secret,
            tree::text(volume, &format!("{kind}.{field}.name")),
        );
    }
    add(
        ReferenceKind::Secret,
        tree::text(volume, "azureFile.secretName"),
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
