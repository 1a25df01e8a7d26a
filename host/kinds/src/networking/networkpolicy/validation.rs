//! Validation of network policies.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

pub(super) fn validate(policy: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    if let Some(selector) = tree::get(policy, "spec.podSelector") {
        errors.append(checks::label_selector(selector, &path.child("podSelector")));
    }
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in tree::list(policy, &format!("spec.{rules}"))
            .iter()
            .enumerate()
        {
            let at = path.child(rules).index(index);
            for (number, port) in tree::list(rule, "ports").iter().enumerate() {
                self::port(&mut errors, port, &at.child("ports").index(number));
            }
            for (number, peer) in tree::list(rule, peers).iter().enumerate() {
                self::peer(&mut errors, peer, &at.child(peers).index(number));
            }
        }
    }
    let types = tree::texts(policy, "spec.policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(field::invalid(
            &path.child("policyTypes"),
            tree::get(policy, "spec.policyTypes"),
            detail,
        ));
        return errors;
    }
    for (index, kind) in types.iter().enumerate() {
        if !matches!(*kind, "Ingress" | "Egress") {
            let at = path.child("policyTypes").index(index);
            errors.push(field::not_supported(&at, *kind, &["Egress", "Ingress"]));
        }
    }
    errors
}

fn port(errors: &mut ErrorList, port: &Value, path: &Path) {
    checks::one_of(errors, port, "protocol", path, &["SCTP", "TCP", "UDP"]);
    match tree::get(port, "port") {
        Some(Value::String(name)) => {
            if tree::get(port, "endPort").is_some() {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(field::invalid(
                    &path.child("endPort"),
                    tree::get(port, "endPort"),
                    detail,
                ));
            }
            errors.check(&path.child("port"), name, names::is_port_name(name));
        }
        Some(number) => {
            let number = number.as_i64().unwrap_or(0);
            checks::port_number(errors, number, &path.child("port"));
            if let Some(end) = tree::int(port, "endPort") {
                if end < number {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(field::invalid(&path.child("endPort"), end, detail));
                }
                checks::port_number(errors, end, &path.child("endPort"));
            }
        }
        None if tree::get(port, "endPort").is_some() => {
            let detail = "may not be specified when `port` is not specified";
            errors.push(field::invalid(
                &path.child("endPort"),
                tree::get(port, "endPort"),
                detail,
            ));
        }
        None => {}
    }
}

fn peer(errors: &mut ErrorList, peer: &Value, path: &Path) {
    let mut given = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = tree::get(peer, name) {
            given += 1;
            errors.append(checks::label_selector(selector, &path.child(name)));
        }
    }
    if let Some(block) = tree::get(peer, "ipBlock") {
        if given > 0 {
            let detail = "may not specify both ipBlock and another peer";
            errors.push(field::forbidden(path, detail));
        }
        given += 1;
        ip_block(errors, block, &path.child("ipBlock"));
    }
    if given == 0 {
        errors.push(field::required(path, "must specify a peer"));
    }
}

fn ip_block(errors: &mut ErrorList, block: &Value, path: &Path) {
    const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let text = tree::text(block, "cidr");
    if text.is_empty() {
        errors.push(field::required(&path.child("cidr"), ""));
        return;
    }
    let Ok(outer) = text.parse::<ipnet::IpNet>() else {
        errors.push(field::invalid(&path.child("cidr"), text, CIDR));
        return;
    };
    for (index, except) in tree::texts(block, "except").iter().enumerate() {
        let at = path.child("except").index(index);
        match except.parse::<ipnet::IpNet>() {
            Err(_) => errors.push(field::invalid(&at, *except, CIDR)),
            Ok(inner) if outer == inner || !outer.contains(&inner) => {
                errors.push(field::invalid(
                    &at,
                    *except,
                    "must be a strict subset of `cidr`",
                ));
            }
            Ok(_) => {}
        }
    }
}
