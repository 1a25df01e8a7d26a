//! `autoscaling/v1` over the stored `autoscaling/v2` (`pkg/apis/autoscaling/v1/conversion.go`).
//!
//! The first version knows CPU utilization alone; what else there is travels in annotations as JSON,
//! under the keys of `pkg/apis/autoscaling/annotations.go`.

use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::older;
use crate::convert::Conversion;

/// `autoscaling/v1`, stored as `autoscaling/v2`.
pub(super) const V1: Conversion = Conversion {
    version: "v1",
    to_served,
    to_stored,
};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
/// Annotations that no stored object has.
const CARRIERS: [&str; 6] = [
    METRICS,
    BEHAVIOR,
    CURRENT,
    CONDITIONS,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

const TARGET_CPU: &str = "spec.targetCPUUtilizationPercentage";
const CURRENT_CPU: &str = "status.currentCPUUtilizationPercentage";

fn to_served(scaler: &mut Value) {
    tree::set(scaler, "apiVersion", "autoscaling/v1");
    drop_carriers(scaler);
    let metrics = take_list(scaler, "spec.metrics");
    let target = |metric: &Value| cpu(metric, "resource.target.averageUtilization");
    if let Some(target) = metrics.iter().find_map(target) {
        tree::set(scaler, TARGET_CPU, target);
    }
    let others: Vec<Value> = metrics
        .into_iter()
        .filter(|it| target(it).is_none())
        .collect();
    if !others.is_empty() {
        annotate(
            scaler,
            METRICS,
            older::write_metrics(&others, &older::SPECS),
        );
    }
    // All of the status is told again, with the raw value of CPU that version 1 has no field for.
    let current = take_list(scaler, "status.currentMetrics");
    let shown = |metric: &Value| cpu(metric, "resource.current.averageUtilization");
    if let Some(value) = current.iter().rev().find_map(shown) {
        tree::set(scaler, CURRENT_CPU, value);
    }
    if !current.is_empty() {
        annotate(
            scaler,
            CURRENT,
            older::write_metrics(&current, &older::STATUSES),
        );
    }
    if let Some(behavior) = tree::remove(scaler, "spec.behavior") {
        annotate(scaler, BEHAVIOR, older::write_behavior(&behavior));
    }
    let conditions = take_list(scaler, "status.conditions");
    if !conditions.is_empty() {
        annotate(scaler, CONDITIONS, older::write_conditions(&conditions));
    }
}

fn to_stored(scaler: &mut Value) {
    tree::set(scaler, "apiVersion", "autoscaling/v2");
    let text = carried(scaler, METRICS);
    let others = text.and_then(|text| older::read_metrics(&text, &older::SPECS));
    let mut metrics = others.unwrap_or_default();
    metrics.iter_mut().for_each(older::type_targets);
    if let Some(percent) = tree::remove(scaler, TARGET_CPU) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        metrics.push(cpu_metric("target", &target));
    }
    let mut current = Vec::new();
    if let Some(percent) = tree::remove(scaler, CURRENT_CPU) {
        current.push(cpu_metric(
            "current",
            &json!({"averageUtilization": percent}),
        ));
    }
    let text = carried(scaler, CURRENT);
    if let Some(told) = text.and_then(|text| older::read_metrics(&text, &older::STATUSES)) {
        current = told;
    }
    for (path, list) in [
        ("spec.metrics", metrics),
        ("status.currentMetrics", current),
    ] {
        if !list.is_empty() {
            tree::set(scaler, path, list);
        }
    }
    let behavior = carried(scaler, BEHAVIOR).and_then(|text| older::read_behavior(&text));
    if let Some(behavior) = behavior {
        tree::set(scaler, "spec.behavior", behavior);
    }
    let text = carried(scaler, CONDITIONS);
    let conditions: Option<Vec<Value>> = text.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(conditions) = conditions {
        tree::set(scaler, "status.conditions", conditions);
    }
    drop_carriers(scaler);
}

fn carried(scaler: &Value, key: &str) -> Option<String> {
    object::annotation(scaler, key).map(str::to_owned)
}

