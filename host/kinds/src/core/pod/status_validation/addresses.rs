//! Validation of the addresses that a pod and its node have.

use std::net::IpAddr;

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::Check;

const ONE_PER_FAMILY: &str = "may specify no more than one IP for each IP family";

pub(super) fn of_pod(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    addresses(errors, [new, old], "status.podIPs", path);
}

pub(super) fn of_host(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let Some(first) = tree::list(new, "status.hostIPs").first() else {
        return;
    };
    let first = tree::text(first, "ip");
    if first != tree::text(new, "status.hostIP") {
        let at = path.index(0).child("ip");
        errors.push(field::invalid(&at, first, "must be equal to `hostIP`"));
    }
    addresses(errors, [new, old], "status.hostIPs", path);
}

/// Each is an address or was there before; of each family there is one at most.
fn addresses(errors: &mut ErrorList, [new, old]: [&Value; 2], list: &str, path: &Path) {
    let [found, stored] = [new, old].map(|pod| ips(pod, list));
    for (index, ip) in found.iter().enumerate() {
        if !stored.contains(ip) {
            errors.check(&path.index(index), *ip, names::is_ip(ip));
        }
    }
    if found.len() < 2 {
        return;
    }
    let canonical = |ip: &&str| parse_loosely(ip).map(|ip| ip.to_canonical());
    let read: Vec<_> = found.iter().map(canonical).collect();
    let unread = read.iter().position(Option::is_none);
    if let Some((index, ip)) = unread.and_then(|index| Some((index, found.get(index)?))) {
        let detail = format!("failed to check for dual stack with error:invalid IP[{index}]: {ip}");
        errors.push(field::internal(path, detail));
    }
    let has = |family: fn(&IpAddr) -> bool| read.iter().flatten().any(family);
    let both = unread.is_none() && has(IpAddr::is_ipv4) && has(IpAddr::is_ipv6);
    if !both || found.len() > 2 {
        // With the names of Go, as upstream shows it.
        let shown: Vec<Value> = found.iter().map(|ip| json!({"IP": ip})).collect();
        errors.push(field::invalid(path, &Value::from(shown), ONE_PER_FAMILY));
    }
}

fn ips<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let entries = tree::list(pod, list).iter();
    entries.map(|entry| tree::text(entry, "ip")).collect()
}
