//! Validation of the ports of a service.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::{self, Check, Unique};

pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let ports = tree::list(spec, "ports");
    let path = path.child("ports");
    let mut names = Unique::new();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(port, "name");
        if !name.is_empty() {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
            names.insert(errors, name, &at.child("name"));
        } else if ports.len() > 1 {
            errors.push(field::required(&at.child("name"), ""));
        }
        self::port(errors, port, &at);
    }
}

fn port(errors: &mut ErrorList, port: &Value, path: &Path) {
    let number = tree::int(port, "port").unwrap_or(0);
    checks::port_number(errors, number, &path.child("port"));
    checks::required_one_of(errors, port, "protocol", path, &["SCTP", "TCP", "UDP"]);
    match tree::get(port, "targetPort") {
        Some(Value::String(name)) => {
            errors.check(&path.child("targetPort"), name, names::is_port_name(name));
        }
        target => {
            let target = target.and_then(Value::as_i64).unwrap_or(0);
            checks::port_number(errors, target, &path.child("targetPort"));
        }
    }
    if let Some(protocol) = tree::get(port, "appProtocol").and_then(Value::as_str) {
        let outcome = names::is_qualified_name(protocol);
        errors.check(&path.child("appProtocol"), protocol, outcome);
    }
}

/// Ports of nodes: a service of type `ClusterIP` has none, and two ports share none.
pub(super) fn of_nodes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let path = path.child("ports");
    let is_cluster = tree::text(spec, "type") == "ClusterIP";
    let ports = tree::list(spec, "ports").iter().enumerate();
    let given = |port: &Value| tree::int(port, "nodePort").filter(|number| *number != 0);
    for (index, _) in ports
        .clone()
        .filter(|(_, port)| is_cluster && given(port).is_some())
    {
        let detail = "may not be used when `type` is 'ClusterIP'";
        errors.push(field::forbidden(
            &path.index(index).child("nodePort"),
            detail,
        ));
    }
    let mut seen = HashSet::new();
    for (index, port) in ports {
        let Some(number) = given(port) else { continue };
        if !seen.insert((tree::text(port, "protocol"), number)) {
            errors.push(field::duplicate(
                &path.index(index).child("nodePort"),
                number,
            ));
        }
    }
}

/// Two ports of one protocol have two numbers.
pub(super) fn duplicates(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let path = path.child("ports");
    let mut seen = HashSet::new();
    for (index, port) in tree::list(spec, "ports").iter().enumerate() {
        let protocol = tree::text(port, "protocol");
        let number = tree::int(port, "port").unwrap_or(0);
        if !seen.insert((protocol, number)) {
            errors.push(field::duplicate(
                &path.index(index),
                &shown(protocol, number),
            ));
        }
    }
}

/// The key of a duplicate as upstream's internal type prints.
fn shown(protocol: &str, port: i64) -> Value {
    json!({"Name": "", "Protocol": protocol, "AppProtocol": null, "Port": port, "TargetPort": 0, "NodePort": 0})
}
