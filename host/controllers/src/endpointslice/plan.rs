//! Pure: which slices to write. Endpoints stay in the slice they are in, so that a change of one
//! Pod is a change of one slice.

use std::collections::BTreeMap;

use k3s_client::Object;
use k3s_client::resources::SERVICES;
use k3s_meta::tree;
use k3s_objects::endpoint_slice::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use serde_json::{Value, json};

use super::model::{Group, MANAGER};
use crate::common::endpoint_slices::Action;
use crate::common::service::{HEADLESS, Service};
use crate::common::template::controller_reference;

/// Endpoints per slice, as upstream's default.
const CAPACITY: usize = 100;

/// A slice under construction.
struct Draft {
    from: Option<Object>,
    endpoints: Vec<Value>,
    changed: bool,
}

impl Draft {
    /// A slice that does not exist yet.
    fn new(endpoints: Vec<Value>) -> Self {
        Self {
            from: None,
            endpoints,
            changed: true,
        }
    }
}

pub(super) fn plan(service: &Service<'_>, groups: &[Group], existing: &[Object]) -> Vec<Action> {
    let mut left: Vec<Object> = existing
        .iter()
        .filter(|slice| !slice.is_deleting())
        .cloned()
        .collect();
    left.sort_by(|a, b| a.name().cmp(b.name()));
    let mut actions = Vec::new();
    for group in groups {
        let (mut own, others): (Vec<Object>, Vec<Object>) =
            left.into_iter().partition(|slice| fits(slice, group));
        left = others;
        if own.is_empty() {
            // A placeholder may be filled with the first real endpoints.
            let placeholder = left.iter().position(|slice| is_placeholder(slice, group));
            if let Some(at) = placeholder {
                own.push(left.remove(at));
            }
        }
        let filled = fill(service, group, own);
        actions.extend(filled);
    }
    let unused = left.into_iter().map(Action::Delete);
    actions.extend(unused);
    actions
}

fn fits(slice: &Object, group: &Group) -> bool {
    tree::text(slice.value(), "addressType") == group.family
        && tree::list(slice.value(), "ports") == group.ports.as_slice()
}

fn is_placeholder(slice: &Object, group: &Group) -> bool {
    tree::text(slice.value(), "addressType") == group.family
        && tree::list(slice.value(), "endpoints").is_empty()
}

fn fill(service: &Service<'_>, group: &Group, slices: Vec<Object>) -> Vec<Action> {
    let mut wanted: BTreeMap<&str, &Value> = group
        .endpoints
        .iter()
        .map(|(uid, endpoint)| (uid.as_str(), endpoint))
        .collect();
    let mut drafts: Vec<Draft> = slices
        .into_iter()
        .map(|slice| keep(slice, &mut wanted))
        .collect();
    let fresh = wanted.into_values().cloned().collect();
    place(fresh, &mut drafts);
    if group.endpoints.is_empty() && drafts.is_empty() {
        drafts.push(Draft::new(Vec::new()));
    }
    // Of empty slices one stays where nothing serves, so that readers know the Service was seen.
    let mut spare = usize::from(group.endpoints.is_empty());
    let mut actions = Vec::new();
    for draft in drafts {
        if draft.endpoints.is_empty() {
            if spare == 0 {
                let unused = draft.from.map(Action::Delete);
                actions.extend(unused);
                continue;
            }
            spare -= 1;
        }
        let written = write(service, group, draft);
        actions.extend(written);
    }
    actions
}

/// Puts new endpoints where there is room, and the rest into new slices.
fn place(mut fresh: Vec<Value>, drafts: &mut Vec<Draft>) {
    // Slices that are written anyway take new endpoints first.
    drafts.sort_by_key(|draft| !draft.changed);
    for draft in drafts.iter_mut() {
        let free = CAPACITY.saturating_sub(draft.endpoints.len());
        let room = free.min(fresh.len());
        if room > 0 {
            draft.changed = true;
            draft.endpoints.extend(fresh.drain(..room));
        }
    }
    for chunk in fresh.chunks(CAPACITY) {
        drafts.push(Draft::new(chunk.to_vec()));
    }
}

fn keep(slice: Object, wanted: &mut BTreeMap<&str, &Value>) -> Draft {
    let present = tree::list(slice.value(), "endpoints");
    let endpoints: Vec<Value> = present
        .iter()
        .filter_map(|e| wanted.remove(tree::text(e, "targetRef.uid")).cloned())
        .collect();
    let changed = endpoints != present;
    Draft {
        from: Some(slice),
        endpoints,
        changed,
    }
}

