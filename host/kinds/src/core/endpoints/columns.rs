//! `kubectl get endpoints`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Endpoints",
        "The set of all endpoints is the union of all subsets. Addresses are placed into subsets according to the IPs they share. A single address with multiple ports, some of which are ready and some of which are not (because they come from different containers) will result in the address being displayed in different subsets for the different ports. No address will appear in both Addresses and NotReadyAddresses in the same subset. Sets of addresses and ports that comprise a service.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        endpoints(object).into(),
        print::age(object, now),
    ]
}

/// Addresses shown before the rest is only counted.
const SHOWN: usize = 3;

fn endpoints(object: &Value) -> String {
    let subsets = tree::list(object, "subsets");
    if subsets.is_empty() {
        return print::NONE.to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = tree::list(subset, "addresses")
            .iter()
            .map(|address| tree::text(address, "ip"));
        let ports = tree::list(subset, "ports");
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
        } else {
            for port in ports {
                let number = tree::int(port, "port").unwrap_or(0);
                all.extend(addresses.clone().map(|ip| join(ip, number)));
            }
        }
    }
    let shown = all
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",");
    if all.len() > SHOWN {
        format!("{shown} + {} more...", all.len() - SHOWN)
    } else {
        shown
    }
}

fn join(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}
