//! Decisions, without I/O: which claims and volumes belong to a provisioner on this node, what the
//! provisioner is asked about them, and the objects that its answers become.

use k3s_client::Obj;
use k3s_meta::object::{annotation, annotations, labels, string_map};
use k3s_meta::quantity::{Format, Quantity};
use k3s_meta::tree;
use k3s_volume::{class_of, names, volume_name};
use serde_json::{Map, Value, json};

use crate::provisioner::{Affinity, Claim, Class, Existing, Node, Request, Volume, VolumeKind};

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
    let asked = annotation(value, names::STORAGE_PROVISIONER);
    let selected = annotation(value, names::SELECTED_NODE);
    let is_here = selected.is_none_or(|selected| selected == node);
    let is_bound = !volume_name(value).is_empty();
    asked == Some(provisioner) && is_here && !is_bound && !claim.is_deleting()
}

/// What the provisioner is asked.
pub(crate) fn request(claim: &Obj, class: &Obj, node: Option<&Obj>) -> Request {
    let selected = annotation(claim.value(), names::SELECTED_NODE);
    let node = match node {
        Some(node) if selected.is_some() => Some(node_of(node)),
        _ => None,
    };
    Request {
        volume_name: volume_name_of(claim),
        claim: claim_of(claim),
        class: class_facts(class),
        node,
    }
}

fn claim_of(claim: &Obj) -> Claim {
    let value = claim.value();
    let modes = tree::list(value, "spec.accessModes").iter();
    let modes = modes.filter_map(Value::as_str);
    let capacity = k3s_volume::request(value);
    let volume_mode = tree::text(value, "spec.volumeMode");
    let selector = tree::get(value, "spec.selector");
    Claim {
        namespace: claim.namespace().to_owned(),
        name: claim.name().to_owned(),
        uid: claim.uid().to_owned(),
        labels: pairs(labels(value)),
        annotations: pairs(annotations(value)),
        access_modes: modes.map(str::to_owned).collect(),
        capacity_bytes: bytes(capacity),
        block: volume_mode == "Block",
        has_selector: selector.is_some(),
    }
}

fn class_facts(class: &Obj) -> Class {
    let value = class.value();
    let parameters = string_map(value.get("parameters"));
    Class {
        name: class.name().to_owned(),
        annotations: pairs(annotations(value)),
        parameters: pairs(parameters),
    }
}

fn node_of(node: &Obj) -> Node {
    Node {
        name: node.name().to_owned(),
        labels: pairs(labels(node.value())),
    }
}

fn pairs(map: std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    let entries = map.into_iter();
    entries.take(MAX_ENTRIES).collect()
}

fn bytes(quantity: Option<Quantity>) -> u64 {
    let Some(quantity) = quantity else {
        return 0;
    };
    u64::try_from(quantity.value()).unwrap_or(0)
}

/// A size as a claim would write it.
pub(crate) fn quantity(bytes: u64) -> String {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let quantity = Quantity::from_value(bytes, Format::BinarySi);
    quantity.to_string()
}

/// The PersistentVolume of an answer.
pub(crate) fn volume(claim: &Obj, class: &Obj, made: &Volume, provisioner: &str) -> Value {
    let mut noted = Map::new();
    noted.insert(names::PROVISIONED_BY.to_owned(), json!(provisioner));
    for (key, value) in &made.annotations {
        noted.insert(key.clone(), json!(value));
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name_of(claim),
            "annotations": noted,
        },
        "spec": volume_spec(claim, class, made),
    })
}

fn volume_spec(claim: &Obj, class: &Obj, made: &Volume) -> Value {
    let policy = match tree::text(class.value(), "reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    let mut spec = json!({
        "accessModes": tree::get(claim.value(), "spec.accessModes"),
        "capacity": {"storage": quantity(made.capacity_bytes)},
        "claimRef": {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": claim.namespace(),
            "name": claim.name(),
            "uid": claim.uid(),
            "resourceVersion": claim.resource_version(),
        },
        "persistentVolumeReclaimPolicy": policy,
        "storageClassName": class_of(claim.value()),
        "volumeMode": "Filesystem",
    });
    let (field, source) = source(made);
    tree::set(&mut spec, field, source);
    if let Some(affinity) = &made.affinity {
        tree::set(&mut spec, "nodeAffinity", node_affinity(affinity));
    }
    let options = class.value().get("mountOptions");
    if let Some(options) = options
        && !options.is_null()
    {
        tree::set(&mut spec, "mountOptions", options.clone());
    }
    spec
}

/// The field of the volume's source, and the source.
fn source(made: &Volume) -> (&'static str, Value) {
    match made.kind {
        VolumeKind::Local => {
            let source = json!({"path": made.path});
            ("local", source)
        }
        VolumeKind::HostPath => {
            let source = json!({
                "path": made.path,
                "type": "DirectoryOrCreate",
            });
            ("hostPath", source)
        }
    }
}

fn node_affinity(affinity: &Affinity) -> Value {
    let requirement = json!({
        "key": affinity.key,
        "operator": "In",
        "values": affinity.values,
    });
    let term = json!({"matchExpressions": [requirement]});
    json!({
        "required": {"nodeSelectorTerms": [term]},
    })
}

/// A volume that `provisioner` made on this node, in the provisioner's terms.
pub(crate) fn existing(volume: &Obj, provisioner: &str, node: &str) -> Option<Existing> {
    let value = volume.value();
    if annotation(value, names::PROVISIONED_BY) != Some(provisioner) {
        return None;
    }
    let made_on = annotation(value, MADE_ON);
    if made_on.is_some_and(|made_on| made_on != node) {
        return None;
    }
    let path = directory(value)?;
    let capacity = tree::get(value, "spec.capacity.storage");
    let capacity = capacity.and_then(|text| Quantity::from_json(text).ok());
    Some(Existing {
        volume_name: volume.name().to_owned(),
        path: path.to_owned(),
        capacity_bytes: bytes(capacity),
        annotations: pairs(annotations(value)),
    })
}

/// The directory of a volume of either kind.
fn directory(volume: &Value) -> Option<&str> {
    let local = tree::text(volume, "spec.local.path");
    let host_path = tree::text(volume, "spec.hostPath.path");
    let mut paths = [local, host_path].into_iter();
    paths.find(|path| !path.is_empty())
}

/// Whether a volume's data is to be deleted now.
pub(crate) fn is_to_delete(volume: &Obj) -> bool {
    let value = volume.value();
    let phase = tree::text(value, "status.phase");
    let policy = tree::text(value, "spec.persistentVolumeReclaimPolicy");
    phase == "Released" && policy == "Delete" && !volume.is_deleting()
}

/// The size that a bound claim asks for beyond what it has.
pub(crate) fn growth(claim: &Obj, class: &Obj) -> Option<u64> {
    let value = claim.value();
    let capacity = tree::get(value, "status.capacity.storage")?;
    let has = Quantity::from_json(capacity).ok()?;
    let wanted = k3s_volume::request(value)?;
    let phase = tree::text(value, "status.phase");
    let is_bound = phase == "Bound" && !claim.is_deleting();
    let class = k3s_volume::Class(class.value());
    let grows = is_bound && class.can_expand() && wanted > has;
    if !grows {
        return None;
    }
    Some(bytes(Some(wanted)))
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
        assert_eq!(growth(&bound, &class(true)), Some(2 << 30));
        assert_eq!(growth(&bound, &class(false)), None);
        assert_eq!(growth(&claim(&json!({})), &class(true)), None);
    }
}
