//! Selectable fields of events, the same for both versions.

use k3s_meta::tree;
use serde_json::Value;

/// Values by the names of the core version; events of `events.k8s.io` keep them under other names.
pub(crate) fn fields(event: &Value) -> Vec<(&'static str, String)> {
    let object = |field: &str| {
        let old = tree::text(event, &format!("involvedObject.{field}"));
        if old.is_empty() {
            tree::text(event, &format!("regarding.{field}"))
        } else {
            old
        }
        .to_owned()
    };
    let first = |paths: &[&str]| {
        paths
            .iter()
            .map(|path| tree::text(event, path))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let reporter = first(&["reportingComponent", "reportingController"]);
    let source = first(&["source.component", "deprecatedSource.component"]);
    vec![
        ("involvedObject.kind", object("kind")),
        ("involvedObject.namespace", object("namespace")),
        ("involvedObject.name", object("name")),
        ("involvedObject.uid", object("uid")),
        ("involvedObject.apiVersion", object("apiVersion")),
        ("involvedObject.resourceVersion", object("resourceVersion")),
        ("involvedObject.fieldPath", object("fieldPath")),
        ("regarding.kind", object("kind")),
        ("regarding.namespace", object("namespace")),
        ("regarding.name", object("name")),
        ("regarding.uid", object("uid")),
        ("regarding.apiVersion", object("apiVersion")),
        ("regarding.resourceVersion", object("resourceVersion")),
        ("regarding.fieldPath", object("fieldPath")),
        ("reason", first(&["reason"])),
        ("reportingComponent", reporter.clone()),
        ("reportingController", reporter.clone()),
        ("source", if source.is_empty() { reporter } else { source }),
        ("type", first(&["type"])),
    ]
}
