//! Pods.

mod columns;
mod defaults;
pub(crate) mod diff;
pub(crate) mod resources;
mod status_text;
pub mod subresource;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::{Value, json};

use crate::rules::{Generation, KindRules, columns};

/// Rules of `v1` `Pod`.
pub(crate) struct Pod;

impl KindRules for Pod {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn status_keeps(&self) -> &'static [&'static str] {
        // Old kubelets wrote back owner references they did not understand.
        &["ownerReferences", "deletionTimestamp"]
    }

    fn prepare_create(&self, object: &mut Value) {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let class = PodSpec::resources_from_value(spec).qos_class().as_str();
        let mut status = json!({"phase": "Pending", "qosClass": class});
        if tree::has(object, "spec.schedulingGates") {
            tree::set(
                &mut status,
                "conditions",
                json!([subresource::gated_condition()]),
            );
        }
        tree::set(object, "status", status);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        tree::copy(new, old, "status");
        subresource::release_gates(new, old);
    }

    fn row_conditions(&self, object: &Value) -> Vec<Value> {
        let (reason, message) = match tree::text(object, "status.phase") {
            "Succeeded" => ("Succeeded", "The pod has completed successfully."),
            "Failed" => ("Failed", "The pod failed."),
            _ => return Vec::new(),
        };
        vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        validation::warnings(object)
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let text = |path| tree::text(object, path).to_owned();
        vec![
            ("spec.nodeName", text("spec.nodeName")),
            ("spec.restartPolicy", text("spec.restartPolicy")),
            ("spec.schedulerName", text("spec.schedulerName")),
            ("spec.serviceAccountName", text("spec.serviceAccountName")),
            (
                "spec.hostNetwork",
                tree::flag(object, "spec.hostNetwork").to_string(),
            ),
            ("status.phase", text("status.phase")),
            (
                "status.podIP",
                tree::list(object, "status.podIPs").first().map_or_else(
                    || text("status.podIP"),
                    |ip| tree::text(ip, "ip").to_owned(),
                ),
            ),
            ("status.nominatedNodeName", text("status.nominatedNodeName")),
        ]
    }
}
