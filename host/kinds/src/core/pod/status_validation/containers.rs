//! Validation of what a kubelet reports of containers: who they run as, and the devices that they have.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::validation::security::MAX_ID;

const STATES: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
const MAX_MESSAGE_BYTES: usize = 1024;
/// The lists of statuses, and of the containers whose devices are reported.
const LISTS: [(&str, Option<&str>); 3] = [
    ("containerStatuses", Some("spec.containers")),
    ("initContainerStatuses", Some("spec.initContainers")),
    ("ephemeralContainerStatuses", None),
];

pub(super) fn validate(errors: &mut ErrorList, pod: &Value, path: &Path) {
    for (list, _) in LISTS {
        let statuses = tree::list(pod, &format!("status.{list}"));
        for (index, status) in statuses.iter().enumerate() {
            let at = path.child(list).index(index).child("user.linux");
            user(errors, pod, status, &at);
        }
    }
    for (list, containers) in LISTS {
        let statuses = tree::list(pod, &format!("status.{list}"));
        for (index, status) in statuses.iter().enumerate() {
            let at = path
                .child(list)
                .index(index)
                .child("allocatedResourcesStatus");
            match containers {
                Some(containers) => {
                    allocated(errors, tree::list(pod, containers), status, &at);
                }
                None if tree::has(status, "allocatedResourcesStatus") => {
                    let detail = "must not be specified in container status";
                    errors.push(field::forbidden(&at, detail));
                }
                None => {}
            }
        }
    }
}

fn user(errors: &mut ErrorList, pod: &Value, status: &Value, path: &Path) {
    let Some(user) = tree::get(status, "user.linux") else {
        return;
    };
    match tree::text(pod, "spec.os.name") {
        "windows" => {
            let detail = "cannot be set for a windows pod";
            errors.push(field::forbidden(path, detail));
        }
        "" | "linux" => {
            for name in ["uid", "gid"] {
                id(
                    errors,
                    tree::int(user, name).unwrap_or(0),
                    &path.child(name),
                );
            }
            let groups = tree::list(user, "supplementalGroups").iter();
            for (index, group) in groups.enumerate() {
                let at = path.child("supplementalGroups").index(index);
                id(errors, group.as_i64().unwrap_or(0), &at);
            }
        }
        _ => {}
    }
}

fn id(errors: &mut ErrorList, id: i64, path: &Path) {
    errors.check(path, id, names::in_range(id, 0, MAX_ID));
}

fn allocated(errors: &mut ErrorList, containers: &[Value], status: &Value, path: &Path) {
    let name = tree::text(status, "name");
    let container = containers
        .iter()
        .find(|one| tree::text(one, "name") == name);
    let resources = tree::list(status, "allocatedResourcesStatus");
    for (index, resource) in resources.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(resource, "name");
        // A container that is missing is no mistake.
        if let Some(detail) = container.and_then(|container| not_requested(container, name)) {
            errors.push(field::invalid(&at.child("name"), name, detail));
        }
        let mut seen = HashSet::new();
        let devices = tree::list(resource, "resources").iter().enumerate();
        for (index, device) in devices {
            let at = at.child("resources").index(index);
            health(errors, device, &at);
            let id = tree::text(device, "resourceID");
            if !seen.insert(id) {
                errors.push(field::duplicate(&at.child("resourceID"), id));
            }
        }
    }
}

/// What is wrong with the name of a resource that the container does not ask for.
fn not_requested(container: &Value, name: &str) -> Option<&'static str> {
    if name.starts_with("claim:") {
        let claims = tree::list(container, "resources.claims");
        let is_claimed = claims.iter().any(|claim| shown(claim) == name);
        return (!is_claimed).then_some("must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty");
    }
    let is_requested = tree::map(container, "resources.requests").contains_key(name);
    (!is_requested).then_some("must match one of the container's resource requests")
}

fn shown(claim: &Value) -> String {
    match [tree::text(claim, "name"), tree::text(claim, "request")] {
        [name, ""] => format!("claim:{name}"),
        [name, request] => format!("claim:{name}/{request}"),
    }
}

fn health(errors: &mut ErrorList, device: &Value, path: &Path) {
    checks::is_one_of(errors, device, "health", path, &STATES);
    let message = tree::get(device, "message").and_then(Value::as_str);
    let at = path.child("message");
    match message {
        Some("") => {
            let detail = "must be non-empty if specified";
            errors.push(field::required(&at, detail));
        }
        Some(message) if message.len() > MAX_MESSAGE_BYTES => {
            errors.push(field::too_long(&at, MAX_MESSAGE_BYTES));
        }
        _ => {}
    }
}
