//! Affinity to nodes and to other pods.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Validates `affinity` of a pod spec.
pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(affinity) = tree::get(spec, "affinity") else {
        return;
    };
    if let Some(nodes) = tree::get(affinity, "nodeAffinity") {
        node_affinity(errors, nodes, &path.child("nodeAffinity"));
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = tree::get(affinity, name) {
            pod_affinity(errors, pods, &path.child(name));
        }
    }
}

fn node_affinity(errors: &mut ErrorList, affinity: &Value, path: &Path) {
    if let Some(selector) = tree::get(affinity, REQUIRED) {
        node_selector(errors, selector, &path.child(REQUIRED));
    }
    for (index, preference) in tree::list(affinity, PREFERRED).iter().enumerate() {
        let at = path.child(PREFERRED).index(index);
        weight(errors, preference, &at);
        if let Some(term) = tree::get(preference, "preference") {
            // What no node has is no error where it is only preferred.
            node_term(errors, term, &at.child("preference"), false);
        }
    }
}

/// Validates a node selector; persistent volumes use one as well.
pub(crate) fn node_selector(errors: &mut ErrorList, selector: &Value, path: &Path) {
    let terms = tree::list(selector, "nodeSelectorTerms");
    let path = path.child("nodeSelectorTerms");
    if terms.is_empty() {
        let detail = "must have at least one node selector term";
        errors.push(field::required(&path, detail));
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(errors, term, &path.index(index), true);
    }
}

fn node_term(errors: &mut ErrorList, term: &Value, path: &Path, checks_values: bool) {
    for (index, expression) in tree::list(term, "matchExpressions").iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        expression_operator(errors, expression, &at);
        let key = tree::text(expression, "key");
        errors.check(&at.child("key"), key, names::is_qualified_name(key));
        let values = tree::texts(expression, "values");
        for (number, value) in values.iter().enumerate().filter(|_| checks_values) {
            errors.check(
                &at.child("values").index(number),
                *value,
                names::is_label_value(value),
            );
        }
    }
    for (index, expression) in tree::list(term, "matchFields").iter().enumerate() {
        let at = path.child("matchFields").index(index);
        match tree::text(expression, "operator") {
            "In" | "NotIn" if tree::list(expression, "values").len() != 1 => {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(field::required(&at.child("values"), detail));
            }
            "In" | "NotIn" => {}
            operator => errors.push(field::invalid(
                &at.child("operator"),
                operator,
                "not a valid selector operator",
            )),
        }
        node_field(errors, expression, &at);
    }
}

fn node_field(errors: &mut ErrorList, expression: &Value, path: &Path) {
    let key = tree::text(expression, "key");
    if key != "metadata.name" {
        let detail = "not a valid field selector key";
        errors.push(field::invalid(&path.child("key"), key, detail));
        return;
    }
    for (index, name) in tree::texts(expression, "values").iter().enumerate() {
        errors.check(
            &path.child("values").index(index),
            *name,
            names::is_dns1123_subdomain(name),
        );
    }
}

fn expression_operator(errors: &mut ErrorList, expression: &Value, path: &Path) {
    let values = tree::list(expression, "values").len();
    match tree::text(expression, "operator") {
        "In" | "NotIn" if values == 0 => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(field::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(field::forbidden(&path.child("values"), detail));
        }
        "Gt" | "Lt" if values != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(field::required(&path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => errors.push(field::invalid(
            &path.child("operator"),
            operator,
            "not a valid selector operator",
        )),
    }
}

fn pod_affinity(errors: &mut ErrorList, affinity: &Value, path: &Path) {
    for (index, term) in tree::list(affinity, REQUIRED).iter().enumerate() {
        pod_term(errors, term, &path.child(REQUIRED).index(index));
    }
    for (index, weighted) in tree::list(affinity, PREFERRED).iter().enumerate() {
        let at = path.child(PREFERRED).index(index);
        weight(errors, weighted, &at);
        if let Some(term) = tree::get(weighted, "podAffinityTerm") {
            pod_term(errors, term, &at.child("podAffinityTerm"));
        }
    }
}

fn pod_term(errors: &mut ErrorList, term: &Value, path: &Path) {
    for name in ["labelSelector", "namespaceSelector"] {
        if let Some(selector) = tree::get(term, name) {
            errors.append(checks::label_selector(selector, &path.child(name)));
        }
    }
    for name in tree::texts(term, "namespaces") {
        errors.check(
            &path.child("namespace"),
            name,
            names::is_dns1123_label(name),
        );
    }
    super::scheduling::label_keys(errors, term, path);
    let (key, at) = (tree::text(term, "topologyKey"), path.child("topologyKey"));
    if key.is_empty() {
        errors.push(field::required(&at, "can not be empty"));
    }
    errors.check(&at, key, names::is_qualified_name(key));
}

fn weight(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let weight = tree::int(holder, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(field::invalid(
            &path.child("weight"),
            weight,
            "must be in the range 1-100",
        ));
    }
}
