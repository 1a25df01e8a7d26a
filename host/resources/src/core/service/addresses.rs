//! Cluster addresses: those asked for, and those given.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use k3s_meta::quote::quote;
use k3s_meta::{Path, Status, field, object, tree};
use serde_json::{Value, json};

use super::settings::{family_of, nth, static_band, usable};
use super::{Allocation, families, is_headless, needs_address};

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

/// A client may write one spelling of a new service's address (`normalizeClusterIPs`).
pub(super) fn normalize(service: &mut Value) {
    let primary = tree::text(service, "spec.clusterIP").to_owned();
    if !primary.is_empty() && !tree::has(service, "spec.clusterIPs") {
        tree::set(service, "spec.clusterIPs", vec![primary]);
    }
}

/// Makes `clusterIP` and `clusterIPs` complete: all of a service that had none, and the second one of a
/// service that gains a family. What else changes is for validation to judge.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    if !needs_address(service) || is_headless(service) || families::is_settled(service, old) {
        return;
    }
    let count = |service: &Value| tree::list(service, "spec.ipFamilies").len();
    let first = match old.filter(|old| needs_address(old)) {
        None => 0,
        Some(old) if is_headless(old) || (count(old), count(&*service)) != (1, 2) => return,
        Some(_) => 1,
    };
    let families = tree::list(service, "spec.ipFamilies").to_vec();
    let mut addresses: Vec<String> = tree::texts(service, "spec.clusterIPs")
        .into_iter()
        .map(str::to_owned)
        .collect();
    addresses.resize(addresses.len().max(families.len()), String::new());
    for (index, family) in families.iter().enumerate().skip(first) {
        let asked = addresses.get(index).cloned().unwrap_or_default();
        let got = if asked.is_empty() {
            let family = family.as_str().unwrap_or_default();
            pick(allocation, family, object::name(service))
        } else {
            claim(allocation, &asked, &addresses)
        };
        if let (Some(got), Some(place)) = (got, addresses.get_mut(index)) {
            *place = got;
        }
    }
    if let Some(primary) = addresses.first() {
        tree::set(service, "spec.clusterIP", primary.as_str());
    }
    tree::set(service, "spec.clusterIPs", json!(addresses));
}

/// Takes an address that was asked for; `all` are those of the service, as errors show them.
fn claim(allocation: &mut Allocation<'_>, asked: &str, all: &[String]) -> Option<String> {
    let address = asked.parse().ok()?;
    let cidr = allocation.settings.cidr(family_of(address));
    let inside = cidr.is_some_and(|cidr| is_usable(cidr, address));
    if inside && allocation.claim.address(address) {
        return Some(asked.to_owned());
    }
    let why = if inside {
        "provided IP is already allocated".to_owned()
    } else {
        let range = cidr.map(ToString::to_string).unwrap_or_default();
        format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}"
        )
    };
    let why = format!("failed to allocate IP {asked}: {why}");
    refuse(allocation, all, &why);
    None
}

fn is_usable(cidr: &IpNet, address: IpAddr) -> bool {
    cidr.contains(&address)
        && address != cidr.network()
        && !(address.is_ipv4() && address == cidr.broadcast())
}

/// A free address: at random from the upper part of the range, then any. That there is none is a failure of
/// the server to upstream.
fn pick(allocation: &mut Allocation<'_>, family: &str, name: &str) -> Option<String> {
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
            return Some(address.to_string());
        }
    }
    let upper = low.saturating_add(1)..=usable;
    let found = upper
        .chain(1..=low)
        .filter_map(|n| nth(&cidr, n))
        .find(|address| allocation.claim.address(*address));
    if found.is_none() {
        let name = quote(name);
        let why = format!("failed to allocate a serviceIP for Service {name}: range is full");
        allocation.failure = Some(Status::internal(&why));
    }
    found.map(|address| address.to_string())
}

fn refuse(allocation: &mut Allocation<'_>, all: &[String], why: &str) {
    let path = Path::new("spec").child("clusterIPs");
    let error = field::invalid(&path, &json!(all), why);
    allocation.errors.push(error);
}
