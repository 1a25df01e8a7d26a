//! What a decision does to the API: a binding, or a condition and an Event that say why not.

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_client::{Client, EventRecorder, ObjectReference, Patch, resources};
use serde_json::json;
use tracing::warn;

use crate::model::{Choice, PodInfo};
use crate::volumes::Volumes;

/// The writing side of the scheduler.
#[derive(Clone)]
pub(crate) struct Effects {
    pub(crate) client: Client,
    pub(crate) events: EventRecorder,
    pub(crate) clock: Clock,
    pub(crate) volumes: Volumes,
}

/// How a binding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The pod has its node.
    Yes,
    /// The pod was deleted, or another scheduler bound it.
    Moot,
    /// It may work later.
    TryAgain,
}

impl Effects {
    pub(crate) async fn bind(&self, pod: &PodInfo, node: &str) -> Bound {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let namespace = Some(pod.namespace.as_str());
        match self
            .client
            .create_subresource(&resources::PODS, namespace, &pod.name, "binding", &binding)
            .await
        {
            Ok(_) => {
                let text = format!(
                    "Successfully assigned {}/{} to {node}",
                    pod.namespace, pod.name
                );
                self.events.normal(reference(pod), "Scheduled", text);
                Bound::Yes
            }
            Err(e) if e.is_not_found() || e.is_conflict() => Bound::Moot,
            Err(e) => {
                warn!(pod = %pod.key, node, error = chain(&e), "cannot bind");
                self.events.warning(
                    reference(pod),
                    "FailedScheduling",
                    format!("binding rejected: {e}"),
                );
                Bound::TryAgain
            }
        }
    }

    /// Binds the volumes of a pod that `node` was chosen for; false when it has to be tried again.
    pub(crate) async fn bind_volumes(&self, pod: &PodInfo, node: &str, choices: &[Choice]) -> bool {
        match self.volumes.bind(&self.client, node, choices).await {
            Ok(()) => true,
            Err(error) => {
                self.events
                    .warning(reference(pod), "FailedScheduling", chain(&error));
                false
            }
        }
    }

    /// Reports why a pod waits, unless its condition does so already.
    pub(crate) async fn explain(&self, pod: &PodInfo, reason: &str, message: &str) {
        if pod.waiting_message.as_deref() == Some(message) {
            return;
        }
        let mut condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": message});
        if pod.waiting_message.is_none()
            && let Some(map) = condition.as_object_mut()
        {
            map.insert("lastTransitionTime".into(), self.clock.now_rfc3339().into());
            map.insert("lastProbeTime".into(), serde_json::Value::Null);
        }
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": pod.uid},
            "status": {"conditions": [condition]},
        }));
        if let Err(e) = self
            .client
            .patch_status(&resources::PODS, Some(&pod.namespace), &pod.name, &patch)
            .await
            && !e.is_not_found()
            && !e.is_conflict()
        {
            warn!(pod = %pod.key, error = chain(&e), "cannot write the PodScheduled condition");
        }
        if reason == "Unschedulable" {
            self.events
                .warning(reference(pod), "FailedScheduling", message);
        }
    }
}

fn reference(pod: &PodInfo) -> ObjectReference {
    ObjectReference {
        kind: "Pod".into(),
        api_version: "v1".into(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        ..ObjectReference::default()
    }
}
