//! The nodes with their pods, as informers and own decisions make them.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_base::Shrink as _;

use crate::event::{Event, NodeChange};
use crate::model::{NodeInfo, PodInfo};

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

    /// Takes in a node's present state. As every update here, it returns what pods that wait may be
    /// waiting for.
    pub(crate) fn set_node(&mut self, node: NodeInfo) -> Option<Event> {
        if let Some(known) = self
            .index
            .get(&node.name)
            .and_then(|at| self.nodes.get_mut(*at))
        {
            let change = NodeChange {
                labels: known.labels != node.labels,
                taints: known.taints != node.taints || known.unschedulable != node.unschedulable,
                allocatable: known.allocatable != node.allocatable,
            };
            known.labels = node.labels;
            known.taints = node.taints;
            known.unschedulable = node.unschedulable;
            known.allocatable = node.allocatable;
            return change.is_any().then_some(Event::NodeChanged(change));
        }
        let mut node = node;
        for pod in self.stray.remove(&node.name).unwrap_or_default() {
            node.add(pod);
        }
        self.index.insert(node.name.clone(), self.nodes.len());
        self.nodes.push(node);
        Some(Event::NodeAdded)
    }

    /// Forgets a node; its pods stay known, for the case that it comes back.
    pub(crate) fn remove_node(&mut self, name: &str) -> Option<Event> {
        let at = self.index.remove(name)?;
        let node = self.nodes.swap_remove(at);
        if let Some(moved) = self.nodes.get(at) {
            self.index.insert(moved.name.clone(), at);
        }
        if !node.pods.is_empty() {
            self.stray.insert(node.name, node.pods);
        }
        Some(Event::NodeRemoved)
    }

    /// Takes in a pod's present state, assigned or not.
    pub(crate) fn set_pod(&mut self, pod: &Arc<PodInfo>) -> Option<Event> {
        if !pod.occupies() {
            // An unassigned pod that is assumed somewhere is our own decision under way.
            let assumed = pod.node_name.is_empty()
                && self
                    .placed
                    .get(&pod.uid)
                    .is_some_and(|(_, assumed)| *assumed);
            return if assumed {
                None
            } else {
                self.remove_pod(&pod.uid)
            };
        }
        let here = (pod.node_name.clone(), false);
        let known = self.placed.insert(pod.uid.clone(), here);
        let old = known
            .as_ref()
            .and_then(|(node, _)| self.take_off(node, &pod.uid));
        self.put_on(&pod.node_name, pod.clone());
        // Others see a pod where it was only assumed as little as the API does.
        match (known, old) {
            (Some((_, false)), Some(old)) => differs(&old, pod).then(|| Event::PodChanged {
                old,
                new: pod.clone(),
            }),
            _ => Some(Event::PodCame(pod.clone())),
        }
    }

    /// Forgets a pod.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> Option<Event> {
        let (node, _) = self.placed.remove(uid)?;
        self.placed.shrink_when_sparse();
        self.take_off(&node, uid).map(Event::PodLeft)
    }

    /// Counts a pod in where it was just decided to go.
    pub(crate) fn assume(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.put_on(node, pod.clone());
        self.placed.insert(pod.uid.clone(), (node.to_owned(), true));
    }

    /// Takes back an assumption whose binding failed.
    pub(crate) fn forget_assumed(&mut self, uid: &str) -> Option<Event> {
        let (_, assumed) = self.placed.get(uid)?;
        if *assumed { self.remove_pod(uid) } else { None }
    }

    fn put_on(&mut self, node: &str, pod: Arc<PodInfo>) {
        match self.index.get(node).and_then(|at| self.nodes.get_mut(*at)) {
            Some(node) => node.add(pod),
            None => self.stray.entry(node.to_owned()).or_default().push(pod),
        }
    }

    fn take_off(&mut self, node: &str, uid: &str) -> Option<Arc<PodInfo>> {
        if let Some(node) = self.index.get(node).and_then(|at| self.nodes.get_mut(*at)) {
            return node.remove(uid);
        }
        let pods = self.stray.get_mut(node)?;
        let at = pods.iter().position(|p| p.uid == uid)?;
        let pod = pods.swap_remove(at);
        if pods.is_empty() {
            self.stray.remove(node);
        }
        Some(pod)
    }
}

/// Whether an assigned pod differs in what filters ask about other pods.
fn differs(old: &PodInfo, new: &PodInfo) -> bool {
    old.labels != new.labels || old.deleting != new.deleting || old.requests != new.requests
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
        assert!(cache.set_pod(&pod("1", "", 100)).is_none());
        assert_eq!(cpu(&cache, "a"), 100);
        // Pods that want to be near it hear of it only now.
        let came = cache.set_pod(&pod("1", "a", 100));
        assert!(matches!(came, Some(Event::PodCame(_))));
        assert!(cache.set_pod(&pod("1", "a", 100)).is_none());
        assert!(cache.forget_assumed("1").is_none());
        assert_eq!(cpu(&cache, "a"), 100);
        let left = cache.remove_pod("1");
        assert!(matches!(left, Some(Event::PodLeft(pod)) if pod.uid == "1"));
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
    fn only_real_differences_of_a_node_are_events() {
        let mut cache = Cache::default();
        assert!(matches!(cache.set_node(node("a")), Some(Event::NodeAdded)));
        assert!(cache.set_node(node("a")).is_none());
        let cordoned = NodeInfo {
            unschedulable: true,
            ..node("a")
        };
        let expected = NodeChange {
            taints: true,
            ..NodeChange::default()
        };
        let event = cache.set_node(cordoned);
        assert!(matches!(event, Some(Event::NodeChanged(change)) if change == expected));
        assert!(matches!(cache.remove_node("a"), Some(Event::NodeRemoved)));
    }

    #[test]
    fn an_assumption_that_came_to_nothing_makes_room() {
        let mut cache = Cache::default();
        cache.set_node(node("a"));
        cache.assume(&pod("1", "", 100), "a");
        assert!(matches!(cache.forget_assumed("1"), Some(Event::PodLeft(_))));
        assert_eq!(cpu(&cache, "a"), 0);
    }
}
