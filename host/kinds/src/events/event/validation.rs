//! Validation of events in their newer form (`ValidateEventCreate`, `ValidateEventUpdate` of
//! `pkg/apis/core/validation/events.go`). Errors have the names of the core version.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::core::event::names::Names;
use crate::core::event::validation::of_version;
use crate::equality::semantic_eq;

pub(super) const NAMES: Names = Names {
    object: "regarding",
    message: "note",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
    source: "deprecatedSource",
    reporter: "reportingController",
};

/// Digits of a fraction of a second that a time of an event has.
const MICRO_DIGITS: usize = 6;

pub(super) fn validate(event: &Value) -> ErrorList {
    let mut errors = of_version(event, &NAMES);
    series(&mut errors, event);
    if !tree::has(event, "eventTime") {
        errors.push(field::required(&Path::new("eventTime"), ""));
    }
    let kind = tree::text(event, "type");
    if !matches!(kind, "Normal" | "Warning") {
        let detail = format!("has invalid value: {kind}");
        errors.push(field::invalid(&Path::new("type"), "", detail));
    }
    let source = tree::get(event, NAMES.source).unwrap_or(&Value::Null);
    let has_source = tree::has(source, "component") || tree::has(source, "host");
    let count = tree::int(event, NAMES.count).unwrap_or(0);
    for (name, is_set) in [
        ("firstTimestamp", tree::has(event, NAMES.first)),
        ("lastTimestamp", tree::has(event, NAMES.last)),
        ("count", count != 0),
        ("source", has_source),
    ] {
        if is_set {
            errors.push(field::invalid(&Path::new(name), "", "needs to be unset"));
        }
    }
    errors
}

fn series(errors: &mut ErrorList, event: &Value) {
    let Some(series) = tree::get(event, "series") else {
        return;
    };
    if tree::int(series, "count").unwrap_or(0) < 2 {
        let at = Path::new("series.count");
        errors.push(field::invalid(&at, "", "should be at least 2"));
    }
    if !tree::has(series, "lastObservedTime") {
        let at = Path::new("series.lastObservedTime");
        errors.push(field::required(&at, ""));
    }
}

/// Only the series of an event may change, and its time below a microsecond.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = of_version(new, &NAMES);
    if !semantic_eq(tree::get(new, "series"), tree::get(old, "series")) {
        series(&mut errors, new);
    }
    for (shown, value) in FIXED {
        let (after, before) = (value(new), value(old));
        if after != before {
            errors.push(field::immutable(&Path::new(shown), &after));
        }
    }
    errors
}

/// A field as upstream's internal type has it.
type Shown = fn(&Value) -> Value;

/// What stays, in upstream's order.
const FIXED: [(&str, Shown); 13] = [
    ("involvedObject", |event| {
        reference(tree::get(event, NAMES.object))
    }),
    ("reason", |event| tree::text(event, "reason").into()),
    ("message", |event| tree::text(event, NAMES.message).into()),
    ("source", |event| {
        let part = |name: &str| tree::text(event, &format!("{}.{name}", NAMES.source));
        json!({"Component": part("component"), "Host": part("host")})
    }),
    ("firstTimestamp", |event| any(event, NAMES.first)),
    ("lastTimestamp", |event| any(event, NAMES.last)),
    ("count", |event| {
        tree::int(event, NAMES.count).unwrap_or(0).into()
    }),
    ("type", |event| tree::text(event, "type").into()),
    ("eventTime", |event| micro(tree::text(event, "eventTime"))),
    ("action", |event| tree::text(event, "action").into()),
    ("related", |event| match tree::get(event, "related") {
        None => Value::Null,
        related => reference(related),
    }),
    ("reportingController", |event| {
        tree::text(event, NAMES.reporter).into()
    }),
    ("reportingInstance", |event| {
        tree::text(event, "reportingInstance").into()
    }),
];

fn any(event: &Value, name: &str) -> Value {
    tree::get(event, name).cloned().unwrap_or_default()
}

/// A time without what is below a microsecond; null where there is none.
fn micro(time: &str) -> Value {
    let parts = time.strip_suffix('Z').and_then(|time| time.split_once('.'));
    match parts {
        Some((seconds, fraction)) => {
            let digits: String = fraction.chars().take(MICRO_DIGITS).collect();
            format!("{seconds}.{digits:0<MICRO_DIGITS$}Z").into()
        }
        None if time.is_empty() => Value::Null,
        None => time.into(),
    }
}

fn reference(object: Option<&Value>) -> Value {
    let object = object.unwrap_or(&Value::Null);
    let part = |name: &str| tree::text(object, name);
    json!({
        "Kind": part("kind"), "Namespace": part("namespace"), "Name": part("name"), "UID": part("uid"),
        "APIVersion": part("apiVersion"), "ResourceVersion": part("resourceVersion"),
        "FieldPath": part("fieldPath"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({
            "metadata": {"namespace": "default"}, "eventTime": "2020-01-01T00:00:00.000000Z",
            "reportingController": "c", "reportingInstance": "i", "action": "a", "reason": "r",
            "type": "Normal", "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut event = event();
        tree::set(&mut event, path, value);
        event
    }

    #[test]
    fn new_events_are_of_the_new_form() {
        assert!(validate(&event()).is_empty());
        for (path, value, text) in [
            (
                "type",
                json!("a"),
                "type: Invalid value: \"\": has invalid value: a",
            ),
            (
                "deprecatedSource",
                json!({"host": "h"}),
                "source: Invalid value: \"\": needs to be unset",
            ),
            (
                "series",
                json!({"count": 2}),
                "series.lastObservedTime: Required value",
            ),
            (
                "deprecatedCount",
                json!(1),
                "count: Invalid value: \"\": needs to be unset",
            ),
        ] {
            assert_eq!(validate(&with(path, value)).to_string(), text);
        }
    }

    #[test]
    fn events_change_in_their_series_alone() {
        let series = json!({"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"});
        assert!(validate_update(&with("series", series), &event()).is_empty());
        let later = json!("2020-01-01T00:00:00.0000001Z");
        assert!(validate_update(&with("eventTime", later), &event()).is_empty());
        for (path, value, text) in [
            (
                "action",
                json!("b"),
                "action: Invalid value: \"b\": field is immutable",
            ),
            (
                "deprecatedCount",
                json!(-1),
                "count: Invalid value: -1: field is immutable",
            ),
            (
                "deprecatedLastTimestamp",
                json!("2020-01-01T00:00:00Z"),
                "lastTimestamp: Invalid value: \"2020-01-01T00:00:00Z\": field is immutable",
            ),
        ] {
            assert_eq!(
                validate_update(&with(path, value), &event()).to_string(),
                text
            );
        }
        let kind = validate_update(&with("regarding.kind", json!("Node")), &event());
        assert!(
            kind.to_string()
                .starts_with("involvedObject: Invalid value: {"),
            "{kind}"
        );
    }
}
