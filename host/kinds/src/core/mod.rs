//! The core group: pods, services, nodes and what they are configured with.

mod binding;
mod componentstatus;
mod configmap;
mod endpoints;
pub(crate) mod event;
mod keyed;
mod limitrange;
pub(crate) mod namespace;
mod node;
mod persistentvolume;
pub(crate) mod persistentvolumeclaim;
pub(crate) mod pod;
pub(crate) mod podspec;
mod podtemplate;
mod replicationcontroller;
pub(crate) mod resourcequota;
mod secret;
mod service;
mod serviceaccount;

use crate::rules::KindRules;

/// Rules of a kind of the group ``.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "Binding" => &binding::Binding,
        "ComponentStatus" => &componentstatus::ComponentStatus,
        "ConfigMap" => &configmap::ConfigMap,
        "Endpoints" => &endpoints::Endpoints,
        "Event" => &event::Event,
        "LimitRange" => &limitrange::LimitRange,
        "Namespace" => &namespace::Namespace,
        "Node" => &node::Node,
        "PersistentVolume" => &persistentvolume::PersistentVolume,
        "PersistentVolumeClaim" => &persistentvolumeclaim::PersistentVolumeClaim,
        "Pod" => &pod::Pod,
        "PodTemplate" => &podtemplate::PodTemplate,
        "ReplicationController" => &replicationcontroller::ReplicationController,
        "ResourceQuota" => &resourcequota::ResourceQuota,
        "Secret" => &secret::Secret,
        "Service" => &service::Service,
        "ServiceAccount" => &serviceaccount::ServiceAccount,
        _ => return None,
    })
}
