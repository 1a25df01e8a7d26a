//! Selectable fields of events, the same for both versions (`pkg/registry/core/event/strategy.go`).

use crate::selectable::SelectableField;

/// The fields, each at its path in the core version and then in `events.k8s.io`.
pub(crate) const FIELDS: &[SelectableField] = &[
    either("involvedObject.kind", KIND),
    either("involvedObject.namespace", NAMESPACE),
    either("involvedObject.name", NAME),
    either("involvedObject.uid", UID),
    either("involvedObject.apiVersion", API_VERSION),
    either("involvedObject.resourceVersion", RESOURCE_VERSION),
    either("involvedObject.fieldPath", FIELD_PATH),
    either("regarding.kind", KIND),
    either("regarding.namespace", NAMESPACE),
    either("regarding.name", NAME),
    either("regarding.uid", UID),
    either("regarding.apiVersion", API_VERSION),
    either("regarding.resourceVersion", RESOURCE_VERSION),
    either("regarding.fieldPath", FIELD_PATH),
    SelectableField::text("reason"),
    either("reportingComponent", REPORTER),
    either("reportingController", REPORTER),
    either("source", SOURCE),
    SelectableField::text("type"),
];

const KIND: &[&str] = &["involvedObject.kind", "regarding.kind"];
const NAMESPACE: &[&str] = &["involvedObject.namespace", "regarding.namespace"];
const NAME: &[&str] = &["involvedObject.name", "regarding.name"];
const UID: &[&str] = &["involvedObject.uid", "regarding.uid"];
const API_VERSION: &[&str] = &["involvedObject.apiVersion", "regarding.apiVersion"];
const RESOURCE_VERSION: &[&str] = &[
    "involvedObject.resourceVersion",
    "regarding.resourceVersion",
];
const FIELD_PATH: &[&str] = &["involvedObject.fieldPath", "regarding.fieldPath"];
const REPORTER: &[&str] = &["reportingComponent", "reportingController"];
/// Events of newer components have no source; their reporter stands in for it.
const SOURCE: &[&str] = &[
    "source.component",
    "deprecatedSource.component",
    "reportingComponent",
    "reportingController",
];

const fn either(name: &'static str, paths: &'static [&'static str]) -> SelectableField {
    SelectableField::first_text(name, paths)
}
