//! `autoscaling/v1` over the stored `autoscaling/v2` (`pkg/apis/autoscaling/v1/conversion.go`).
//!
//! The first version knows CPU utilization alone; what else there is travels in annotations as JSON,
//! under the keys of `pkg/apis/autoscaling/annotations.go`.

use k3s_meta::tree;
use serde_json::{Value, json};

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

const TARGET_CPU: &str = "spec.targetCPUUtilizationPercentage";
const CURRENT_CPU: &str = "status.currentCPUUtilizationPercentage";

fn to_served(scaler: &mut Value) {
    tree::set(scaler, "apiVersion", "autoscaling/v1");
    let mut metrics = take_list(scaler, "spec.metrics");
    if let Some(target) = take_cpu(&mut metrics, "resource.target.averageUtilization") {
        tree::set(scaler, TARGET_CPU, target);
    }
    let mut current = take_list(scaler, "status.currentMetrics");
    if let Some(value) = take_cpu(&mut current, "resource.current.averageUtilization") {
        tree::set(scaler, CURRENT_CPU, value);
    }
    annotate(scaler, METRICS, &Value::Array(metrics));
    annotate(scaler, CURRENT, &Value::Array(current));
    for (path, key) in [
        ("status.conditions", CONDITIONS),
        ("spec.behavior", BEHAVIOR),
    ] {
        let value = tree::get(scaler, path).cloned().unwrap_or_default();
        tree::remove(scaler, path);
        annotate(scaler, key, &value);
    }
}

fn to_stored(scaler: &mut Value) {
    tree::set(scaler, "apiVersion", "autoscaling/v2");
    let mut metrics = into_list(take_annotation(scaler, METRICS));
    if let Some(percent) = take(scaler, TARGET_CPU) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        metrics.insert(0, cpu_metric("target", &target));
    }
    let mut current = into_list(take_annotation(scaler, CURRENT));
    if let Some(percent) = take(scaler, CURRENT_CPU) {
        let shown = json!({"averageUtilization": percent});
        current.insert(0, cpu_metric("current", &shown));
    }
    for (path, list) in [
        ("spec.metrics", metrics),
        ("status.currentMetrics", current),
    ] {
        if !list.is_empty() {
            tree::set(scaler, path, list);
        }
    }
    for (path, key) in [
        ("status.conditions", CONDITIONS),
        ("spec.behavior", BEHAVIOR),
    ] {
        if let Some(value) = take_annotation(scaler, key) {
            tree::set(scaler, path, value);
        }
    }
}

/// The metric as which version 2 keeps a CPU utilization; it comes first, as upstream puts it.
fn cpu_metric(field: &str, value: &Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", field: value}})
}

/// Removes the utilization of CPU from a list of metrics. CPU measured in another way stays.
fn take_cpu(metrics: &mut Vec<Value>, path: &str) -> Option<Value> {
    let index = metrics.iter().position(|metric| {
        tree::text(metric, "type") == "Resource"
            && tree::text(metric, "resource.name") == "cpu"
            && tree::int(metric, path).is_some()
    })?;
    tree::get(&metrics.remove(index), path).cloned()
}

fn take(scaler: &mut Value, path: &str) -> Option<Value> {
    let value = tree::get(scaler, path).cloned();
    tree::remove(scaler, path);
    value
}

fn take_list(scaler: &mut Value, path: &str) -> Vec<Value> {
    into_list(take(scaler, path))
}

fn into_list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn annotate(scaler: &mut Value, key: &str, value: &Value) {
    if !tree::is_empty(value)
        && let Some(annotations) = tree::ensure(scaler, "metadata.annotations")
    {
        annotations.insert(key.to_owned(), value.to_string().into());
    }
}

/// Removes an annotation and reads it as JSON. Text that is no JSON is dropped, as upstream does. So
/// is the map when nothing is left in it: it was not there before the object was shown in version 1.
fn take_annotation(scaler: &mut Value, key: &str) -> Option<Value> {
    let annotations = tree::get_mut(scaler, "metadata.annotations")?.as_object_mut()?;
    let text = annotations.remove(key)?;
    if annotations.is_empty() {
        tree::remove(scaler, "metadata.annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_cannot_show_survives_the_trip() {
        let stored = json!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "a", "annotations": {"x": "y"}},
            "spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
                {"type": "Pods", "pods": {"metric": {"name": "q"}}},
            ]},
        });
        let mut object = stored.clone();
        to_served(&mut object);
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 80);
        assert_eq!(object["spec"].get("metrics"), None);
        assert!(tree::map(&object, "metadata.annotations").contains_key(METRICS));
        to_stored(&mut object);
        assert_eq!(object, stored);
    }

    #[test]
    fn annotations_that_carried_the_rest_leave_no_empty_map() {
        let stored = json!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": [{"type": "Pods", "pods": {"metric": {"name": "q"}}}]},
        });
        let mut object = stored.clone();
        to_served(&mut object);
        to_stored(&mut object);
        assert_eq!(object, stored);
    }
}
