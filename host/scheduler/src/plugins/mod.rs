//! The built-in plugins, one file each, under upstream's names, and the default profile.

mod balanced_allocation;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;
mod topology_spread;
mod unsupported;
mod volume_binding;
mod volume_restrictions;

use crate::framework::Profile;

/// The plugins and weights of upstream's default profile, as far as they exist here.
#[must_use]
pub fn default_profile() -> Profile {
    Profile {
        filters: vec![
            Box::new(unsupported::Unsupported),
            Box::new(node_unschedulable::NodeUnschedulable),
            Box::new(node_name::NodeName),
            Box::new(taint_toleration::TaintToleration),
            Box::new(node_affinity::NodeAffinity),
            Box::new(node_ports::NodePorts),
            Box::new(node_resources_fit::NodeResourcesFit),
            Box::new(volume_restrictions::VolumeRestrictions),
            Box::new(volume_binding::VolumeBinding),
            Box::new(topology_spread::PodTopologySpread),
            Box::new(inter_pod_affinity::InterPodAffinity),
        ],
        scores: vec![
            Box::new(taint_toleration::TaintToleration),
            Box::new(node_affinity::NodeAffinity),
            Box::new(node_resources_fit::NodeResourcesFit),
            Box::new(balanced_allocation::BalancedAllocation),
            Box::new(topology_spread::PodTopologySpread),
            Box::new(inter_pod_affinity::InterPodAffinity),
        ],
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wake_tests;
