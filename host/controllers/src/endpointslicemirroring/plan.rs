//! Pure: one slice for each group. Slices whose group no longer exists take in new groups of their family, so
//! that readers see a change instead of a gap.

use std::collections::BTreeMap;

use k3s_client::Object;
use k3s_client::resources::ENDPOINTS;
use k3s_meta::tree;
use k3s_objects::endpoint_slice::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use serde_json::{Map, Value, json};

use super::MANAGER;
use super::model::Group;
use crate::common::endpoint_slices::Action;
use crate::common::template::controller_reference;

/// Annotations of Endpoints that say nothing about its slices.
const OWN_ANNOTATIONS: [&str; 2] = [
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];

pub(super) fn plan(endpoints: &Object, groups: Vec<Group>, existing: &[Object]) -> Vec<Action> {
    let mut left: Vec<&Object> = existing
        .iter()
        .filter(|slice| !slice.is_deleting())
        .collect();
    left.sort_by(|a, b| a.name().cmp(b.name()));
    let mut take = |fits: &dyn Fn(&Value) -> bool| {
        let at = left.iter().position(|slice| fits(slice.value()))?;
        Some(left.remove(at))
    };
    let of_family = |slice: &Value, group: &Group| tree::text(slice, "addressType") == group.family;
    let mut placed: Vec<(Group, Option<&Object>)> = Vec::new();
    for group in groups {
        let ports = group.ports.as_slice();
        let same = |slice: &Value| of_family(slice, &group) && tree::list(slice, "ports") == ports;
        let own = take(&same);
        placed.push((group, own));
    }
    let mut actions = Vec::new();
    for (group, own) in placed {
        let slice = own.or_else(|| take(&|slice| of_family(slice, &group)));
        actions.extend(write(endpoints, group, slice));
    }
    actions.extend(left.into_iter().cloned().map(Action::Delete));
    actions
}

/// The write that makes a slice what `group` says; none where it is that already.
fn write(endpoints: &Object, group: Group, slice: Option<&Object>) -> Option<Action> {
    let mut metadata = json!({
        "namespace": endpoints.namespace(),
        "labels": labels(endpoints),
        "ownerReferences": [controller_reference(endpoints, &ENDPOINTS)],
    });
    let annotations = annotations(endpoints);
    if !annotations.is_empty() {
        tree::set(&mut metadata, "annotations", json!(annotations));
    }
    let Some(slice) = slice else {
        let prefix = format!("{}-", endpoints.name());
        tree::set(&mut metadata, "generateName", prefix);
        return Some(Action::Create(json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": group.family,
            "endpoints": group.endpoints,
            "ports": group.ports,
        })));
    };
    let mut body = slice.value().clone();
    for key in ["labels", "annotations", "ownerReferences"] {
        let path = format!("metadata.{key}");
        match tree::get(&metadata, key) {
            Some(value) => tree::set(&mut body, &path, value.clone()),
            None => {
                tree::remove(&mut body, &path);
            }
        }
    }
    tree::set(&mut body, "endpoints", group.endpoints);
    if tree::list(&body, "ports") != group.ports.as_slice() {
        tree::set(&mut body, "ports", group.ports);
    }
    (body != *slice.value()).then_some(Action::Update(body))
}

fn labels(endpoints: &Object) -> BTreeMap<String, String> {
    let mut labels = endpoints.meta().labels.clone();
    labels.insert(SERVICE_NAME_LABEL.into(), endpoints.name().to_owned());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    labels
}

fn annotations(endpoints: &Object) -> Map<String, Value> {
    let all = tree::map(endpoints.value(), "metadata.annotations").iter();
    let kept = all.filter(|(name, _)| !OWN_ANNOTATIONS.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    fn endpoints(uid: &str) -> Object {
        Obj::from_value(
            json!({"metadata": {"name": "s", "namespace": "n", "uid": uid,
            "labels": {"l": "1"},
            "annotations": {"a": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}}),
        )
        .unwrap()
    }

    fn group(family: &'static str, port: u16, ip: &str) -> Group {
        Group {
            family,
            ports: vec![json!({"name": "", "port": port, "protocol": "TCP"})],
            endpoints: vec![json!({"addresses": [ip], "conditions": {"ready": true}})],
        }
    }

    fn stored(actions: Vec<Action>) -> Vec<Object> {
        let bodies = actions.into_iter().filter_map(|action| match action {
            Action::Create(body) | Action::Update(body) => Some(body),
            Action::Delete(_) => None,
        });
        let named = bodies.enumerate().map(|(n, mut body)| {
            body["metadata"]["name"] = format!("s-{n}").into();
            Obj::from_value(body).unwrap()
        });
        named.collect()
    }

    #[test]
    fn a_slice_is_made_once_and_carries_labels_annotations_and_owner() {
        let slices = stored(plan(
            &endpoints("u"),
            vec![group("IPv4", 80, "10.0.0.1")],
            &[],
        ));
        let meta = &slices[0].value()["metadata"];
        assert_eq!(
            meta["labels"],
            json!({"l": "1", SERVICE_NAME_LABEL: "s", MANAGED_BY_LABEL: MANAGER})
        );
        assert_eq!(meta["annotations"], json!({"a": "1"}));
        let owner = &meta["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["uid"]),
            (&json!("Endpoints"), &json!("u"))
        );
        assert_eq!(meta["generateName"], "s-");
        let again = vec![group("IPv4", 80, "10.0.0.1")];
        assert!(plan(&endpoints("u"), again, &slices).is_empty());
        // Endpoints that were made again own the slice.
        let again = vec![group("IPv4", 80, "10.0.0.1")];
        let actions = plan(&endpoints("v"), again, &slices);
        assert!(matches!(actions.as_slice(), [Action::Update(_)]));
    }

    #[test]
    fn slices_without_group_are_used_again_in_their_family_or_deleted() {
        let two = vec![group("IPv4", 80, "10.0.0.1"), group("IPv6", 80, "fd00::1")];
        let slices = stored(plan(&endpoints("u"), two, &[]));
        let moved = plan(
            &endpoints("u"),
            vec![group("IPv4", 81, "10.0.0.1")],
            &slices,
        );
        let [Action::Update(body), Action::Delete(ipv6)] = moved.as_slice() else {
            panic!("{moved:?}");
        };
        assert_eq!(
            (&body["metadata"]["name"], &body["ports"][0]["port"]),
            (&json!("s-0"), &json!(81))
        );
        assert_eq!(ipv6.name(), "s-1");
    }

    #[test]
    fn a_change_of_an_address_updates_its_slice() {
        let slices = stored(plan(
            &endpoints("u"),
            vec![group("IPv4", 80, "10.0.0.1")],
            &[],
        ));
        let actions = plan(
            &endpoints("u"),
            vec![group("IPv4", 80, "10.0.0.2")],
            &slices,
        );
        let [Action::Update(body)] = actions.as_slice() else {
            panic!("{actions:?}");
        };
        assert_eq!(body["endpoints"][0]["addresses"][0], "10.0.0.2");
    }
}
