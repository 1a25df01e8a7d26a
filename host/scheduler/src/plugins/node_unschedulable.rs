//! Cordoned nodes take only pods that tolerate it.

use k3s_objects::Taint;

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{NodeInfo, PodInfo};

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub(super) struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        let taint = Taint {
            key: TAINT.into(),
            value: String::new(),
            effect: "NoSchedule".into(),
            time_added: None,
        };
        if node.unschedulable && !pod.tolerations.iter().any(|t| t.tolerates(&taint)) {
            vec![Reason::new("node(s) were unschedulable")]
        } else {
            vec![]
        }
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        event.is_of_taints()
    }
}
