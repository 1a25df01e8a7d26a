//! Cluster addresses: those asked for, and those given.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k3s_meta::{Path, field, tree};
use serde_json::{Value, json};

use super::settings::{family_of, nth, static_band, usable};
use super::{Allocation, families, needs_address};

/// Random tries before the range is searched in order.
const RANDOM_TRIES: usize = 32;

/// The addresses a service holds.
pub(super) fn held(service: &Value) -> HashSet<IpAddr> {
    let list = tree::list(service, "spec.clusterIPs")
        .iter()
        .filter_map(Value::as_str);
    let single = tree::text(service, "spec.clusterIP");
    list.chain([single])
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Makes `clusterIP` and `clusterIPs` complete.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    if !needs_address(service) {
        return;
    }
    let families = families::assign(allocation, service);
    if tree::text(service, "spec.clusterIP") == "None" {
        tree::set(service, "spec.clusterIPs", json!(["None"]));
        return;
    }
    let kept = old.map(held).unwrap_or_default();
    let asked = asked_in_order(service);
    let mut addresses = Vec::with_capacity(families.len());
    for family in families {
        let wanted = asked
            .iter()
            .find(|address| family_of(**address) == family)
            .copied();
        let got = match wanted {
            Some(address) if kept.contains(&address) => Some(address),
            Some(address) => claim(allocation, address),
            None => pick(allocation, family),
        };
        addresses.extend(got.map(|address| address.to_string()));
    }
    if let Some(first) = addresses.first() {
        tree::set(service, "spec.clusterIP", first.as_str());
    }
    tree::set(service, "spec.clusterIPs", json!(addresses));
}

fn asked_in_order(service: &Value) -> Vec<IpAddr> {
    let single = tree::text(service, "spec.clusterIP");
    let list = tree::list(service, "spec.clusterIPs")
        .iter()
        .filter_map(Value::as_str);
    [single]
        .into_iter()
        .chain(list)
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn claim(allocation: &mut Allocation<'_>, address: IpAddr) -> Option<IpAddr> {
    let cidr = allocation.settings.cidr(family_of(address));
    let inside = cidr.is_some_and(|cidr| is_usable(cidr, address));
    if inside && allocation.claim.address(address) {
        return Some(address);
    }
    let why = if inside {
        "provided IP is already allocated".to_owned()
    } else {
        let range = cidr.map(ToString::to_string).unwrap_or_default();
        format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}"
        )
    };
    refuse(
        allocation,
        &[address],
        &format!("failed to allocate IP {address}: {why}"),
    );
    None
}

fn is_usable(cidr: &IpNet, address: IpAddr) -> bool {
    cidr.contains(&address)
        && address != cidr.network()
        && !(address.is_ipv4() && address == cidr.broadcast())
}

/// A free address: at random from the upper part of the range, then any.
fn pick(allocation: &mut Allocation<'_>, family: &str) -> Option<IpAddr> {
    let cidr = *allocation.settings.cidr(family)?;
    let usable = usable(&cidr);
    let low = static_band(usable);
    for _ in 0..RANDOM_TRIES {
        let offset = low
            .saturating_add(1)
            .saturating_add(allocation.random.below(usable.saturating_sub(low)));
        if let Some(address) =
            nth(&cidr, offset.min(usable)).filter(|address| allocation.claim.address(*address))
        {
            return Some(address);
        }
    }
    let upper = low.saturating_add(1)..=usable;
    let found = upper
        .chain(1..=low)
        .filter_map(|n| nth(&cidr, n))
        .find(|address| allocation.claim.address(*address));
    if found.is_none() {
        refuse(
            allocation,
            &[],
            "failed to allocate a serviceIP: range is full",
        );
    }
    found
}

fn refuse(allocation: &mut Allocation<'_>, addresses: &[IpAddr], why: &str) {
    let path = Path::new("spec").child("clusterIPs");
    let shown = json!(
        addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    );
    allocation.errors.push(field::invalid(&path, &shown, why));
}
