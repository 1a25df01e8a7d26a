//! A pod that names its node can run on that node only.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        if pod.node_name.is_empty() || pod.node_name == node.name {
            vec![]
        } else {
            vec![Reason::new("node(s) didn't match the requested node name")]
        }
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        matches!(event, Event::NodeAdded)
    }
}
