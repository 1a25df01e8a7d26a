//! Kinds that are served at more than one version: how each form becomes the stored one and back.

mod autoscaler;
mod event;

use serde_json::Value;

/// A served version that is not the stored one.
pub(crate) trait Convert: Send + Sync {
    /// From the stored form.
    fn to_served(&self, object: &mut Value);

    /// To the stored form.
    fn to_stored(&self, object: &mut Value);
}

/// The conversion of a served version; `None` where it is the stored one.
pub(crate) fn of(group: &str, version: &str, kind: &str) -> Option<&'static dyn Convert> {
    match (group, version, kind) {
        ("events.k8s.io", "v1", "Event") => Some(&event::EventsGroup),
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => Some(&autoscaler::V1),
        _ => None,
    }
}

/// Sets the type of the tree.
pub(crate) fn set_type(object: &mut Value, api_version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), api_version.into());
    }
}

/// Renames a top-level field, where it is present.
fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(map) = object.as_object_mut()
        && let Some(value) = map.remove(from)
    {
        map.insert(to.to_owned(), value);
    }
}
