//! Decisions, without I/O: which claims and volumes belong to a provisioner on this node, what the
//! provisioner is asked about them, and the objects that its answers become.

use k3s_client::Obj;
use k3s_meta::object::{annotation, annotations, labels};
use k3s_meta::quantity::{Format, Quantity};
use k3s_meta::tree;
use k3s_volume::{class_of, names, volume_name};
use serde_json::{Map, Value, json};

use crate::provisioner::{Claim, Class, Existing, Node, Request, Volume, VolumeKind};

/// Notes on a volume the node it was made on; K3s' provisioner does the same.
const MADE_ON: &str = "local.path.provisioner/selected-node";
/// Most entries that a guest is given of a map.
const MAX_ENTRIES: usize = 1000;

/// The name of a claim's volume.
pub(crate) fn volume_name_of(claim: &Obj) -> String {
    format!("pvc-{}", claim.uid())
}

/// Whether a claim waits for a volume of `provisioner` on this node.
pub(crate) fn is_wanted(claim: &Obj, provisioner: &str, node: &str) -> bool {
    let value = claim.value();
    let selected = annotation(value, names::SELECTED_NODE);
    !claim.is_deleting()
        && volume_name(value).is_empty()
        && annotation(value, names::STORAGE_PROVISIONER) == Some(provisioner)
        && selected.is_none_or(|selected| selected == node)
}

/// What the provisioner is asked.
pub(crate) fn request(claim: &Obj, class: &Obj, node: Option<&Obj>) -> Request {
    let value = claim.value();
    let selected = annotation(value, names::SELECTED_NODE).is_some();
    Request {
        volume_name: volume_name_of(claim),
        claim: Claim {
            namespace: claim.namespace().to_owned(),
            name: claim.name().to_owned(),
            uid: claim.uid().to_owned(),
            labels: pairs(labels(value)),
            annotations: pairs(annotations(value)),
            access_modes: tree::list(value, "spec.accessModes")
                .iter()
                .filter_map(|m| m.as_str().map(Into::into))
                .collect(),
            capacity_bytes: bytes(k3s_volume::request(value)),
            block: tree::text(value, "spec.volumeMode") == "Block",
            has_selector: tree::get(value, "spec.selector").is_some(),
        },
        class: Class {
            name: class.name().to_owned(),
            annotations: pairs(annotations(class.value())),
            parameters: pairs(k3s_meta::object::string_map(
                class.value().get("parameters"),
            )),
        },
        node: node.filter(|_| selected).map(|node| Node {
            name: node.name().to_owned(),
            labels: pairs(labels(node.value())),
        }),
    }
}

fn pairs(map: std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    map.into_iter().take(MAX_ENTRIES).collect()
}

fn bytes(quantity: Option<Quantity>) -> u64 {
    quantity.map_or(0, |q| u64::try_from(q.value()).unwrap_or(0))
}

/// A size as a claim would write it.
pub(crate) fn quantity(bytes: u64) -> String {
    Quantity::from_value(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi).to_string()
}

/// The PersistentVolume of an answer.
pub(crate) fn volume(claim: &Obj, class: &Obj, made: &Volume, provisioner: &str) -> Value {
    let mut spec = json!({
        "accessModes": tree::get(claim.value(), "spec.accessModes"),
        "capacity": {"storage": quantity(made.capacity_bytes)},
        "claimRef": {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1",
            "namespace": claim.namespace(), "name": claim.name(), "uid": claim.uid(),
            "resourceVersion": claim.resource_version(),
        },
        "persistentVolumeReclaimPolicy": match tree::text(class.value(), "reclaimPolicy") { "" => "Delete", policy => policy },
        "storageClassName": class_of(claim.value()),
        "volumeMode": "Filesystem",
    });
    let source = match made.kind {
        VolumeKind::Local => ("local", json!({"path": made.path})),
        VolumeKind::HostPath => (
            "hostPath",
            json!({"path": made.path, "type": "DirectoryOrCreate"}),
        ),
    };
    if let Some(map) = spec.as_object_mut() {
        map.insert(source.0.to_owned(), source.1);
        if let Some(affinity) = &made.affinity {
            let term = json!({"matchExpressions": [{"key": affinity.key, "operator": "In", "values": affinity.values}]});
            map.insert(
                "nodeAffinity".into(),
                json!({"required": {"nodeSelectorTerms": [term]}}),
            );
        }
        if let Some(options) = class.value().get("mountOptions").filter(|o| !o.is_null()) {
            map.insert("mountOptions".into(), options.clone());
        }
    }
    let mut noted = Map::from_iter([(names::PROVISIONED_BY.to_owned(), provisioner.into())]);
    for (key, value) in &made.annotations {
        noted.insert(key.clone(), value.as_str().into());
    }
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_name_of(claim), "annotations": noted},
        "spec": spec,
    })
}

