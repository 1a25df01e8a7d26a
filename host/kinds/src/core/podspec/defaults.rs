//! Defaults of pod specs (`SetDefaults_PodSpec` and what it leads to in `pkg/apis/core/v1`).

use k3s_meta::tree;
use serde_json::{Value, json};

use super::image::pull_policy;
use super::volume_defaults;
use crate::quantity;

/// The lists of a pod spec that hold containers.
pub(crate) const CONTAINER_LISTS: [&str; 3] =
    ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of the template at `path` of a workload. A spec that is missing gets them as well, since it is
/// no pointer in Go.
pub(crate) fn template(object: &mut Value, path: &str) {
    let Some(template) = tree::get_mut(object, path) else {
        return;
    };
    tree::set_missing(template, "metadata", json!({}));
    tree::ensure(template, "spec");
    if let Some(spec) = tree::get_mut(template, "spec") {
        pod_spec(spec);
    }
}

/// Defaults every pod spec gets, in a template or in a pod.
pub(crate) fn pod_spec(spec: &mut Value) {
    tree::set_zero(spec, "dnsPolicy", "ClusterFirst");
    tree::set_zero(spec, "restartPolicy", "Always");
    tree::set_missing(spec, "securityContext", json!({}));
    tree::set_missing(spec, "terminationGracePeriodSeconds", 30);
    tree::set_zero(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    // Groups of pods are a feature that is off (`dropDisabledSchedulingGroup`).
    tree::remove(spec, "schedulingGroup");
    quantity::canonical_list(spec, "overhead");
    quantity::canonical_requirements(spec, "resources");
    for list in CONTAINER_LISTS {
        tree::each_mut(spec, list).for_each(container);
    }
    tree::each_mut(spec, "volumes").for_each(volume_defaults::volume);
}

/// Both spellings of the service account are kept alike; the newer one leads.
fn service_account(spec: &mut Value) {
    let (current, deprecated) = (
        tree::text(spec, "serviceAccountName"),
        tree::text(spec, "serviceAccount"),
    );
    let name = if current.is_empty() {
        deprecated
    } else {
        current
    }
    .to_owned();
    if !name.is_empty() {
        tree::set(spec, "serviceAccountName", name.clone());
        tree::set(spec, "serviceAccount", name);
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(tree::text(container, "image"));
    tree::set_zero(container, "imagePullPolicy", policy);
    tree::set_zero(container, "terminationMessagePath", "/dev/termination-log");
    tree::set_zero(container, "terminationMessagePolicy", "File");
    tree::set_missing(container, "resources", json!({}));
    quantity::canonical_requirements(container, "resources");
    for port in tree::each_mut(container, "ports") {
        tree::set_zero(port, "protocol", "TCP");
    }
    for variable in tree::each_mut(container, "env") {
        environment(variable);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = tree::get_mut(container, probe) {
            self::probe(probe);
        }
    }
    for hook in ["lifecycle.postStart", "lifecycle.preStop"] {
        if let Some(hook) = tree::get_mut(container, hook) {
            http_get(hook);
        }
    }
}

fn environment(variable: &mut Value) {
    if let Some(field) = tree::get_mut(variable, "valueFrom.fieldRef") {
        tree::set_zero(field, "apiVersion", "v1");
    }
    if let Some(resource) = tree::get_mut(variable, "valueFrom.resourceFieldRef") {
        divisor(resource);
    }
    if let Some(file) = tree::get_mut(variable, "valueFrom.fileKeyRef") {
        tree::set_missing(file, "optional", false);
    }
}

/// The divisor is a struct in Go and shows its zero value.
pub(super) fn divisor(resource: &mut Value) {
    tree::set_zero(resource, "divisor", "0");
    quantity::canonical(resource, "divisor");
}

fn probe(probe: &mut Value) {
    tree::set_zero(probe, "timeoutSeconds", 1);
    tree::set_zero(probe, "periodSeconds", 10);
    tree::set_zero(probe, "successThreshold", 1);
    tree::set_zero(probe, "failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = tree::get_mut(probe, "grpc") {
        tree::set_missing(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(action) = tree::get_mut(handler, "httpGet") {
        tree::set_zero(action, "path", "/");
        tree::set_zero(action, "scheme", "HTTP");
    }
}