fn write(service: &Service<'_>, group: &Group, draft: Draft) -> Option<Action> {
    let labels = labels(service);
    let Some(slice) = draft.from else {
        let owner = controller_reference(service.object, &SERVICES);
        return Some(Action::Create(json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": format!("{}-", service.object.name()),
                "namespace": service.object.namespace(),
                "labels": labels,
                "ownerReferences": [owner],
            },
            "addressType": group.family,
            "endpoints": draft.endpoints,
            "ports": group.ports,
        })));
    };
    let mut body = slice.value().clone();
    tree::set(&mut body, "metadata.labels", json!(labels));
    if tree::list(&body, "endpoints") != draft.endpoints.as_slice() {
        tree::set(&mut body, "endpoints", draft.endpoints);
    }
    if tree::list(&body, "ports") != group.ports.as_slice() {
        tree::set(&mut body, "ports", group.ports.clone());
    }
    if tree::get(&body, "ports").is_some_and(Value::is_null) {
        tree::remove(&mut body, "ports");
    }
    if body == *slice.value() {
        return None;
    }
    Some(Action::Update(body))
}

fn labels(service: &Service<'_>) -> BTreeMap<String, String> {
    let mut labels = service.labels();
    labels.insert(SERVICE_NAME_LABEL.into(), service.object.name().to_owned());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    if !service.spec.is_headless() {
        labels.remove(HEADLESS);
    }
    labels
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    fn service() -> Object {
        Obj::from_value(
            json!({"metadata": {"name": "s", "namespace": "n", "uid": "s"},
            "spec": {"selector": {"app": "a"}, "clusterIP": "None", "ports": [{"port": 80}]}}),
        )
        .unwrap()
    }

    fn plan(object: &Object, groups: &[Group], existing: &[Object]) -> Vec<Action> {
        let service = Service::read(object).unwrap();
        super::plan(&service, groups, existing)
    }

    fn group(uids: std::ops::Range<usize>) -> Group {
        let endpoint = |n: usize| {
            (
                format!("{n:04}"),
                json!({"addresses": ["10.42.0.1"], "targetRef": {"uid": format!("{n:04}")}}),
            )
        };
        Group {
            family: "IPv4".into(),
            ports: vec![json!({"name": "", "port": 80, "protocol": "TCP"})],
            endpoints: uids.map(endpoint).collect(),
        }
    }

    fn stored(actions: Vec<Action>) -> Vec<Object> {
        let bodies = actions.into_iter().filter_map(|a| match a {
            Action::Create(body) | Action::Update(body) => Some(body),
            Action::Delete(_) => None,
        });
        bodies
            .enumerate()
            .map(|(n, mut body)| {
                body["metadata"]["name"] = format!("s-{n}").into();
                Obj::from_value(body).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let empty = [Group {
            family: "IPv4".into(),
            ports: vec![],
            endpoints: BTreeMap::new(),
        }];
        let actions = plan(&service(), &empty, &[]);
        let slices = stored(actions);
        assert_eq!(slices.len(), 1);
        assert_eq!(slices[0].label(HEADLESS), Some(""));
        assert!(plan(&service(), &empty, &slices).is_empty());
        // The first endpoint fills it rather than making a second.
        assert!(
            matches!(plan(&service(), &[group(0..1)], &slices).as_slice(), [Action::Update(body)] if body["endpoints"].as_array().unwrap().len() == 1)
        );
    }

    #[test]
    fn slices_hold_a_hundred_and_one_change_touches_one_slice() {
        let slices = stored(plan(&service(), &[group(0..250)], &[]));
        assert_eq!(slices.len(), 3);
        assert!(plan(&service(), &[group(0..250)], &slices).is_empty());
        let mut fewer = group(0..250);
        fewer.endpoints.remove("0005");
        let actions = plan(&service(), &[fewer], &slices);
        assert!(
            matches!(actions.as_slice(), [Action::Update(body)] if body["endpoints"].as_array().unwrap().len() == 99)
        );
        let gone = plan(&service(), &[group(0..100)], &slices);
        assert_eq!(
            gone.iter()
                .filter(|a| matches!(a, Action::Delete(_)))
                .count(),
            2
        );
    }
}
