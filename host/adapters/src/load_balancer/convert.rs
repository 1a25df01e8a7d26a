//! From the contract's types to the driver's.

use k3s_servicelb::{Problem, Proposal, ProposedForward, ProposedIngress};
use k3s_wit_bindings::load_balancer as wit;

pub(super) fn proposal(from: wit::Assignment) -> Proposal {
    Proposal {
        service: from.service,
        claimed: from.claimed,
        ingress: from.ingress.into_iter().map(ingress).collect(),
        forwards: from.forwards.into_iter().map(forward).collect(),
        problems: from.problems.into_iter().map(problem).collect(),
    }
}

fn ingress(from: wit::Ingress) -> ProposedIngress {
    ProposedIngress {
        ip: from.ip,
        proxy: from.mode == wit::IpMode::Proxy,
    }
}

fn forward(from: wit::Forward) -> ProposedForward {
    ProposedForward {
        node: from.node,
        addresses: from.addresses,
    }
}

fn problem(from: wit::Problem) -> Problem {
    Problem {
        reason: from.reason,
        message: from.message,
    }
}
