//! Metrics of horizontal pod autoscalers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::validation::{VersionRule, reference};
use crate::checks::{self, Check};
use crate::core::podspec::validation::resource_names;
use crate::quantity;

/// Types and the fields that hold them, in the order of their names.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

/// The order in which sources are looked at; of several only the first is.
const ORDER: [&str; 5] = [
    "object",
    "external",
    "pods",
    "resource",
    "containerResource",
];

/// Validates `metrics` of the spec at `path`.
pub(super) fn validate(errors: &mut ErrorList, spec: &Value, rule: VersionRule, path: &Path) {
    let metrics = tree::list(spec, "metrics");
    let path = path.child("metrics");
    for (index, metric) in metrics.iter().enumerate() {
        self::metric(errors, metric, rule, &path.index(index));
    }
    let is_from_elsewhere =
        |metric: &Value| matches!(tree::text(metric, "type"), "Object" | "External");
    if tree::int(spec, "minReplicas") == Some(0) && !metrics.iter().any(is_from_elsewhere) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(field::forbidden(&path, detail));
    }
}

fn metric(errors: &mut ErrorList, metric: &Value, rule: VersionRule, path: &Path) {
    let supported = SOURCES.map(|(name, _)| name);
    checks::required(
        errors,
        metric,
        "type",
        path,
        "must specify a metric source type",
    );
    checks::is_one_of(errors, metric, "type", path, &supported);
    let present: Vec<&str> = ORDER
        .into_iter()
        .filter(|source| tree::get(metric, source).is_some())
        .collect();
    if let Some(first) = present.first()
        && let Some(found) = tree::get(metric, first)
    {
        source(errors, first, found, rule, &path.child(first));
    }
    let kind = tree::text(metric, "type");
    let expected = SOURCES.iter().find(|(name, _)| *name == kind);
    match expected {
        Some((_, source)) if !present.contains(source) => {
            let detail = "must populate information for the given metric source";
            errors.push(field::required(&path.child(source), detail));
        }
        Some(_) => {}
        None => checks::is_one_of(errors, metric, "type", path, &supported),
    }
    let expected = expected.map(|(_, source)| *source);
    for other in present.iter().filter(|_| present.len() != 1) {
        if Some(*other) != expected {
            let detail = "must populate the given metric source only";
            errors.push(field::forbidden(&path.child(other), detail));
        }
    }
}

fn source(errors: &mut ErrorList, name: &str, found: &Value, rule: VersionRule, path: &Path) {
    match name {
        "object" => {
            let object = tree::get(found, "describedObject").unwrap_or(&Value::Null);
            reference(errors, object, rule, &path.child("describedObject"));
            identifier(errors, found, path);
        }
        "resource" => {
            checks::required(errors, found, "name", path, "must specify a resource name");
        }
        "containerResource" => container_resource(errors, found, path),
        _ => identifier(errors, found, path),
    }
    let target = tree::get(found, "target").unwrap_or(&Value::Null);
    let path = path.child("target");
    self::target(errors, target, &path);
    forms(errors, name, target, &path);
}

fn identifier(errors: &mut ErrorList, found: &Value, path: &Path) {
    let path = path.child("metric");
    let metric = tree::get(found, "metric").unwrap_or(&Value::Null);
    if checks::required(errors, metric, "name", &path, "must specify a metric name") {
        let name = tree::text(metric, "name");
        errors.check(&path.child("name"), name, names::is_path_segment(name));
    }
}

fn container_resource(errors: &mut ErrorList, found: &Value, path: &Path) {
    if checks::required(errors, found, "name", path, "must specify a resource name") {
        resource_names::container_name(errors, tree::text(found, "name"), &path.child("name"));
    }
    if checks::required(errors, found, "container", path, "must specify a container") {
        let container = tree::text(found, "container");
        let outcome = names::is_dns1123_label(container);
        errors.check(&path.child("container"), container, outcome);
    }
}

