//! Validation of network policies.

use ipnet::IpNet;
use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const RULES: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

pub(super) fn validate(policy: &Value) -> ErrorList {
    spec(policy, &[])
}

/// Ranges that the policy has already stay, whatever they are.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut known = Vec::new();
    for (rules, peers) in RULES {
        for rule in tree::list(old, &format!("spec.{rules}")) {
            for peer in tree::list(rule, peers) {
                known.push(tree::text(peer, "ipBlock.cidr"));
                known.extend(tree::texts(peer, "ipBlock.except"));
            }
        }
    }
    spec(new, &known)
}

fn spec(policy: &Value, known: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    if let Some(selector) = tree::get(policy, "spec.podSelector") {
        errors.append(checks::label_selector(selector, &path.child("podSelector")));
    }
    for (rules, peers) in RULES {
        let found = tree::list(policy, &format!("spec.{rules}"));
        for (index, rule) in found.iter().enumerate() {
            let at = path.child(rules).index(index);
            for (number, port) in tree::list(rule, "ports").iter().enumerate() {
                self::port(&mut errors, port, &at.child("ports").index(number));
            }
            for (number, peer) in tree::list(rule, peers).iter().enumerate() {
                self::peer(&mut errors, peer, known, &at.child(peers).index(number));
            }
        }
    }
    types(&mut errors, policy, &path.child("policyTypes"));
    errors
}

fn types(errors: &mut ErrorList, policy: &Value, path: &Path) {
    let types = tree::texts(policy, "spec.policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        let shown = tree::get(policy, "spec.policyTypes");
        errors.push(field::invalid(path, shown, detail));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        if !matches!(*kind, "Ingress" | "Egress") {
            let supported = ["Ingress", "Egress"];
            errors.push(field::not_supported(&path.index(index), *kind, &supported));
        }
    }
}

fn port(errors: &mut ErrorList, port: &Value, path: &Path) {
    checks::supported(errors, port, "protocol", path, &["TCP", "UDP", "SCTP"]);
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
                    // Upstream shows the port, not its end.
                    let detail = "must be greater than or equal to `port`";
                    errors.push(field::invalid(&path.child("endPort"), number, detail));
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

fn peer(errors: &mut ErrorList, peer: &Value, known: &[&str], path: &Path) {
    let mut selectors = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = tree::get(peer, name) {
            selectors += 1;
            errors.append(checks::label_selector(selector, &path.child(name)));
        }
    }
    let block = tree::get(peer, "ipBlock");
    if let Some(block) = block {
        ip_block(errors, block, known, &path.child("ipBlock"));
    }
    if selectors > 0 && block.is_some() {
        let detail = "may not specify both ipBlock and another peer";
        errors.push(field::forbidden(path, detail));
    } else if selectors == 0 && block.is_none() {
        errors.push(field::required(path, "must specify a peer"));
    }
}

fn ip_block(errors: &mut ErrorList, block: &Value, known: &[&str], path: &Path) {
    let text = tree::text(block, "cidr");
    if text.is_empty() {
        errors.push(field::required(&path.child("cidr"), ""));
        return;
    }
    range(errors, text, known, &path.child("cidr"));
    let Some(outer) = parse(text) else {
        return;
    };
    for (index, except) in tree::texts(block, "except").iter().enumerate() {
        let at = path.child("except").index(index);
        range(errors, except, known, &at);
        let is_inside = |inner: &IpNet| {
            outer.contains(&inner.network()) && outer.prefix_len() < inner.prefix_len()
        };
        if parse(except).is_some_and(|inner| !is_inside(&inner)) {
            let detail = "must be a strict subset of `cidr`";
            errors.push(field::invalid(&at, *except, detail));
        }
    }
}

fn range(errors: &mut ErrorList, text: &str, known: &[&str], path: &Path) {
    if !known.contains(&text) {
        errors.check(path, text, names::is_cidr(text));
    }
}

/// The range that a text stands for, with zeros before its numbers and bits behind its prefix.
fn parse(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    IpNet::new(parse_loosely(address)?, length.parse().ok()?).ok()
}
