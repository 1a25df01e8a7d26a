//! Kinds that are served in more than one form of the same stored object.

use k3s_meta::tree;
use serde_json::Value;

use crate::autoscaling::horizontalpodautoscaler;
use crate::core::event;

/// The API version in which a kind is stored when that is not the one it is served in.
#[must_use]
pub fn storage_version(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("" | "events.k8s.io", "Event") => Some("v1"),
        ("autoscaling", "HorizontalPodAutoscaler") => Some("autoscaling/v2"),
        _ => None,
    }
}

/// Rewrites `object` into the form of `api_version`. Kinds with one form are left alone.
pub fn convert(object: &mut Value, api_version: &str) {
    match tree::text(object, "kind") {
        "Event" if matches!(api_version, "v1" | "events.k8s.io/v1") => {
            event::convert::convert(object, api_version)
        }
        "HorizontalPodAutoscaler" => horizontalpodautoscaler::convert::convert(object, api_version),
        _ => {}
    }
}
