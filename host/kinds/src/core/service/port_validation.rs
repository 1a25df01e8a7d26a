//! Validation of the ports of a service.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::{self, Check, Unique};

/// The kubelet listens here on every node.
const KUBELET_PORT: i64 = 10_250;

pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path, headless: bool) {
    let kind = tree::text(spec, "type");
    let ports = tree::list(spec, "ports");
    let path = path.child("ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(field::required(&path, ""));
    }
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
        self::port(errors, port, &at, kind);
    }
    duplicates(errors, ports, &path);
}

fn port(errors: &mut ErrorList, port: &Value, path: &Path, kind: &str) {
    let number = tree::int(port, "port").unwrap_or(0);
    checks::port_number(errors, number, &path.child("port"));
    if kind == "LoadBalancer" && number == KUBELET_PORT {
        let detail = "may not expose port 10250 externally since it is used by kubelet";
        errors.push(field::invalid(&path.child("port"), number, detail));
    }
    checks::required_one_of(errors, port, "protocol", path, &["SCTP", "TCP", "UDP"]);
    match tree::get(port, "targetPort") {
        Some(Value::String(name)) => {
            errors.check(&path.child("targetPort"), name, names::is_port_name(name))
        }
        target => {
            let target = target.and_then(Value::as_i64).unwrap_or(0);
            checks::port_number(errors, target, &path.child("targetPort"));
        }
    }
    let protocol = tree::text(port, "appProtocol");
    if !protocol.is_empty() {
        errors.check(
            &path.child("appProtocol"),
            protocol,
            names::is_qualified_name(protocol),
        );
    }
    if tree::int(port, "nodePort").unwrap_or(0) != 0 && !matches!(kind, "NodePort" | "LoadBalancer")
    {
        let detail = format!("may not be used when `type` is '{kind}'");
        errors.push(field::forbidden(&path.child("nodePort"), detail));
    }
}

fn duplicates(errors: &mut ErrorList, ports: &[Value], path: &Path) {
    let (mut numbers, mut node_ports) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let protocol = tree::text(port, "protocol");
        let number = tree::int(port, "port").unwrap_or(0);
        let at = path.index(index);
        if !numbers.insert((protocol, number)) {
            errors.push(field::duplicate(&at, &shown(protocol, number, 0)));
        }
        let node_port = tree::int(port, "nodePort").unwrap_or(0);
        if node_port != 0 && !node_ports.insert((protocol, node_port)) {
            errors.push(field::duplicate(
                &at.child("nodePort"),
                &shown(protocol, 0, node_port),
            ));
        }
    }
}

/// The key of a duplicate as upstream's internal type prints.
fn shown(protocol: &str, port: i64, node_port: i64) -> Value {
    json!({"Name": "", "Protocol": protocol, "AppProtocol": null, "Port": port, "TargetPort": 0, "NodePort": node_port})
}