/// The utilization of CPU that a metric is about. CPU measured in another way is a metric like others.
fn cpu(metric: &Value, path: &str) -> Option<Value> {
    let is_cpu =
        tree::text(metric, "type") == "Resource" && tree::text(metric, "resource.name") == "cpu";
    tree::get(metric, path).filter(|_| is_cpu).cloned()
}

/// The metric as which version 2 keeps a CPU utilization; it comes last, as upstream puts it.
fn cpu_metric(field: &str, value: &Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", field: value}})
}

fn take_list(scaler: &mut Value, path: &str) -> Vec<Value> {
    match tree::remove(scaler, path) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn annotate(scaler: &mut Value, key: &str, text: String) {
    if let Some(annotations) = tree::ensure(scaler, "metadata.annotations") {
        annotations.insert(key.to_owned(), text.into());
    }
}

/// Removes the annotations that carry what version 1 has no fields for, and the map when nothing is left in it: it was
/// not there before the object was shown in version 1.
fn drop_carriers(scaler: &mut Value) {
    let annotations = tree::get_mut(scaler, "metadata.annotations");
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return;
    };
    let before = annotations.len();
    annotations.retain(|key, _| !CARRIERS.contains(&key.as_str()));
    if annotations.is_empty() && before > 0 {
        tree::remove(scaler, "metadata.annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Value {
        json!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "a", "annotations": {"x": "y"}},
            "spec": {
                "maxReplicas": 3,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]}},
                "metrics": [
                    {"type": "Object", "object": {"describedObject": {"kind": "Ingress", "name": "i", "apiVersion": "networking.k8s.io/v1"},
                        "metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "Pods", "pods": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "1"}}},
                    {"type": "External", "external": {"metric": {"name": "e"}, "target": {"type": "Value", "value": "7"}}},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
                ],
            },
            "status": {
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 1, "averageValue": "2m"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "r"}],
            },
        })
    }

    #[test]
    fn annotations_have_the_form_of_version_1() {
        let mut scaler = stored();
        to_served(&mut scaler);
        assert_eq!(
            scaler["spec"],
            json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80})
        );
        assert_eq!(
            scaler["status"],
            json!({"currentCPUUtilizationPercentage": 1})
        );
        let annotation = |key: &str| scaler["metadata"]["annotations"][key].as_str().unwrap();
        assert_eq!(
            annotation(METRICS),
            concat!(
                r#"[{"type":"Object","object":{"target":{"kind":"Ingress","name":"i","apiVersion":"networking.k8s.io/v1"},"metricName":"rps","targetValue":"0","averageValue":"5"}},"#,
                r#"{"type":"Pods","pods":{"metricName":"q","targetAverageValue":"1","selector":{"matchLabels":{"a":"b"}}}},"#,
                r#"{"type":"External","external":{"metricName":"e","targetValue":"7"}}]"#
            )
        );
        assert_eq!(
            annotation(CURRENT),
            r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":1,"currentAverageValue":"2m"}}]"#
        );
        assert_eq!(
            annotation(BEHAVIOR),
            r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":5,"SelectPolicy":null,"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":2}],"Tolerance":null}}"#
        );
        assert_eq!(
            annotation(CONDITIONS),
            r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"r"}]"#
        );
    }

    #[test]
    fn what_v1_cannot_show_survives_the_trip() {
        let mut scaler = stored();
        to_served(&mut scaler);
        to_stored(&mut scaler);
        assert_eq!(scaler, stored());
    }

    #[test]
    fn annotations_that_carried_the_rest_leave_no_empty_map() {
        let stored = json!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": [{"type": "Pods", "pods": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "1"}}}]},
        });
        let mut scaler = stored.clone();
        to_served(&mut scaler);
        to_stored(&mut scaler);
        assert_eq!(scaler, stored);
    }

    #[test]
    fn text_that_is_no_metrics_is_dropped() {
        let mut scaler = json!({"metadata": {"annotations": {METRICS: "x", BEHAVIOR: "{}", CONDITIONS: "[", CURRENT: "3"}}, "spec": {}});
        to_stored(&mut scaler);
        assert_eq!(
            scaler,
            json!({"apiVersion": "autoscaling/v2", "metadata": {}, "spec": {}})
        );
    }
}