fn target(errors: &mut ErrorList, target: &Value, path: &Path) {
    let kind = tree::text(target, "type");
    checks::required(
        errors,
        target,
        "type",
        path,
        "must specify a metric target type",
    );
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(field::invalid(&path.child("type"), kind, detail));
    }
    for name in ["value", "averageValue"] {
        let amount = tree::get(target, name);
        let is_positive = |amount: &Value| quantity::read(amount).is_none_or(|it| it.nano() > 0);
        if amount.is_some_and(|amount| !is_positive(amount)) {
            errors.push(field::invalid(
                &path.child(name),
                amount,
                "must be positive",
            ));
        }
    }
    let utilization = tree::int(target, "averageUtilization");
    if let Some(percent) = utilization.filter(|percent| *percent < 1) {
        let at = path.child("averageUtilization");
        errors.push(field::invalid(&at, percent, "must be greater than 0"));
    }
}

/// The value that a source is to reach is in a form that the source has.
fn forms(errors: &mut ErrorList, source: &str, target: &Value, path: &Path) {
    let has = |name: &str| tree::get(target, name).is_some();
    let error = match (
        source,
        has("value"),
        has("averageValue"),
        has("averageUtilization"),
    ) {
        ("resource" | "containerResource", _, false, false) => field::required(
            &path.child("averageUtilization"),
            "must set either a target raw value or a target utilization",
        ),
        ("resource" | "containerResource", _, true, true) => field::forbidden(
            &path.child("averageValue"),
            "may not set both a target raw value and a target utilization",
        ),
        ("pods", _, false, _) => field::required(
            &path.child("averageValue"),
            "must specify a positive target averageValue",
        ),
        ("object", false, false, _) => field::required(
            &path.child("averageValue"),
            "must set either a target value or averageValue",
        ),
        ("external", false, false, _) => field::required(
            &path.child("averageValue"),
            "must set either a target value for metric or a per-pod target",
        ),
        ("external", true, true, _) => field::forbidden(
            &path.child("value"),
            "may not set both a target value for metric and a per-pod target",
        ),
        _ => return,
    };
    errors.push(error);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(metric: &Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        let spec = json!({"minReplicas": 1, "metrics": [metric]});
        validate(&mut errors, &spec, VersionRule::Form, &Path::new("spec"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn metrics_are_checked_in_upstreams_words() {
        let type_of_target = [
            "target.type: Required value: must specify a metric target type",
            "target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
        ];
        let types = "supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"";
        let cases = [
            (
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {}}}),
                vec![
                    format!("resource.{}", type_of_target[0]),
                    format!("resource.{}", type_of_target[1]),
                    "resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization".to_owned(),
                ],
            ),
            (
                json!({"type": "Pods", "pods": {"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "-1"}}}),
                vec![
                    "pods.metric.name: Invalid value: \"a/b\": may not contain '/'".to_owned(),
                    "pods.target.averageValue: Invalid value: \"-1\": must be positive".to_owned(),
                ],
            ),
            (
                json!({"type": "Object", "object": {"describedObject": {}, "metric": {}, "target": {"type": "Value", "value": "1"}}}),
                vec![
                    "object.describedObject.kind: Required value".to_owned(),
                    "object.describedObject.name: Required value".to_owned(),
                    "object.metric.name: Required value: must specify a metric name".to_owned(),
                ],
            ),
            (
                json!({"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1", "averageValue": "1"}},
                    "pods": {}}),
                vec![
                    "external.target.value: Forbidden: may not set both a target value for metric and a per-pod target".to_owned(),
                    "pods: Forbidden: must populate the given metric source only".to_owned(),
                ],
            ),
            (
                json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "A b", "target": {"type": "Utilization", "averageUtilization": 0}}}),
                vec![
                    "containerResource.container: Invalid value: \"A b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')".to_owned(),
                    "containerResource.target.averageUtilization: Invalid value: 0: must be greater than 0".to_owned(),
                ],
            ),
            (
                json!({}),
                vec![
                    "type: Required value: must specify a metric source type".to_owned(),
                    format!("type: Unsupported value: \"\": {types}"),
                    format!("type: Unsupported value: \"\": {types}"),
                ],
            ),
        ];
        for (metric, expected) in cases {
            let expected: Vec<String> = expected
                .iter()
                .map(|text| format!("spec.metrics[0].{text}"))
                .collect();
            assert_eq!(texts(&metric), expected, "{metric}");
        }
    }
}