/// A volume that `provisioner` made on this node, in the provisioner's terms.
pub(crate) fn existing(volume: &Obj, provisioner: &str, node: &str) -> Option<Existing> {
    let value = volume.value();
    if annotation(value, names::PROVISIONED_BY) != Some(provisioner) {
        return None;
    }
    if annotation(value, MADE_ON).is_some_and(|made_on| made_on != node) {
        return None;
    }
    let path = ["local", "hostPath"]
        .iter()
        .map(|kind| tree::text(value, &format!("spec.{kind}.path")))
        .find(|p| !p.is_empty())?;
    let capacity =
        tree::get(value, "spec.capacity.storage").and_then(|c| Quantity::from_json(c).ok());
    Some(Existing {
        volume_name: volume.name().to_owned(),
        path: path.to_owned(),
        capacity_bytes: bytes(capacity),
        annotations: pairs(annotations(value)),
    })
}

/// Whether a volume's data is to be deleted now.
pub(crate) fn is_to_delete(volume: &Obj) -> bool {
    tree::text(volume.value(), "status.phase") == "Released"
        && tree::text(volume.value(), "spec.persistentVolumeReclaimPolicy") == "Delete"
        && !volume.is_deleting()
}

/// The size that a bound claim asks for beyond what it has.
pub(crate) fn growth(claim: &Obj, class: Option<&Obj>) -> Option<u64> {
    let value = claim.value();
    let capacity = tree::get(value, "status.capacity.storage")?;
    let has = Quantity::from_json(capacity).ok()?;
    let wanted = k3s_volume::request(value)?;
    let is_bound = tree::text(value, "status.phase") == "Bound" && !claim.is_deleting();
    let can_expand = class.is_some_and(|class| k3s_volume::Class(class.value()).can_expand());
    let grows = is_bound && can_expand && wanted > has;
    grows.then(|| bytes(Some(wanted)))
}

#[cfg(test)]
mod tests {
    use k3s_client::Object;

    use super::*;
    use crate::provisioner::Affinity;

    const PROVISIONER: &str = "rancher.io/local-path";

    fn object(value: Value) -> Object {
        Obj::from_value(value).unwrap()
    }

    fn claim(extra: &Value) -> Object {
        let mut claim = json!({"metadata": {"name": "data", "namespace": "n", "uid": "u",
                "annotations": {"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path",
                    "volume.kubernetes.io/selected-node": "a"}},
            "spec": {"storageClassName": "local-path", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}});
        k3s_meta::patch::merge_patch(&mut claim, extra).unwrap();
        object(claim)
    }

    #[test]
    fn only_claims_of_this_node_and_provisioner_are_wanted() {
        assert!(is_wanted(&claim(&json!({})), PROVISIONER, "a"));
        assert!(!is_wanted(&claim(&json!({})), PROVISIONER, "b"));
        assert!(!is_wanted(
            &claim(&json!({"spec": {"volumeName": "v"}})),
            PROVISIONER,
            "a"
        ));
        let other = json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "x/y"}}});
        assert!(!is_wanted(&claim(&other), PROVISIONER, "a"));
    }

    #[test]
    fn a_volume_is_what_the_provisioner_answered() {
        let class = object(json!({"metadata": {"name": "local-path"}, "reclaimPolicy": "Retain"}));
        let node =
            object(json!({"metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}}}));
        let claim = claim(&json!({}));
        let asked = request(&claim, &class, Some(&node));
        assert_eq!(
            (asked.volume_name.as_str(), asked.claim.capacity_bytes),
            ("pvc-u", 2 << 30)
        );
        assert_eq!(asked.node.unwrap().name, "a");
        let made = Volume {
            kind: VolumeKind::Local,
            path: "/s/x".into(),
            affinity: Some(Affinity {
                key: "kubernetes.io/hostname".into(),
                values: vec!["a".into()],
            }),
            capacity_bytes: 2 << 30,
            annotations: vec![(MADE_ON.into(), "a".into())],
        };
        let volume = volume(&claim, &class, &made, PROVISIONER);
        assert_eq!(volume["spec"]["local"]["path"], "/s/x");
        assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
        assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        assert_eq!(
            volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"],
            PROVISIONER
        );
        let stored = object(volume);
        assert_eq!(existing(&stored, PROVISIONER, "a").unwrap().path, "/s/x");
        assert!(
            existing(&stored, PROVISIONER, "b").is_none(),
            "another node's"
        );
        assert!(!is_to_delete(&stored));
    }

    #[test]
    fn bound_claims_grow_where_the_class_allows() {
        let bound = claim(&json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}));
        let class = |allows: bool| {
            object(json!({"metadata": {"name": "s"}, "allowVolumeExpansion": allows}))
        };
        assert_eq!(growth(&bound, Some(&class(true))), Some(2 << 30));
        assert_eq!(growth(&bound, Some(&class(false))), None);
        assert_eq!(growth(&claim(&json!({})), Some(&class(true))), None);
    }
}
