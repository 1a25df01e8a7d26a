//! The two kinds that this engine serves, and where they differ.

use k3s_client::resources::{REPLICA_SETS, REPLICATION_CONTROLLERS};
use k3s_client::{Obj, Resource};
use k3s_meta::object::string_map;
use k3s_meta::{LabelSelector, OwnerReference, tree};

use crate::common::selector;
use crate::error::ControllerError;

#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) resource: Resource,
    pub(super) component: &'static str,
    pub(super) service_account: &'static str,
}

pub(super) const ALL: [Family; 2] = [
    Family {
        resource: REPLICA_SETS,
        component: "replicaset-controller",
        service_account: "replicaset-controller",
    },
    Family {
        resource: REPLICATION_CONTROLLERS,
        component: "replication-controller",
        service_account: "replication-controller",
    },
];

impl Family {
    pub(super) fn is(&self, owner: &OwnerReference) -> bool {
        owner.kind == self.resource.kind && owner.api_version == self.resource.api_version()
    }

    /// A ReplicationController selects by plain labels.
    pub(super) fn selector(&self, set: &Obj) -> Result<LabelSelector, ControllerError> {
        if self.resource.group.is_empty() {
            let labels = string_map(tree::get(set.value(), "spec.selector"));
            return Ok(LabelSelector::from_set(&labels));
        }
        selector::of(set)
    }
}
