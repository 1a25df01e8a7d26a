//! Defaults of horizontal pod autoscalers.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

pub(super) fn default(scaler: &mut Value) {
    tree::set_missing(scaler, "status.desiredReplicas", 0);
    let first_version = tree::text(scaler, "apiVersion") == "autoscaling/v1";
    let has_metrics = tree::map(scaler, "metadata.annotations")
        .contains_key("autoscaling.alpha.kubernetes.io/metrics");
    if first_version {
        tree::set_missing(scaler, "status.currentReplicas", 0);
    }
    let Some(spec) = tree::get_mut(scaler, "spec") else {
        return;
    };
    tree::set_missing(spec, "minReplicas", 1);
    if first_version {
        if !has_metrics {
            tree::set_missing(spec, "targetCPUUtilizationPercentage", 80);
        }
        return;
    }
    if !tree::has(spec, "metrics") {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        tree::set(
            spec,
            "metrics",
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
        );
    }
    for metric in tree::each_mut(spec, "metrics") {
        for source in [
            "resource",
            "containerResource",
            "pods",
            "object",
            "external",
        ] {
            quantity::canonical(metric, &format!("{source}.target.value"));
            quantity::canonical(metric, &format!("{source}.target.averageValue"));
        }
    }
    if let Some(behavior) = tree::get_mut(spec, "behavior") {
        self::behavior(behavior);
    }
}

/// Rules that a client began are completed (`GenerateHPAScaleUpRules`, `GenerateHPAScaleDownRules`).
fn behavior(behavior: &mut Value) {
    tree::set_missing(behavior, "scaleUp.stabilizationWindowSeconds", 0);
    for (rules, policies) in [
        (
            "scaleUp",
            json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]),
        ),
        (
            "scaleDown",
            json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]),
        ),
    ] {
        tree::set_missing(behavior, &format!("{rules}.selectPolicy"), "Max");
        tree::set_missing(behavior, &format!("{rules}.policies"), policies);
        quantity::canonical(behavior, &format!("{rules}.tolerance"));
    }
}
