//! What a pod may ask for that nothing here can give: refused on every node rather than ignored.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct Unsupported;

impl Filter for Unsupported {
    fn name(&self) -> &'static str {
        "DynamicResources"
    }

    fn reasons(&self, pod: &PodInfo, _: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        if pod.claims {
            vec![Reason::new(
                "node(s) cannot allocate resource claims: not supported",
            )]
        } else {
            vec![]
        }
    }

    /// Nothing that happens makes claims supported.
    fn may_help(&self, _: &PodInfo, _: &Event) -> bool {
        false
    }
}
