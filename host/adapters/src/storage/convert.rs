//! Between the driver's types and the contract's.

use k3s_storage::{Affinity, Class, Existing, Node, ProvisionError, Request, Volume, VolumeKind};
use k3s_wit_bindings::storage::exports::k3s::storage::provisioner as wit;

pub(super) fn request(from: Request) -> wit::Request {
    let claim = from.claim;
    wit::Request {
        volume_name: from.volume_name,
        claim: wit::Claim {
            namespace: claim.namespace,
            name: claim.name,
            uid: claim.uid,
            labels: claim.labels,
            annotations: claim.annotations,
            access_modes: claim.access_modes,
            capacity_bytes: claim.capacity_bytes,
            block: claim.block,
            has_selector: claim.has_selector,
        },
        class: class(from.class),
        node: from.node.map(node),
    }
}

pub(super) fn class(from: Class) -> wit::Class {
    wit::Class {
        name: from.name,
        annotations: from.annotations,
        parameters: from.parameters,
    }
}

pub(super) fn node(from: Node) -> wit::Node {
    wit::Node {
        name: from.name,
        labels: from.labels,
    }
}

pub(super) fn existing(from: Existing) -> wit::Existing {
    wit::Existing {
        volume_name: from.volume_name,
        path: from.path,
        capacity_bytes: from.capacity_bytes,
        annotations: from.annotations,
    }
}

pub(super) fn volume(from: wit::Volume) -> Volume {
    let affinity = |a: wit::Affinity| Affinity {
        key: a.key,
        values: a.values,
    };
    Volume {
        kind: match from.kind {
            wit::Kind::Local => VolumeKind::Local,
            wit::Kind::HostPath => VolumeKind::HostPath,
        },
        path: from.path,
        affinity: from.affinity.map(affinity),
        capacity_bytes: from.capacity_bytes,
        annotations: from.annotations,
    }
}

/// The plugin's own answer.
pub(super) fn error(error: wit::Error) -> ProvisionError {
    match error {
        wit::Error::Invalid(why) | wit::Error::Unsupported(why) => ProvisionError::Refused(why),
        wit::Error::WrongNode(why) => ProvisionError::WrongNode(why),
        wit::Error::Retry(why) | wit::Error::Exhausted(why) | wit::Error::Other(why) => {
            ProvisionError::Retry(why)
        }
    }
}
