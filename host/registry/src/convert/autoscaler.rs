//! `autoscaling/v1` over the stored `autoscaling/v2`: v1 shows the CPU target alone and carries the
//! rest in annotations, under upstream's names.

use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::{Convert, set_type};

pub(super) struct V1;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

impl Convert for V1 {
    fn to_served(&self, object: &mut Value) {
        set_type(object, "autoscaling/v1");
        let mut metrics = list(tree::remove(object, "spec.metrics"));
        if let Some(target) = take_cpu(&mut metrics, "resource.target.averageUtilization") {
            tree::set(object, "spec.targetCPUUtilizationPercentage", target);
        }
        let mut current = list(tree::remove(object, "status.currentMetrics"));
        if let Some(value) = take_cpu(&mut current, "resource.current.averageUtilization") {
            tree::set(object, "status.currentCPUUtilizationPercentage", value);
        }
        annotate(object, METRICS, Value::Array(metrics));
        annotate(object, CURRENT, Value::Array(current));
        if let Some(conditions) = tree::remove(object, "status.conditions") {
            annotate(object, CONDITIONS, conditions);
        }
        if let Some(behavior) = tree::remove(object, "spec.behavior") {
            annotate(object, BEHAVIOR, behavior);
        }
    }

    fn to_stored(&self, object: &mut Value) {
        set_type(object, "autoscaling/v2");
        let mut metrics = list(take_annotation(object, METRICS));
        if let Some(target) = tree::remove(object, "spec.targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            metrics.insert(
                0,
                json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
            );
        }
        put_list(object, "spec.metrics", metrics);
        let mut current = list(take_annotation(object, CURRENT));
        if let Some(value) = tree::remove(object, "status.currentCPUUtilizationPercentage") {
            let shown = json!({"averageUtilization": value});
            current.insert(
                0,
                json!({"type": "Resource", "resource": {"name": "cpu", "current": shown}}),
            );
        }
        put_list(object, "status.currentMetrics", current);
        if let Some(conditions) = take_annotation(object, CONDITIONS) {
            tree::set(object, "status.conditions", conditions);
        }
        if let Some(behavior) = take_annotation(object, BEHAVIOR) {
            tree::set(object, "spec.behavior", behavior);
        }
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// Takes the utilization of the CPU metric out of the list; one measured otherwise stays.
fn take_cpu(metrics: &mut Vec<Value>, path: &str) -> Option<Value> {
    let at = metrics.iter().position(|metric| {
        tree::text(metric, "type") == "Resource"
            && tree::text(metric, "resource.name") == "cpu"
            && tree::int(metric, path).is_some()
    })?;
    tree::get(&metrics.remove(at), path).cloned()
}

fn annotate(object: &mut Value, key: &str, value: Value) {
    if value.as_array().is_some_and(Vec::is_empty) || value.is_null() {
        return;
    }
    if let Some(map) = tree::ensure(object, "metadata.annotations") {
        map.insert(key.to_owned(), value.to_string().into());
    }
}

fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let text = object::remove_annotation(object, key)?;
    serde_json::from_str(&text).ok()
}

fn put_list(object: &mut Value, path: &str, list: Vec<Value>) {
    if !list.is_empty() {
        tree::set(object, path, Value::Array(list));
    }
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
        V1.to_served(&mut object);
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 80);
        assert_eq!(object["spec"].get("metrics"), None);
        V1.to_stored(&mut object);
        assert_eq!(object, stored);
    }
}
