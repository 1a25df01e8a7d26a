//! Indexes over an informer's objects.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k3s_base::Shrink as _;
use serde::Deserialize;

use crate::object::{Obj, Object};
use crate::resource::Resource;

/// Index by namespace; every informer of a namespaced resource has it.
pub const BY_NAMESPACE: &str = "namespace";
/// Index by the UID of each owner; every informer has it.
pub const BY_OWNER: &str = "owner";
/// Index by `spec.nodeName`; informers of Pods have it.
pub const BY_NODE: &str = "node";

/// Gives the values under which an object is filed.
pub type IndexFn = fn(&Obj) -> Vec<String>;

pub(super) struct Index {
    of: IndexFn,
    filed: HashMap<String, HashSet<Arc<str>>>,
}

impl Index {
    pub(super) fn new(of: IndexFn) -> Self {
        Self {
            of,
            filed: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, object: &Object) {
        for value in (self.of)(object) {
            self.filed
                .entry(value)
                .or_default()
                .insert(object.key().clone());
        }
    }

    pub(super) fn remove(&mut self, object: &Object) {
        for value in (self.of)(object) {
            if let Some(keys) = self.filed.get_mut(&value) {
                keys.remove(object.key());
                keys.shrink_when_sparse();
                if keys.is_empty() {
                    self.filed.remove(&value);
                    self.filed.shrink_when_sparse();
                }
            }
        }
    }

    pub(super) fn keys(&self, value: &str) -> impl Iterator<Item = &Arc<str>> {
        self.filed.get(value).into_iter().flatten()
    }
}

pub(super) fn defaults(resource: &Resource) -> HashMap<&'static str, Index> {
    let mut indexes = HashMap::from([(BY_OWNER, Index::new(owners as IndexFn))]);
    if resource.namespaced {
        indexes.insert(BY_NAMESPACE, Index::new(namespace));
    }
    if resource.group.is_empty() && resource.plural == "pods" {
        indexes.insert(BY_NODE, Index::new(node));
    }
    indexes
}

fn namespace(object: &Obj) -> Vec<String> {
    vec![object.namespace().to_owned()]
}

fn owners(object: &Obj) -> Vec<String> {
    object
        .meta()
        .owner_references
        .iter()
        .map(|owner| owner.uid.clone())
        .collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Bound {
    spec: BoundSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct BoundSpec {
    node_name: String,
}

fn node(object: &Obj) -> Vec<String> {
    let bound: Bound = object.decode().unwrap_or_default();
    Some(bound.spec.node_name)
        .filter(|name| !name.is_empty())
        .into_iter()
        .collect()
}
