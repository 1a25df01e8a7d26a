//! Cluster addresses: those asked for, and those given.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k3s_meta::{Path, field, tree};
use serde_json::{Value, json};

use super::settings::{family_of, nth, static_band, usable};
use super::{Work, families};
use crate::Resource;

/// Random tries before the range is gone through in order.
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

/// An update that leaves the addresses out keeps them; one that turns the service into a name drops
/// them.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    if !Resource::service_needs_address(old) || !Resource::service_needs_address(new) {
        if !Resource::service_needs_address(new) && held(new) == held(old) {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                tree::remove(new, &format!("spec.{field}"));
            }
        }
        return;
    }
    let missing = |service: &Value, field| {
        tree::get(service, &format!("spec.{field}")).is_none_or(|value| {
            value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
        })
    };
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if missing(new, field)
            && let Some(kept) = tree::get(old, &format!("spec.{field}"))
        {
            tree::set(new, &format!("spec.{field}"), kept.clone());
        }
    }
}

/// Makes `clusterIP` and `clusterIPs` complete.
pub(super) fn assign(work: &mut Work<'_>, service: &mut Value, old: Option<&Value>) {
    if !Resource::service_needs_address(service) {
        return;
    }
    let families = families::assign(work, service);
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
            Some(address) => claim(work, address),
            None => pick(work, family),
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

fn claim(work: &mut Work<'_>, address: IpAddr) -> Option<IpAddr> {
    let cidr = work.settings.cidr(family_of(address));
    let inside = cidr.is_some_and(|cidr| is_usable(cidr, address));
    if inside && work.claim.address(address) {
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
        work,
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
fn pick(work: &mut Work<'_>, family: &str) -> Option<IpAddr> {
    let cidr = *work.settings.cidr(family)?;
    let usable = usable(&cidr);
    let low = static_band(usable);
    for _ in 0..RANDOM_TRIES {
        let offset = low
            .saturating_add(1)
            .saturating_add(work.random.below(usable.saturating_sub(low)));
        if let Some(address) =
            nth(&cidr, offset.min(usable)).filter(|address| work.claim.address(*address))
        {
            return Some(address);
        }
    }
    let upper = low.saturating_add(1)..=usable;
    let found = upper
        .chain(1..=low)
        .filter_map(|n| nth(&cidr, n))
        .find(|address| work.claim.address(*address));
    if found.is_none() {
        refuse(work, &[], "failed to allocate a serviceIP: range is full");
    }
    found
}

fn refuse(work: &mut Work<'_>, addresses: &[IpAddr], why: &str) {
    let path = Path::new("spec").child("clusterIPs");
    let shown = json!(
        addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    );
    work.errors.push(field::invalid(&path, &shown, why));
}
