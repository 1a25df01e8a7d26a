//! Table tests of the decisions: a Service and its assignment in, one write out.

use super::*;
use crate::model::Forward;

const NOW: &str = "2026-01-01T00:00:00Z";

fn service(kind: &str, more: Value) -> Value {
    let mut service = json!({"metadata": {"name": "s"}, "spec": {"type": kind}});
    json_patch(&mut service, more);
    service
}

fn json_patch(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(name, value)| {
                json_patch(into.entry(name).or_insert(Value::Null), value)
            });
        }
        (into, from) => *into = from,
    }
}

fn assignment(ips: &[&str], problems: &[&str]) -> Assignment {
    Assignment {
        service: "n/s".into(),
        claimed: true,
        ingress: ips
            .iter()
            .map(|ip| Ingress {
                ip: ip.parse().unwrap(),
                proxy: false,
            })
            .collect(),
        forwards: Vec::new(),
        problems: problems
            .iter()
            .map(|m| Problem {
                reason: PORT_CONFLICT.into(),
                message: (*m).into(),
            })
            .collect(),
    }
}

fn held() -> Value {
    json!({"metadata": {"finalizers": ["other", FINALIZER]}})
}

fn with_status(status: Value) -> Value {
    let mut more = held();
    json_patch(&mut more, json!({"status": status}));
    more
}

const SHOWN: &str = r#"{"ip": "192.0.2.1", "ipMode": "VIP"}"#;

fn shown() -> Value {
    serde_json::from_str(SHOWN).unwrap()
}

#[test]
fn the_finalizer_comes_first_and_goes_last() {
    let ours = assignment(&["192.0.2.1"], &[]);
    let fresh = service(
        "LoadBalancer",
        json!({"metadata": {"finalizers": ["other"]}}),
    );
    let both = vec!["other".to_owned(), FINALIZER.to_owned()];
    assert_eq!(next(&fresh, Some(&ours), NOW), Some(Step::Finalizers(both)));

    let held = service("LoadBalancer", held());
    let status = Step::Status(json!({"loadBalancer": {"ingress": [shown()]}}));
    assert_eq!(next(&held, Some(&ours), NOW), Some(status));

    let mut done = service(
        "LoadBalancer",
        with_status(json!({"loadBalancer": {"ingress": [shown()]}})),
    );
    assert_eq!(next(&done, Some(&ours), NOW), None);

    done["metadata"]["deletionTimestamp"] = NOW.into();
    let forward = Forward {
        node: "n1".into(),
        addresses: Vec::new(),
    };
    let answering = Assignment {
        forwards: vec![forward],
        ..assignment(&[], &[])
    };
    assert_eq!(
        next(&done, Some(&answering), NOW),
        None,
        "nodes still answer"
    );
    assert_eq!(
        next(&done, Some(&assignment(&[], &[])), NOW),
        Some(Step::Finalizers(vec!["other".into()]))
    );
    done["metadata"]["finalizers"] = json!(["other"]);
    assert_eq!(next(&done, Some(&assignment(&[], &[])), NOW), None);
}

#[test]
fn a_change_of_type_takes_everything_back() {
    let mut was = service(
        "ClusterIP",
        with_status(json!({"loadBalancer": {"ingress": [shown()]}})),
    );
    assert_eq!(
        next(&was, Some(&assignment(&[], &[])), NOW),
        None,
        "nodes still answer"
    );
    assert_eq!(
        next(&was, None, NOW),
        Some(Step::Status(json!({"loadBalancer": {"ingress": null}})))
    );
    was["status"] = json!({"loadBalancer": {}});
    assert_eq!(
        next(&was, None, NOW),
        Some(Step::Finalizers(vec!["other".into()]))
    );
}

#[test]
fn services_of_others_are_not_touched() {
    let foreign = Assignment {
        claimed: false,
        ..assignment(&[], &[])
    };
    let object = service(
        "LoadBalancer",
        with_status(json!({"loadBalancer": {"ingress": [shown()]}})),
    );
    assert_eq!(next(&object, Some(&foreign), NOW), None);
    assert_eq!(next(&object, None, NOW), None);
    assert_eq!(next(&service("ClusterIP", json!({})), None, NOW), None);
}

#[test]
fn a_port_conflict_is_a_condition_among_others() {
    let foreign = json!({"type": "Other", "status": "True"});
    let fresh = service(
        "LoadBalancer",
        with_status(json!({"conditions": [foreign.clone()]})),
    );
    let Some(Step::Status(status)) = next(&fresh, Some(&assignment(&[], &["taken"])), NOW) else {
        panic!("no write")
    };
    assert_eq!(status["conditions"][0], foreign);
    let ours = &status["conditions"][1];
    assert_eq!(
        (
            field(ours, "type"),
            field(ours, "status"),
            field(ours, "message")
        ),
        (PORTS_ERROR, "True", "taken")
    );

    let conflict = service("LoadBalancer", with_status(status.clone()));
    assert_eq!(
        next(&conflict, Some(&assignment(&[], &["taken"])), "later"),
        None,
        "nothing new"
    );
    let Some(Step::Status(other)) = next(&conflict, Some(&assignment(&[], &["worse"])), "later")
    else {
        panic!("no write")
    };
    assert_eq!(
        field(&other["conditions"][1], "lastTransitionTime"),
        NOW,
        "it was true all the time"
    );
    let free = next(&conflict, Some(&assignment(&["192.0.2.1"], &[])), NOW);
    let expected = json!({"loadBalancer": {"ingress": [shown()]}, "conditions": [foreign]});
    assert_eq!(free, Some(Step::Status(expected)));
}

#[test]
fn only_what_shows_nodes_is_released() {
    let nodes = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
    let with = |ip: &str| {
        service(
            "LoadBalancer",
            with_status(json!({"loadBalancer": {"ingress": [{"ip": ip}]}})),
        )
    };
    assert_eq!(
        release(&with("192.0.2.1"), &nodes),
        Some(Step::Status(json!({"loadBalancer": {"ingress": null}})))
    );
    assert_eq!(release(&with("203.0.113.9"), &nodes), None);
    let hostname = service(
        "LoadBalancer",
        with_status(json!({"loadBalancer": {"ingress": [{"hostname": "a.b"}]}})),
    );
    assert_eq!(release(&hostname, &nodes), None);
    let empty = service("LoadBalancer", held());
    assert_eq!(
        release(&empty, &nodes),
        Some(Step::Finalizers(vec!["other".into()]))
    );
    assert_eq!(release(&service("LoadBalancer", json!({})), &nodes), None);
}
