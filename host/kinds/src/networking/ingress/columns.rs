//! `kubectl get ingresses`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Class",
        "The name of the IngressClass resource that should be used for additional configuration",
    ),
    Column::text(
        "Hosts",
        "Hosts that incoming requests are matched against before the ingress rule",
    ),
    Column::text(
        "Address",
        "Address is a list containing ingress points for the load-balancer",
    ),
    Column::text("Ports", "Ports of TLS configurations that open"),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = if tree::has(object, "spec.tls") {
        "80, 443"
    } else {
        "80"
    };
    vec![
        print::name(object),
        print::or_none(tree::text(object, "spec.ingressClassName")),
        hosts(object).into(),
        print::load_balancer(object).into(),
        ports.into(),
        print::age(object, now),
    ]
}

/// Hosts shown before the rest is only counted.
const SHOWN: usize = 3;

fn hosts(ingress: &Value) -> String {
    let rules = tree::list(ingress, "spec.rules");
    let mut hosts = Vec::new();
    let mut more = false;
    for host in rules.iter().map(|rule| tree::text(rule, "host")) {
        more |= hosts.len() == SHOWN;
        if !more && !host.is_empty() {
            hosts.push(host);
        }
    }
    match (hosts.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{} + {} more...", hosts.join(","), rules.len() - SHOWN),
        (false, false) => hosts.join(","),
    }
}
