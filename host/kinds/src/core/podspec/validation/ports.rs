//! Container ports.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};

/// Protocols, in the order in which messages name them.
pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn validate(errors: &mut ErrorList, container: &Value, path: &Path) {
    let mut seen = Unique::new();
    for (index, port) in tree::list(container, "ports").iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(port, "name");
        if !name.is_empty() {
            match names::is_port_name(name) {
                Ok(()) => seen.insert(errors, name, &at.child("name")),
                outcome => errors.check(&at.child("name"), name, outcome),
            }
        }
        let number = tree::int(port, "containerPort").unwrap_or(0);
        if number == 0 {
            errors.push(field::required(&at.child("containerPort"), ""));
        } else {
            checks::port_number(errors, number, &at.child("containerPort"));
        }
        let host = tree::int(port, "hostPort").unwrap_or(0);
        if host != 0 {
            checks::port_number(errors, host, &at.child("hostPort"));
        }
        checks::required_one_of(errors, port, "protocol", &at, PROTOCOLS);
    }
}

/// On the host's network a container's port is the host's (`validatePodHostNetworkDeps`).
pub(super) fn on_host_network(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if !tree::flag(spec, "hostNetwork") {
        return;
    }
    for (index, container) in tree::list(spec, "containers").iter().enumerate() {
        let at = path.child("containers").index(index).child("ports");
        for (number, port) in tree::list(container, "ports").iter().enumerate() {
            let [host, own] =
                ["hostPort", "containerPort"].map(|name| tree::int(port, name).unwrap_or(0));
            // A Pod has its host ports by default; in a template they may be missing, since the Pod
            // gets them when it is made.
            if host != 0 && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                let at = at.index(number).child("hostPort");
                errors.push(field::invalid(&at, host, detail));
            }
        }
    }
}

/// Two containers cannot listen on the same port of the host.
pub(super) fn host_conflicts(errors: &mut ErrorList, containers: &[Value], path: &Path) {
    let mut taken = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (number, port) in tree::list(container, "ports").iter().enumerate() {
            let host = tree::int(port, "hostPort").unwrap_or(0);
            if host == 0 {
                continue;
            }
            let key = format!(
                "{}/{}/{host}",
                tree::text(port, "protocol"),
                tree::text(port, "hostIP")
            );
            if !taken.insert(key.clone()) {
                let at = path
                    .index(index)
                    .child("ports")
                    .index(number)
                    .child("hostPort");
                errors.push(field::duplicate(&at, key));
            }
        }
    }
}
