//! Two pods cannot have one port of a node.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{HostPort, NodeInfo, PodInfo};

const ANY: &str = "0.0.0.0";

pub(super) struct NodePorts;

fn clash(a: &HostPort, b: &HostPort) -> bool {
    a.0 == b.0 && a.2 == b.2 && (a.1 == b.1 || a.1 == ANY || b.1 == ANY)
}

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        let taken = || node.pods.iter().flat_map(|p| p.host_ports.iter());
        if pod
            .host_ports
            .iter()
            .any(|wanted| taken().any(|have| clash(wanted, have)))
        {
            vec![Reason::new(
                "node(s) didn't have free ports for the requested pod ports",
            )]
        } else {
            vec![]
        }
    }

    fn may_help(&self, pod: &PodInfo, event: &Event) -> bool {
        match event {
            Event::NodeAdded => true,
            Event::PodLeft(left) => pod
                .host_ports
                .iter()
                .any(|wanted| left.host_ports.iter().any(|freed| clash(wanted, freed))),
            _ => false,
        }
    }
}
