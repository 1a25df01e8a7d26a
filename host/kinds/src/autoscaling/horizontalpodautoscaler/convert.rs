//! Autoscalers between their two versions. They are one object in the store, in the second form.
//!
//! The first version knows CPU utilization alone; what else there is rides in annotations as JSON,
//! under the keys of `pkg/apis/autoscaling/annotations.go`.

use k3s_meta::tree;
use serde_json::{Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Rewrites an autoscaler into the form that `api_version` names; one already in it stays.
pub(crate) fn convert(scaler: &mut Value, api_version: &str) {
    match (tree::text(scaler, "apiVersion"), api_version) {
        ("autoscaling/v1", "autoscaling/v2") => upgrade(scaler),
        ("autoscaling/v2", "autoscaling/v1") => downgrade(scaler),
        _ => return,
    }
    tree::set(scaler, "apiVersion", api_version);
}

fn upgrade(scaler: &mut Value) {
    let mut metrics = take(scaler, METRICS)
        .and_then(|value| value.as_array().cloned())
        .unwrap_or_default();
    if let Some(percent) = tree::int(scaler, "spec.targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        metrics.insert(
            0,
            json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
        );
    }
    tree::remove(scaler, "spec.targetCPUUtilizationPercentage");
    tree::set(scaler, "spec.metrics", metrics);
    if let Some(behavior) = take(scaler, BEHAVIOR) {
        tree::set(scaler, "spec.behavior", behavior);
    }
    let mut current = take(scaler, CURRENT)
        .and_then(|value| value.as_array().cloned())
        .unwrap_or_default();
    if let Some(percent) = tree::int(scaler, "status.currentCPUUtilizationPercentage") {
        current.insert(
            0,
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}),
        );
    }
    tree::remove(scaler, "status.currentCPUUtilizationPercentage");
    if !current.is_empty() {
        tree::set(scaler, "status.currentMetrics", current);
    }
    if let Some(conditions) = take(scaler, CONDITIONS) {
        tree::set(scaler, "status.conditions", conditions);
    }
}

fn downgrade(scaler: &mut Value) {
    let is_cpu = |metric: &Value| tree::text(metric, "resource.name") == "cpu";
    let utilization =
        |metric: &Value, at: &str| tree::int(metric, &format!("resource.{at}.averageUtilization"));
    let (mut target, mut rest) = (None, Vec::new());
    for metric in tree::list(scaler, "spec.metrics") {
        match utilization(metric, "target").filter(|_| is_cpu(metric) && target.is_none()) {
            Some(percent) => target = Some(percent),
            None => rest.push(metric.clone()),
        }
    }
    let (mut current, mut others) = (None, Vec::new());
    for metric in tree::list(scaler, "status.currentMetrics") {
        match utilization(metric, "current").filter(|_| is_cpu(metric) && current.is_none()) {
            Some(percent) => current = Some(percent),
            None => others.push(metric.clone()),
        }
    }
    if let Some(percent) = target {
        tree::set(scaler, "spec.targetCPUUtilizationPercentage", percent);
    }
    if let Some(percent) = current {
        tree::set(scaler, "status.currentCPUUtilizationPercentage", percent);
    }
    put(scaler, METRICS, &Value::Array(rest));
    put(scaler, CURRENT, &Value::Array(others));
    for (path, key) in [
        ("spec.behavior", BEHAVIOR),
        ("status.conditions", CONDITIONS),
    ] {
        let value = tree::get(scaler, path).cloned().unwrap_or_default();
        put(scaler, key, &value);
        tree::remove(scaler, path);
    }
    tree::remove(scaler, "spec.metrics");
    tree::remove(scaler, "status.currentMetrics");
}

/// Takes the JSON of an annotation away. Text that is no JSON is dropped, as upstream does.
fn take(scaler: &mut Value, key: &str) -> Option<Value> {
    let annotations = tree::get_mut(scaler, "metadata.annotations")?.as_object_mut()?;
    let text = annotations.remove(key)?;
    let empty = annotations.is_empty();
    if empty {
        tree::remove(scaler, "metadata.annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn put(scaler: &mut Value, key: &str, value: &Value) {
    if !tree::is_empty(value)
        && let Some(annotations) = tree::ensure(scaler, "metadata.annotations")
    {
        annotations.insert(key.to_owned(), value.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let target = json!({"type": "Utilization", "averageUtilization": 60});
        let second = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "h"}, "spec": {
            "maxReplicas": 3, "behavior": {"scaleUp": {"selectPolicy": "Max"}},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}},
                {"type": "Pods", "pods": {"metric": {"name": "qps"}}}]}});
        let mut scaler = second.clone();
        convert(&mut scaler, "autoscaling/v1");
        assert_eq!(
            tree::int(&scaler, "spec.targetCPUUtilizationPercentage"),
            Some(60)
        );
        assert_eq!(tree::get(&scaler, "spec.metrics"), None);
        assert!(tree::map(&scaler, "metadata.annotations").contains_key(METRICS));
        convert(&mut scaler, "autoscaling/v2");
        assert_eq!(scaler, second);
    }
}
