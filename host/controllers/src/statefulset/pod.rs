//! Pure: the Pod of a place, and what makes an existing one carry its identity.

use k3s_client::resources::STATEFUL_SETS;
use k3s_meta::{object, tree};
use serde_json::{Map, Value, json};

use super::model::{Member, REVISION_LABEL, StatefulSet};
use crate::common::template;

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The Pod at `ordinal`, made from the PodTemplateSpec of a revision.
pub(super) fn build(
    owner: &StatefulSet,
    ordinal: i64,
    revision: &str,
    pod_template: &Value,
) -> Value {
    let mut pod = template::pod(pod_template, &owner.object, &STATEFUL_SETS);
    let name = owner.pod_name(ordinal);
    tree::remove(&mut pod, "metadata.generateName");
    tree::set(&mut pod, "metadata.name", name.as_str());
    for (label, value) in identity(owner, ordinal) {
        object::set_label(&mut pod, label, value);
    }
    object::set_label(&mut pod, REVISION_LABEL, revision);
    // With a headless Service of this name, `<pod>.<service>` is the Pod's own name in DNS.
    let service = tree::text(owner.object.value(), "spec.serviceName");
    tree::set(&mut pod, "spec.hostname", name);
    tree::set(&mut pod, "spec.subdomain", service);
    let declared = tree::list(pod_template, "spec.volumes");
    let volumes = volumes(owner, ordinal, declared);
    if !volumes.is_empty() {
        tree::set(&mut pod, "spec.volumes", volumes);
    }
    pod
}

fn identity(owner: &StatefulSet, ordinal: i64) -> [(&'static str, String); 2] {
    [
        (POD_NAME_LABEL, owner.pod_name(ordinal)),
        (POD_INDEX_LABEL, ordinal.to_string()),
    ]
}

/// The template's volumes; one that bears the name of a claim template gives way to the claim.
fn volumes(owner: &StatefulSet, ordinal: i64, others: &[Value]) -> Vec<Value> {
    let mut volumes = Vec::new();
    let mut names = Vec::new();
    for claim in owner.claim_templates() {
        let name = tree::text(claim, "metadata.name");
        names.push(name);
        volumes.push(json!({
            "name": name,
            "persistentVolumeClaim": {
                "claimName": owner.claim_name(claim, ordinal),
            },
        }));
    }
    for volume in others {
        let name = tree::text(volume, "name");
        if !names.contains(&name) {
            volumes.push(volume.clone());
        }
    }
    volumes
}

/// A patch that restores the labels of identity, where they were changed.
pub(super) fn restored(owner: &StatefulSet, member: &Member) -> Option<Value> {
    let mut labels = Map::new();
    for (label, value) in identity(owner, member.ordinal) {
        let is_right = member.object.label(label) == Some(value.as_str());
        if !is_right {
            labels.insert(label.to_owned(), value.into());
        }
    }
    if labels.is_empty() {
        return None;
    }
    Some(json!({
        "metadata": {
            "uid": member.object.uid(),
            "labels": labels,
        },
    }))
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    #[test]
    fn a_pod_carries_its_place_and_its_claims() {
        let object = Obj::from_value(json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "web", "namespace": "n", "uid": "u"},
            "spec": {"serviceName": "front", "replicas": 2, "ordinals": {"start": 3},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
                "template": {"metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [], "volumes": [{"name": "data", "emptyDir": {}}, {"name": "other", "emptyDir": {}}]}}}}))
        .unwrap();
        let owner = StatefulSet::read(&object);
        assert_eq!(owner.range(), 3..5);
        let pod = build(&owner, 3, "web-abc", owner.template());
        assert_eq!(pod["metadata"]["name"], "web-3");
        assert_eq!(pod["metadata"].get("generateName"), None);
        assert_eq!(
            pod["metadata"]["labels"],
            json!({"app": "web", "controller-revision-hash": "web-abc",
                "statefulset.kubernetes.io/pod-name": "web-3", "apps.kubernetes.io/pod-index": "3"})
        );
        assert_eq!(
            (&pod["spec"]["hostname"], &pod["spec"]["subdomain"]),
            (&json!("web-3"), &json!("front"))
        );
        assert_eq!(
            pod["spec"]["volumes"],
            json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-3"}}, {"name": "other", "emptyDir": {}}])
        );
    }
}
