//! Claims and their volumes: a pod runs where its volumes are or can be created.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct VolumeBinding;

impl Filter for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn refusal(&self, pod: &PodInfo) -> Option<String> {
        pod.volumes.refusal.as_ref().map(ToString::to_string)
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        pod.volumes
            .choose(node)
            .err()
            .map(|conflict| Reason::new(conflict.text()))
            .into_iter()
            .collect()
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        matches!(event, Event::StorageChanged) || event.is_of_labels()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use k3s_client::{Obj, Object};
    use serde_json::{Value, json};

    use super::*;
    use crate::cycle::{Decision, decide};
    use crate::model::{Choice, Storage, VolumeNeeds};
    use crate::plugins::default_profile;

    #[derive(Default)]
    struct Fake(HashMap<String, Object>);

    impl Fake {
        fn new(objects: &[Value]) -> Self {
            let key = |o: &Object| format!("{} {}", o.kind(), o.key());
            Self(
                objects
                    .iter()
                    .map(|o| Obj::from_value(o.clone()).unwrap())
                    .map(|o| (key(&o), o))
                    .collect(),
            )
        }
    }

    impl Storage for Fake {
        fn claim(&self, key: &str) -> Option<Object> {
            self.0.get(&format!("C {key}")).cloned()
        }
        fn volume(&self, name: &str) -> Option<Object> {
            self.0.get(&format!("V {name}")).cloned()
        }
        fn volumes(&self) -> Vec<Object> {
            self.0
                .iter()
                .filter(|(key, _)| key.starts_with("V "))
                .map(|(_, volume)| volume.clone())
                .collect()
        }
        fn class(&self, name: &str) -> Option<Object> {
            self.0.get(&format!("S {name}")).cloned()
        }
    }

    fn claim(extra: &Value) -> Value {
        let mut claim = json!({"kind": "C", "metadata": {"name": "data", "namespace": "n"},
            "spec": {"storageClassName": "s", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        k3s_meta::patch::merge_patch(&mut claim, extra).unwrap();
        claim
    }

    fn volume(name: &str, node: &str) -> Value {
        json!({"kind": "V", "metadata": {"name": name}, "status": {"phase": "Available"},
            "spec": {"storageClassName": "s", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions":
                    [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}})
    }

    fn class(mode: &str, provisioner: &str) -> Value {
        json!({"kind": "S", "metadata": {"name": "s"}, "provisioner": provisioner, "volumeBindingMode": mode})
    }

    fn node(name: &str) -> NodeInfo {
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}}});
        NodeInfo::read(&Obj::from_value(node).unwrap()).unwrap()
    }

    fn pod(storage: &Fake) -> PodInfo {
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "p"}, "spec": {"containers": [],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}});
        let mut pod = PodInfo::read(&Obj::from_value(pod).unwrap()).unwrap();
        pod.volumes = VolumeNeeds::read(&pod, storage);
        pod
    }

    fn outcome(objects: &[Value]) -> String {
        let pod = pod(&Fake::new(objects));
        match decide(&default_profile(), &pod, &[node("a"), node("b")], 0.0) {
            Decision::Node(name) => name,
            Decision::Nowhere(message, _) => message,
        }
    }

    #[test]
    fn claims_decide_where_a_pod_goes() {
        let bound = |volume: &str| {
            claim(
                &json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": volume}}),
            )
        };
        let waits = || class("WaitForFirstConsumer", "example.com/p");
        let none = json!({});
        for (objects, expected) in [
            (
                vec![],
                "0/2 nodes are available: persistentvolumeclaim \"data\" not found.",
            ),
            (
                vec![claim(&none), class("Immediate", "example.com/p")],
                "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            ),
            (vec![bound("v"), volume("v", "b")], "b"),
            (
                vec![bound("v"), volume("v", "c")],
                "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
            ),
            (
                vec![bound("v")],
                "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
            ),
            (
                vec![
                    claim(&none),
                    class("WaitForFirstConsumer", "kubernetes.io/no-provisioner"),
                    volume("v", "b"),
                ],
                "b",
            ),
            (
                vec![
                    claim(&none),
                    class("WaitForFirstConsumer", "kubernetes.io/no-provisioner"),
                ],
                "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
            ),
            (
                vec![
                    claim(
                        &json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "b"}}}),
                    ),
                    waits(),
                ],
                "b",
            ),
        ] {
            assert_eq!(outcome(&objects), expected);
        }
    }

    #[test]
    fn an_existing_volume_is_taken_before_one_is_made() {
        let waits = class("WaitForFirstConsumer", "example.com/p");
        let pod = pod(&Fake::new(&[claim(&json!({})), waits, volume("v", "b")]));
        assert!(matches!(
            pod.volumes.choose(&node("b")).unwrap()[..],
            [Choice::Static { .. }]
        ));
        assert!(matches!(
            pod.volumes.choose(&node("a")).unwrap()[..],
            [Choice::Provision { .. }]
        ));
    }
}
