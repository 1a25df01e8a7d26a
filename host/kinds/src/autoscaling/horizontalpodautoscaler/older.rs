//! What version 1 keeps in annotations, in the JSON of upstream's types: field by field in their order
//! (`k8s.io/api/autoscaling/v1/types.go`; behaviour is that of the internal type, whose fields have Go's names).

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::{Map, Value, json};

/// What upstream writes for a field that holds nothing.
#[derive(Clone, Copy)]
pub(super) enum Nothing {
    Omitted,
    Text,
    Zero,
    Struct,
}

/// Name in version 1, path in version 2.
type Field = (&'static str, &'static str, Nothing);
/// The field of a metric that holds its source, and the fields of that.
type Source = (&'static str, &'static [Field]);

const DESCRIBED: Field = ("target", "describedObject", Nothing::Struct);
const METRIC: Field = ("metricName", "metric.name", Nothing::Text);
const SELECTOR: Field = ("selector", "metric.selector", Nothing::Omitted);
const METRIC_SELECTOR: Field = ("metricSelector", "metric.selector", Nothing::Omitted);
const NAME: Field = ("name", "name", Nothing::Text);
const CONTAINER: Field = ("container", "container", Nothing::Text);

const TARGET_UTILIZATION: Field = (
    "targetAverageUtilization",
    "target.averageUtilization",
    Nothing::Omitted,
);
const TARGET_AVERAGE: Field = (
    "targetAverageValue",
    "target.averageValue",
    Nothing::Omitted,
);

/// Sources of `spec.metrics`.
pub(super) const SPECS: [Source; 5] = [
    (
        "object",
        &[
            DESCRIBED,
            METRIC,
            ("targetValue", "target.value", Nothing::Zero),
            SELECTOR,
            ("averageValue", "target.averageValue", Nothing::Omitted),
        ],
    ),
    (
        "pods",
        &[
            METRIC,
            ("targetAverageValue", "target.averageValue", Nothing::Zero),
            SELECTOR,
        ],
    ),
    ("resource", &[NAME, TARGET_UTILIZATION, TARGET_AVERAGE]),
    (
        "containerResource",
        &[NAME, TARGET_UTILIZATION, TARGET_AVERAGE, CONTAINER],
    ),
    (
        "external",
        &[
            METRIC,
            METRIC_SELECTOR,
            ("targetValue", "target.value", Nothing::Omitted),
            TARGET_AVERAGE,
        ],
    ),
];

const CURRENT_UTILIZATION: Field = (
    "currentAverageUtilization",
    "current.averageUtilization",
    Nothing::Omitted,
);
const CURRENT_AVERAGE: Field = ("currentAverageValue", "current.averageValue", Nothing::Zero);
const CURRENT: Field = ("currentValue", "current.value", Nothing::Zero);

/// Sources of `status.currentMetrics`.
pub(super) const STATUSES: [Source; 5] = [
    (
        "object",
        &[
            DESCRIBED,
            METRIC,
            CURRENT,
            SELECTOR,
            ("averageValue", "current.averageValue", Nothing::Omitted),
        ],
    ),
    ("pods", &[METRIC, CURRENT_AVERAGE, SELECTOR]),
    ("resource", &[NAME, CURRENT_UTILIZATION, CURRENT_AVERAGE]),
    (
        "containerResource",
        &[NAME, CURRENT_UTILIZATION, CURRENT_AVERAGE, CONTAINER],
    ),
    (
        "external",
        &[
            METRIC,
            METRIC_SELECTOR,
            CURRENT,
            (
                "currentAverageValue",
                "current.averageValue",
                Nothing::Omitted,
            ),
        ],
    ),
];

/// A JSON object with its fields in this order.
fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(*name)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn text(value: Option<&Value>) -> String {
    value.unwrap_or(&Value::Null).to_string()
}

/// Metrics of version 2 as version 1 writes them.
pub(super) fn write_metrics(metrics: &[Value], sources: &[Source]) -> String {
    list(metrics.iter().map(|metric| {
        let mut fields = vec![("type", text(tree::get(metric, "type")))];
        for (name, members) in sources {
            if let Some(source) = tree::get(metric, name) {
                fields.push((*name, write_source(source, members)));
            }
        }
        object(&fields)
    }))
}

fn write_source(source: &Value, members: &[Field]) -> String {
    let mut fields = Vec::new();
    for (name, path, nothing) in members {
        let written = match (tree::get(source, path), nothing) {
            (found, Nothing::Struct) => reference(found.unwrap_or(&Value::Null)),
            (Some(found), _) => found.to_string(),
            (None, Nothing::Omitted) => continue,
            (None, Nothing::Text) => "\"\"".to_owned(),
            (None, Nothing::Zero) => "\"0\"".to_owned(),
        };
        fields.push((*name, written));
    }
    object(&fields)
}

