//! An assignment as the host sees it: addresses are addresses, and nobody lies.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use k3s_wit_bindings::load_balancer::exports::k3s::load_balancer::balancer as wit;

use super::inputs::Inputs;

/// What a Service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// `namespace/name`.
    pub service: Arc<str>,
    /// The load balancer's business.
    pub claimed: bool,
    /// For `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// Nodes that answer.
    pub forwards: Vec<Forward>,
    /// What its owner should know.
    pub problems: Vec<Problem>,
}

/// An address to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The address.
    pub ip: IpAddr,
    /// `ipMode: Proxy` rather than `VIP`.
    pub proxy: bool,
}

/// A node that answers on these of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The node's name.
    pub node: String,
    /// Addresses of its status.
    pub addresses: Vec<IpAddr>,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Longest reason and message that an Event may have (`pkg/apis/core/validation/events.go`).
const REASON_LIMIT: usize = 128;
const MESSAGE_LIMIT: usize = 1024;

/// Checks what the plugin said. What is wrong is left out, with a warning.
pub(super) fn checked(from: wit::Assignment, inputs: &Inputs) -> Option<Assignment> {
    let Some((service, _)) = inputs.services.get_key_value(from.service.as_str()) else {
        tracing::warn!(
            service = from.service,
            "the load balancer assigned a Service that it was not given"
        );
        return None;
    };
    let ingress = from.ingress.iter().filter_map(|ingress| {
        let ip = parse(service, &ingress.ip)?;
        Some(Ingress {
            ip,
            proxy: ingress.mode == wit::IpMode::Proxy,
        })
    });
    let problem = |p: wit::Problem| Problem {
        reason: cut(p.reason, REASON_LIMIT),
        message: cut(p.message, MESSAGE_LIMIT),
    };
    Some(Assignment {
        service: service.clone(),
        claimed: from.claimed,
        ingress: if from.claimed {
            ingress.collect()
        } else {
            Vec::new()
        },
        forwards: if from.claimed {
            forwards(service, &from.forwards, inputs)
        } else {
            Vec::new()
        },
        problems: from.problems.into_iter().map(problem).collect(),
    })
}

fn forwards(service: &str, from: &[wit::Forward], inputs: &Inputs) -> Vec<Forward> {
    let checked = from.iter().filter_map(|forward| {
        let own = inputs
            .nodes
            .get(forward.node.as_str())
            .map(|node| super::inputs::addresses(node))?;
        let addresses = forward
            .addresses
            .iter()
            .filter_map(|text| own_address(service, forward, text, &own));
        Some(Forward {
            node: forward.node.clone(),
            addresses: addresses.collect(),
        })
    });
    checked.filter(|f| !f.addresses.is_empty()).collect()
}

/// A plugin must not take a Service's, a pod's or another node's traffic.
fn own_address(
    service: &str,
    forward: &wit::Forward,
    text: &str,
    own: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    let address = parse(service, text).filter(|a| own.contains(a));
    if address.is_none() {
        tracing::warn!(
            service,
            node = forward.node,
            address = text,
            "the load balancer named an address that is not the node's"
        );
    }
    address
}

fn parse(service: &str, text: &str) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        tracing::warn!(
            service,
            address = text,
            "the load balancer gave something that is no address"
        );
    }
    address
}

fn cut(mut text: String, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text
}
