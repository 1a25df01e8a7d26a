//! `kubectl get horizontalpodautoscalers`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Reference",
        "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be collected, as well as to actually change the replica count.",
    ),
    Column::text(
        "Targets",
        "metrics contains the specifications for which to use to calculate the desired replica count (the maximum replica count across all metrics will be used).  The desired replica count is calculated multiplying the ratio between the target value and the current value by the current number of pods.  Ergo, metrics used must decrease as the pod count is increased, and vice-versa.  See the individual metric source types for more information about how each type of metric must respond.",
    ),
    Column::text(
        "MinPods",
        "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down. It defaults to 1 pod.  minReplicas is allowed to be 0 if the alpha feature gate HPAScaleToZero is enabled and at least one Object or External metric is configured.  Scaling is active as long as at least one metric value is available.",
    ),
    Column::text(
        "MaxPods",
        "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up. It cannot be less that minReplicas.",
    ),
    Column::text(
        "Replicas",
        "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the autoscaler.",
    ),
    Column::AGE,
];

/// Metrics shown before the rest is only counted.
const SHOWN: usize = 2;

pub(super) fn cells(scaler: &Value, now: Timestamp) -> Vec<Value> {
    let reference = format!(
        "{}/{}",
        tree::text(scaler, "spec.scaleTargetRef.kind"),
        tree::text(scaler, "spec.scaleTargetRef.name")
    );
    let minimum = tree::int(scaler, "spec.minReplicas")
        .map_or_else(|| print::UNSET.to_owned(), |number| number.to_string());
    let targets = if tree::text(scaler, "apiVersion") == "autoscaling/v1" {
        cpu(scaler)
    } else {
        metrics(scaler)
    };
    vec![
        print::name(scaler),
        reference.into(),
        targets.into(),
        minimum.into(),
        print::integer(scaler, "spec.maxReplicas"),
        print::integer(scaler, "status.currentReplicas"),
        print::age(scaler, now),
    ]
}

/// The one metric of the first version.
fn cpu(scaler: &Value) -> String {
    let percent = |path: &str, missing: &str| {
        tree::int(scaler, path).map_or_else(|| missing.to_owned(), |value| format!("{value}%"))
    };
    let current = percent("status.currentCPUUtilizationPercentage", print::UNKNOWN);
    match tree::int(scaler, "spec.targetCPUUtilizationPercentage") {
        Some(_) => format!(
            "cpu: {current}/{}",
            percent("spec.targetCPUUtilizationPercentage", "<auto>")
        ),
        None => print::NONE.to_owned(),
    }
}

fn metrics(scaler: &Value) -> String {
    let specs = tree::list(scaler, "spec.metrics");
    let statuses = tree::list(scaler, "status.currentMetrics");
    if specs.is_empty() {
        return print::NONE.to_owned();
    }
    let all = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, statuses.get(index)));
    let shown = all.take(SHOWN).collect::<Vec<_>>().join(", ");
    if specs.len() > SHOWN {
        format!("{shown} + {} more...", specs.len() - SHOWN)
    } else {
        shown
    }
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let source = match tree::text(spec, "type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let current = |field: &str| {
        status
            .and_then(|status| tree::get(status, &format!("{source}.current.{field}")))
            .map(print::int_or_string)
    };
    let target = |field: &str| {
        tree::get(spec, &format!("{source}.target.{field}")).map(print::int_or_string)
    };
    let unknown = || print::UNKNOWN.to_owned();
    let resource = source == "resource" || source == "containerResource";
    let prefix = if resource {
        format!("{}: ", tree::text(spec, &format!("{source}.name")))
    } else {
        String::new()
    };
    if let Some(average) = target("averageValue") {
        let suffix = if source == "external" || source == "object" {
            " (avg)"
        } else {
            ""
        };
        return format!(
            "{prefix}{}/{average}{suffix}",
            current("averageValue").unwrap_or_else(unknown)
        );
    }
    if resource {
        let percent = |value: Option<String>| value.map(|value| format!("{value}%"));
        let goal = percent(target("averageUtilization")).unwrap_or_else(|| "<auto>".to_owned());
        return format!(
            "{prefix}{}/{goal}",
            percent(current("averageUtilization")).unwrap_or_else(unknown)
        );
    }
    format!(
        "{}/{}",
        current("value").unwrap_or_else(unknown),
        target("value").unwrap_or_else(|| "0".to_owned())
    )
}
