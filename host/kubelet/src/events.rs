//! Events about pods, containers and the node, under upstream's reasons.

use k3s_base::Clock;
use k3s_client::{Client, EventRecorder, EventType, Object, ObjectReference};
use k3s_lifecycle::Tasks;
use k8s_openapi::api::core::v1::Pod;

use crate::model::{self, Slot};

/// The node's recorder.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    recorder: EventRecorder,
}

impl Events {
    pub(crate) fn new(client: Client, node: &str, clock: Clock, tasks: &Tasks) -> Self {
        Self {
            recorder: EventRecorder::new(client, "kubelet", node, clock, tasks),
        }
    }

    /// About the pod as a whole.
    pub(crate) fn pod(&self, pod: &Pod, kind: EventType, reason: &str, message: impl Into<String>) {
        self.recorder.event(reference(pod), kind, reason, message);
    }

    /// About one container.
    pub(crate) fn container(
        &self,
        pod: &Pod,
        slot: Slot,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let name = pod
            .spec
            .as_ref()
            .and_then(|s| slot.of(s))
            .map(|c| c.name.clone())
            .unwrap_or_default();
        let list = match slot {
            Slot::Init(_) => "initContainers",
            Slot::Main(_) => "containers",
            Slot::Ephemeral(_) => "ephemeralContainers",
        };
        self.recorder.event(
            reference(pod).field(format!("spec.{list}{{{name}}}")),
            kind,
            reason,
            message,
        );
    }

    /// About the node itself.
    pub(crate) fn node(&self, node: &Object, reason: &str, message: &str) {
        self.about_node(node, EventType::Normal, reason, message);
    }

    /// The same, of something that went wrong.
    pub(crate) fn node_warning(&self, node: &Object, reason: &str, message: &str) {
        self.about_node(node, EventType::Warning, reason, message);
    }

    fn about_node(&self, node: &Object, kind: EventType, reason: &str, message: &str) {
        // Upstream names the node in the uid too, so that `describe node` finds the events.
        let about = ObjectReference {
            kind: "Node".to_owned(),
            name: node.name().to_owned(),
            uid: node.name().to_owned(),
            ..ObjectReference::default()
        };
        self.recorder.event(about, kind, reason, message);
    }
}

/// A static pod's events are about its mirror, which has the same name.
fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: "Pod".to_owned(),
        api_version: "v1".to_owned(),
        namespace: model::namespace(pod).to_owned(),
        name: model::name(pod).to_owned(),
        uid: model::uid(pod).to_owned(),
        resource_version: pod.metadata.resource_version.clone().unwrap_or_default(),
        field_path: String::new(),
    }
}
