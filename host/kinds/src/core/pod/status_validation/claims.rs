//! Validation of what a pod's status says about claims of resources.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{Check, Unique};
use crate::core::podspec::validation::resource_names::is_native;
use crate::quantity;

const NOT_EMPTY: &str = "must not be empty";

pub(super) fn validate(errors: &mut ErrorList, pod: &Value, path: &Path) {
    of_claims(errors, pod, &path.child("resourceClaimStatuses"));
    if let Some(status) = tree::get(pod, "status.extendedResourceClaimStatus") {
        let at = path.child("extendedResourceClaimStatus");
        of_extended(errors, pod, status, &at);
    }
    let list = "nodeAllocatableResourceClaimStatuses";
    let statuses = tree::list(pod, &format!("status.{list}"));
    for (index, status) in statuses.iter().enumerate() {
        of_node(errors, pod, status, &path.child(list).index(index));
    }
}

fn of_claims(errors: &mut ErrorList, pod: &Value, path: &Path) {
    let wanted = tree::list(pod, "spec.resourceClaims");
    let statuses = tree::list(pod, "status.resourceClaimStatuses");
    let mut seen = Unique::new();
    for (index, status) in statuses.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(status, "name");
        if !wanted.iter().any(|claim| tree::text(claim, "name") == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(field::invalid(&at.child("name"), name, detail));
        }
        seen.insert(errors, name, &at.child("name"));
        if let Some(claim) = tree::get(status, "resourceClaimName").and_then(Value::as_str) {
            let outcome = names::is_dns1123_subdomain(claim);
            errors.check(&at.child("resourceClaimName"), claim, outcome);
        }
    }
}

/// Validates the claim that was made for extended resources of containers.
fn of_extended(errors: &mut ErrorList, pod: &Value, status: &Value, path: &Path) {
    let mappings = tree::list(status, "requestMappings");
    let within = path.child("requestMappings");
    if mappings.is_empty() {
        let detail = "at least one request mapping is required";
        errors.push(field::required(&within, detail));
    }
    let mut seen = HashSet::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let at = within.index(index);
        let parts = ["containerName", "resourceName", "requestName"];
        let values = parts.map(|part| tree::text(mapping, part));
        mapped(errors, pod, mapping, &at);
        let [_, _, request] = values;
        let outcome = names::is_dns1123_label(request);
        errors.check(&path.child("requestName"), request, outcome);
        if !seen.insert(values) {
            for (part, value) in parts.into_iter().zip(values) {
                errors.push(field::duplicate(&at.child(part), value));
            }
        }
    }
    let (name, at) = (
        tree::text(status, "resourceClaimName"),
        path.child("resourceClaimName"),
    );
    if name.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, name, names::is_dns1123_subdomain(name));
    }
}

/// A mapping is of a resource that a container of the pod requests.
fn mapped(errors: &mut ErrorList, pod: &Value, mapping: &Value, path: &Path) {
    let [container, resource] =
        ["containerName", "resourceName"].map(|part| tree::text(mapping, part));
    let lists = ["spec.containers", "spec.initContainers"];
    let mut containers = lists.iter().flat_map(|list| tree::list(pod, list));
    let Some(found) = containers.find(|one| tree::text(one, "name") == container) else {
        let detail =
            "must match the name of an entry in spec.initContainers.name or spec.containers.name";
        errors.push(field::invalid(
            &path.child("containerName"),
            container,
            detail,
        ));
        return;
    };
    if !tree::map(found, "resources.requests").contains_key(resource) {
        let detail = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
        errors.push(field::invalid(
            &path.child("resourceName"),
            resource,
            detail,
        ));
    }
}

/// Validates the resources of the node that a claim takes.
fn of_node(errors: &mut ErrorList, pod: &Value, status: &Value, path: &Path) {
    let (name, at) = (
        tree::text(status, "resourceClaimName"),
        path.child("resourceClaimName"),
    );
    if name.is_empty() {
        errors.push(field::required(&at, NOT_EMPTY));
    }
    let lists = ["spec.resourceClaims", "status.resourceClaimStatuses"];
    let mut claims = lists.iter().flat_map(|list| tree::list(pod, list));
    let is_it = |claim: &Value| {
        let own = tree::get(claim, "resourceClaimName").and_then(Value::as_str);
        own == Some(name)
    };
    if !claims.any(is_it) {
        let detail = "no mapping found in pod reference";
        errors.push(field::invalid(&at, name, detail));
    }
    for part in ["containers", "resources"] {
        if !tree::has(status, part) {
            errors.push(field::required(&path.child(part), NOT_EMPTY));
        }
    }
    for (resource, amount) in tree::map(status, "resources") {
        let at = path.child("resources").key(resource);
        if !is_native(resource) {
            let detail = "must be a node allocatable resource name";
            errors.push(field::invalid(&at, resource, detail));
        }
        if quantity::read(amount).is_some_and(|amount| amount.is_negative()) {
            errors.push(field::invalid(&at, amount, "must be non-negative"));
        }
    }
}
