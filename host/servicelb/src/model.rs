//! What a balancer proposes, and what is left of it after it was held against the cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::inputs::Inputs;

/// What a Service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// `namespace/name`.
    pub service: Arc<str>,
    /// The balancer serves this Service.
    pub claimed: bool,
    /// For `status.loadBalancer.ingress`.
    pub ingress: Vec<Ingress>,
    /// Nodes that answer.
    pub forwards: Vec<Forward>,
    /// For the Service's owner.
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

/// An answer of a balancer, before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// `namespace/name`.
    pub service: String,
    /// The balancer serves this Service.
    pub claimed: bool,
    /// For `status.loadBalancer.ingress`.
    pub ingress: Vec<ProposedIngress>,
    /// Nodes that should answer.
    pub forwards: Vec<ProposedForward>,
    /// For the Service's owner.
    pub problems: Vec<Problem>,
}

/// An address to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedIngress {
    /// The address.
    pub ip: String,
    /// `ipMode: Proxy` rather than `VIP`.
    pub proxy: bool,
}

/// A node that should answer on these of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedForward {
    /// The node's name.
    pub node: String,
    /// Addresses of its status.
    pub addresses: Vec<String>,
}

impl Proposal {
    /// Holds the proposal against what the balancer was given. What is wrong is left out, with a
    /// warning.
    #[must_use]
    pub fn check(self, inputs: &Inputs) -> Option<Assignment> {
        let Some(service) = inputs.service_key(&self.service).cloned() else {
            tracing::warn!(
                service = self.service,
                "the load balancer assigned a Service that it was not given"
            );
            return None;
        };
        let (ingress, forwards) = if self.claimed {
            let shown = self.ingress.iter();
            let shown = shown.filter_map(|ingress| check_ingress(&service, ingress));
            (
                shown.collect(),
                check_forwards(&service, &self.forwards, inputs),
            )
        } else {
            (Vec::new(), Vec::new())
        };
        let problem = |p: Problem| Problem {
            reason: truncate(p.reason, REASON_LIMIT),
            message: truncate(p.message, MESSAGE_LIMIT),
        };
        Some(Assignment {
            service,
            claimed: self.claimed,
            ingress,
            forwards,
            problems: self.problems.into_iter().map(problem).collect(),
        })
    }
}

fn check_ingress(service: &str, ingress: &ProposedIngress) -> Option<Ingress> {
    Some(Ingress {
        ip: parse_address(service, &ingress.ip)?,
        proxy: ingress.proxy,
    })
}

fn check_forwards(service: &str, from: &[ProposedForward], inputs: &Inputs) -> Vec<Forward> {
    let checked = from.iter().filter_map(|forward| {
        let own = inputs.addresses_of(&forward.node)?;
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
    forward: &ProposedForward,
    text: &str,
    own: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    let address = parse_address(service, text).filter(|a| own.contains(a));
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

fn parse_address(service: &str, text: &str) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        tracing::warn!(
            service,
            address = text,
            "the load balancer gave a text that is not an address"
        );
    }
    address
}

fn truncate(mut text: String, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text
}