fn reference(target: &Value) -> String {
    let mut fields: Vec<(&str, String)> = ["kind", "name"]
        .map(|part| (part, Value::from(tree::text(target, part)).to_string()))
        .into();
    if let Some(version) = tree::get(target, "apiVersion") {
        fields.push(("apiVersion", version.to_string()));
    }
    object(&fields)
}

/// Metrics of version 1 as version 2 has them; `None` for what is no list of metrics.
pub(super) fn read_metrics(text: &str, sources: &[Source]) -> Option<Vec<Value>> {
    let metrics: Vec<Map<String, Value>> = serde_json::from_str(text).ok()?;
    let read = |metric: Map<String, Value>| {
        let metric = Value::Object(metric);
        let mut read = json!({"type": tree::text(&metric, "type")});
        for (name, members) in sources {
            if let Some(source) = tree::get(&metric, name) {
                tree::set(&mut read, name, read_source(source, members));
            }
        }
        read
    };
    Some(metrics.into_iter().map(read).collect())
}

fn read_source(source: &Value, members: &[Field]) -> Value {
    let mut read = json!({});
    for (name, path, nothing) in members {
        let value = match (tree::get(source, name), nothing) {
            (Some(found), _) => found.clone(),
            (None, Nothing::Omitted) => continue,
            (None, Nothing::Text) => "".into(),
            (None, Nothing::Zero) => "0".into(),
            (None, Nothing::Struct) => json!({}),
        };
        tree::set(&mut read, path, value);
    }
    read
}

/// The types of targets, which version 1 does not have: they follow from the values that are there.
pub(super) fn type_targets(metric: &mut Value) {
    for (name, _) in SPECS {
        let Some(source) = tree::get_mut(metric, name) else {
            continue;
        };
        let has = |field: &str| tree::get(source, &format!("target.{field}")).is_some();
        let kind = match name {
            "object" if !has("averageValue") => "Value",
            "external" if has("value") => "Value",
            "resource" | "containerResource" if has("averageUtilization") => "Utilization",
            _ => "AverageValue",
        };
        // Version 1 cannot leave out the value.
        let is_zero =
            Quantity::from_json(tree::get(source, "target.value").unwrap_or(&Value::Null))
                .is_ok_and(Quantity::is_zero);
        if name == "object" && kind == "AverageValue" && is_zero {
            tree::remove(source, "target.value");
        }
        tree::set(source, "target.type", kind);
    }
}

/// Conditions as version 1 writes them.
pub(super) fn write_conditions(conditions: &[Value]) -> String {
    list(conditions.iter().map(|condition| {
        let part = |name| text(tree::get(condition, name));
        let mut fields = ["type", "status", "lastTransitionTime"]
            .map(|name| (name, part(name)))
            .to_vec();
        for name in ["reason", "message"] {
            if tree::has(condition, name) {
                fields.push((name, part(name)));
            }
        }
        object(&fields)
    }))
}

/// Behaviour as upstream's internal type is written.
pub(super) fn write_behavior(behavior: &Value) -> String {
    let rules = |name| match tree::get(behavior, name) {
        None => "null".to_owned(),
        Some(rules) => write_rules(rules),
    };
    object(&[
        ("ScaleUp", rules("scaleUp")),
        ("ScaleDown", rules("scaleDown")),
    ])
}

fn write_rules(rules: &Value) -> String {
    let part = |name| text(tree::get(rules, name));
    let policies = tree::list(rules, "policies").iter().map(|policy| {
        let number = |name| tree::int(policy, name).unwrap_or(0).to_string();
        object(&[
            ("Type", text(tree::get(policy, "type"))),
            ("Value", number("value")),
            ("PeriodSeconds", number("periodSeconds")),
        ])
    });
    object(&[
        (
            "StabilizationWindowSeconds",
            part("stabilizationWindowSeconds"),
        ),
        ("SelectPolicy", part("selectPolicy")),
        ("Policies", list(policies)),
        ("Tolerance", part("tolerance")),
    ])
}

/// Behaviour of such a text: Go reads fields whatever their case.
pub(super) fn read_behavior(text: &str) -> Option<Value> {
    let read: Map<String, Value> = serde_json::from_str(text).ok()?;
    let behavior = lowered(Value::Object(read));
    let is_set = |name| tree::get(&behavior, name).is_some();
    (is_set("scaleUp") || is_set("scaleDown")).then_some(behavior)
}

fn lowered(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut chars = name.chars();
                let first = chars.next().map(|first| first.to_ascii_lowercase());
                (
                    first.into_iter().chain(chars).collect::<String>(),
                    lowered(value),
                )
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(lowered).collect(),
        other => other,
    }
}
