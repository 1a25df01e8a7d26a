//! The nodes with their pods, as informers and own decisions make them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{NodeInfo, PodInfo};

/// What an update may have changed for pods that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that could help.
    Nothing,
    /// A pod has come to a node: helps only those that want to be near pods.
    PodCame,
    /// Room was made, or a node changed: could help any.
    Anything,
}

/// Nodes in a row for the cycle, and who is where.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    nodes: Vec<NodeInfo>,
    index: HashMap<String, usize>,
    /// Pod UID → (node, whether it is only assumed there).
    placed: HashMap<String, (String, bool)>,
    /// Pods on nodes that are not known (yet).
    stray: HashMap<String, Vec<Arc<PodInfo>>>,
}

impl Cache {
    pub(crate) fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// Takes in a node's present state.
    pub(crate) fn set_node(&mut self, node: NodeInfo) -> Change {
        if let Some(known) = self
            .index
            .get(&node.name)
            .and_then(|at| self.nodes.get_mut(*at))
        {
            let same = known.labels == node.labels
                && known.taints == node.taints
                && known.unschedulable == node.unschedulable
                && known.allocatable == node.allocatable;
            known.labels = node.labels;
            known.taints = node.taints;
            known.unschedulable = node.unschedulable;
            known.allocatable = node.allocatable;
            return if same {
                Change::Nothing
            } else {
                Change::Anything
            };
        }
        let mut node = node;
        for pod in self.stray.remove(&node.name).unwrap_or_default() {
            node.add(pod);
        }
        self.index.insert(node.name.clone(), self.nodes.len());
        self.nodes.push(node);
        Change::Anything
    }

    /// Forgets a node; its pods stay known, for the case that it comes back.
    pub(crate) fn remove_node(&mut self, name: &str) {
        let Some(at) = self.index.remove(name) else {
            return;
        };
        let node = self.nodes.swap_remove(at);
        if let Some(moved) = self.nodes.get(at) {
            self.index.insert(moved.name.clone(), at);
        }
        if !node.pods.is_empty() {
            self.stray.insert(node.name, node.pods);
        }
    }

    /// Takes in a pod's present state, assigned or not.
    pub(crate) fn set_pod(&mut self, pod: &Arc<PodInfo>) -> Change {
        if !pod.occupies() {
            // An unassigned pod that is assumed somewhere is our own decision under way.
            let assumed = pod.node_name.is_empty()
                && self
                    .placed
                    .get(&pod.uid)
                    .is_some_and(|(_, assumed)| *assumed);
            return if assumed {
                Change::Nothing
            } else {
                self.remove_pod(&pod.uid)
            };
        }
        let known = self.placed.get(&pod.uid).map(|(node, _)| node.clone());
        if let Some(node) = &known {
            self.take_off(node, &pod.uid);
        }
        self.put_on(&pod.node_name, pod.clone());
        self.placed
            .insert(pod.uid.clone(), (pod.node_name.clone(), false));
        if known.is_none() {
            Change::PodCame
        } else {
            Change::Nothing
        }
    }

    /// Forgets a pod.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> Change {
        match self.placed.remove(uid) {
            Some((node, _)) => {
                self.take_off(&node, uid);
                Change::Anything
            }
            None => Change::Nothing,
        }
    }

    /// Counts a pod in where it was just decided to go.
    pub(crate) fn assume(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.put_on(node, pod.clone());
        self.placed.insert(pod.uid.clone(), (node.to_owned(), true));
    }

    /// Takes back an assumption whose binding failed.
    pub(crate) fn forget_assumed(&mut self, uid: &str) {
        if self.placed.get(uid).is_some_and(|(_, assumed)| *assumed) {
            self.remove_pod(uid);
        }
    }

    fn put_on(&mut self, node: &str, pod: Arc<PodInfo>) {
        match self.index.get(node).and_then(|at| self.nodes.get_mut(*at)) {
            Some(node) => node.add(pod),
            None => self.stray.entry(node.to_owned()).or_default().push(pod),
        }
    }

    fn take_off(&mut self, node: &str, uid: &str) {
        if let Some(node) = self.index.get(node).and_then(|at| self.nodes.get_mut(*at)) {
            node.remove(uid);
        } else if let Some(pods) = self.stray.get_mut(node) {
            pods.retain(|p| p.uid != uid);
            if pods.is_empty() {
                self.stray.remove(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;

    fn pod(uid: &str, node: &str, cpu: i64) -> Arc<PodInfo> {
        let requests = Resources {
            milli_cpu: cpu,
            ..Resources::default()
        };
        Arc::new(PodInfo {
            uid: uid.into(),
            node_name: node.into(),
            requests,
            ..PodInfo::default()
        })
    }

    fn node(name: &str) -> NodeInfo {
        NodeInfo {
            name: name.into(),
            ..NodeInfo::default()
        }
    }

    fn cpu(cache: &Cache, name: &str) -> i64 {
        cache
            .nodes()
            .iter()
            .find(|n| n.name == name)
            .unwrap()
            .requested
            .milli_cpu
    }

    #[test]
    fn an_assumed_pod_is_counted_once() {
        let mut cache = Cache::default();
        cache.set_node(node("a"));
        cache.assume(&pod("1", "", 100), "a");
        assert_eq!(cache.set_pod(&pod("1", "", 100)), Change::Nothing);
        assert_eq!(cpu(&cache, "a"), 100);
        cache.set_pod(&pod("1", "a", 100));
        cache.forget_assumed("1");
        assert_eq!(cpu(&cache, "a"), 100);
        assert_eq!(cache.remove_pod("1"), Change::Anything);
        assert_eq!(cpu(&cache, "a"), 0);
    }

    #[test]
    fn pods_may_come_before_their_node_and_outlive_it() {
        let mut cache = Cache::default();
        cache.set_pod(&pod("1", "a", 100));
        cache.set_node(node("a"));
        cache.set_node(node("b"));
        assert_eq!(cpu(&cache, "a"), 100);
        cache.remove_node("a");
        assert_eq!(cache.nodes().len(), 1);
        cache.set_node(node("a"));
        assert_eq!(cpu(&cache, "a"), 100);
        assert_eq!(cpu(&cache, "b"), 0);
    }

    #[test]
    fn only_real_differences_of_a_node_wake_pods() {
        let mut cache = Cache::default();
        assert_eq!(cache.set_node(node("a")), Change::Anything);
        assert_eq!(cache.set_node(node("a")), Change::Nothing);
        assert_eq!(
            cache.set_node(NodeInfo {
                unschedulable: true,
                ..node("a")
            }),
            Change::Anything
        );
    }
}
