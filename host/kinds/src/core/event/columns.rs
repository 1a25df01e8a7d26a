//! `kubectl get events`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use super::names::{CORE, Names};
use crate::column::Column;
use crate::print;

pub(crate) const COLUMNS: &[Column] = &[
    Column::text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
    Column::text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
    Column::text("Reason", "This should be a short, machine understandable string that gives the reason for the transition into the object's current status."),
    Column::text("Object", "The object that this event is about."),
    Column::text("Subobject", "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.").wide(),
    Column::text("Source", "The component reporting this event. Should be a short machine understandable string.").wide(),
    Column::text("Message", "A human-readable description of the status of this operation."),
    Column::text("First Seen", "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)").wide(),
    Column::text("Count", "The number of times this event has occurred.").wide(),
    Column::NAME.wide(),
];

pub(super) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    cells_named(event, now, &CORE)
}

/// The row of an event that keeps its fields under `names`.
pub(crate) fn cells_named(event: &Value, now: Timestamp, names: &Names) -> Vec<Value> {
    let or = |first: &str, second: &str| match tree::text(event, first) {
        "" => tree::text(event, second).to_owned(),
        text => text.to_owned(),
    };
    let first = print::since(&or(names.first, "eventTime"), now);
    let (last, count) = if let Some(series) = tree::get(event, "series") {
        (
            print::since(tree::text(series, "lastObservedTime"), now),
            tree::int(series, "count").unwrap_or(0),
        )
    } else {
        let last = tree::text(event, names.last);
        let last = if last.is_empty() {
            first.clone()
        } else {
            print::since(last, now)
        };
        (
            last,
            tree::int(event, names.count)
                .filter(|count| *count != 0)
                .unwrap_or(1),
        )
    };
    let component = or(&format!("{}.component", names.source), names.reporter);
    let instance = or(&format!("{}.host", names.source), "reportingInstance");
    vec![
        last.into(),
        tree::text(event, "type").into(),
        tree::text(event, "reason").into(),
        target(event, names.object).into(),
        tree::text(event, &format!("{}.fieldPath", names.object)).into(),
        if instance.is_empty() {
            component
        } else {
            format!("{component}, {instance}")
        }
        .into(),
        tree::text(event, names.message).trim().into(),
        first.into(),
        count.into(),
        print::name(event),
    ]
}

fn target(event: &Value, object: &str) -> String {
    let kind = tree::text(event, &format!("{object}.kind")).to_lowercase();
    match tree::text(event, &format!("{object}.name")) {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}
