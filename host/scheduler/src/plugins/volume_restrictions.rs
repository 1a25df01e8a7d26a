//! Claims with the access mode `ReadWriteOncePod`: one pod in the whole cluster at a time.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct VolumeRestrictions;

impl Filter for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn prepare(&self, pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        let exclusive = &pod.volumes.exclusive;
        if exclusive.is_empty() {
            return None;
        }
        let uses = |other: &PodInfo| {
            other.uid != pod.uid
                && other.namespace == pod.namespace
                && other
                    .volume_claims
                    .iter()
                    .any(|claim| exclusive.contains(&claim.name))
        };
        let taken = nodes
            .iter()
            .flat_map(|node| &node.pods)
            .any(|other| uses(other));
        taken.then(|| Box::new(()) as Box<dyn std::any::Any + Send + Sync>)
    }

    fn reasons(&self, _: &PodInfo, _: &NodeInfo, prepared: &Prepared) -> Vec<Reason> {
        let text = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        prepared.iter().map(|_| Reason::new(text)).collect()
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        matches!(
            event,
            Event::NodeAdded | Event::PodLeft(_) | Event::StorageChanged
        )
    }
}
