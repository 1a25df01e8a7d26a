//! How a resize stands (KEP-1287): what the node has decided, and how far it has come. Conditions and events
//! follow upstream's `pkg/kubelet/status/status_manager.go` and `pkg/kubelet/events/resize.go`.

use k8s_openapi::api::core::v1::{Container, Pod, PodCondition, ResourceRequirements};
use serde::Serialize;

use crate::model::init_containers;

/// The condition of a pod whose node has not accepted what it asks for.
pub(crate) const PENDING: &str = "PodResizePending";
/// The condition of a pod whose containers do not have yet what the node has accepted.
pub(crate) const IN_PROGRESS: &str = "PodResizeInProgress";
/// The node may accept it later.
pub(crate) const DEFERRED: &str = "Deferred";
/// The runtime or the kernel has refused it.
const ERROR: &str = "Error";

/// What the node has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The generation of the pod whose resources were accepted last.
    pub(crate) accepted: Option<i64>,
    /// Why the present ones are not.
    pub(crate) pending: Option<Pending>,
}

impl Decision {
    /// What the process before has decided.
    pub(crate) fn resumed(pod: &Pod) -> Self {
        let pending = condition(pod, PENDING).map(|condition| Pending {
            message: condition.message.clone().unwrap_or_default(),
            generation: condition.observed_generation.unwrap_or(0),
        });
        Self {
            accepted: None,
            pending,
        }
    }
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Why a resize waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) message: String,
    pub(crate) generation: i64,
}

/// What the node has accepted and not finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) generation: i64,
    pub(crate) error: Option<String>,
}

impl Progress {
    /// The reason of the condition; empty for none.
    pub(crate) fn reason(&self) -> &'static str {
        self.error.as_ref().map_or("", |_| ERROR)
    }
}

/// How far the pod's worker has come.
#[derive(Debug, Default)]
pub(crate) struct Resizing {
    accepted: Option<i64>,
    progress: Option<Progress>,
}

impl Resizing {
    /// Goes on where the process before has stopped.
    pub(crate) fn resumed(pod: &Pod) -> Self {
        let progress = condition(pod, IN_PROGRESS).map(|condition| Progress {
            generation: condition.observed_generation.unwrap_or(0),
            error: None,
        });
        Self {
            accepted: None,
            progress,
        }
    }

    /// Takes in what was decided, and whether anything that runs `differs` from it. Returns the generation of
    /// a resize that is finished now.
    pub(crate) fn advance(
        &mut self,
        accepted: Option<i64>,
        generation: i64,
        differs: bool,
    ) -> Option<i64> {
        if self.is_new(accepted) {
            self.accepted = accepted;
            self.progress = accepted.map(|generation| Progress {
                generation,
                error: None,
            });
        }
        if !differs {
            return self.progress.take().map(|progress| progress.generation);
        }
        self.progress.get_or_insert(Progress {
            generation,
            error: None,
        });
        None
    }

    /// A step has failed. Returns the generation of the resize, if the failure is another one than before.
    pub(crate) fn fail(&mut self, message: &str) -> Option<i64> {
        let progress = self.progress.as_mut()?;
        let before = progress.error.replace(message.to_owned());
        (before.as_deref() != Some(message)).then_some(progress.generation)
    }

    /// Whether the worker has not seen this decision.
    pub(crate) fn is_new(&self, accepted: Option<i64>) -> bool {
        accepted != self.accepted
    }

    /// What is not finished.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    init_containers: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containers: Vec<Entry<'a>>,
    generation: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    resources: ResourceRequirements,
}

/// The message of an event: what happened, and the resources it is about.
pub(crate) fn event_message(what: &str, pod: &Pod, generation: i64, error: &str) -> String {
    let Some(spec) = &pod.spec else {
        return what.to_owned();
    };
    let summary = Summary {
        init_containers: entries(init_containers(spec)),
        containers: entries(&spec.containers),
        generation,
        error,
    };
    match serde_json::to_string(&summary) {
        Ok(summary) => format!("{what}: {summary}"),
        Err(_) => what.to_owned(),
    }
}

fn entries(containers: &[Container]) -> Vec<Entry<'_>> {
    let containers = containers.iter();
    let entries = containers.map(|container| Entry {
        name: &container.name,
        resources: container.resources.clone().unwrap_or_default(),
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resize_is_in_progress_until_what_runs_has_what_was_accepted() {
        let mut resizing = Resizing::default();
        assert_eq!(resizing.advance(None, 1, false), None);
        assert_eq!(resizing.advance(Some(2), 2, true), None);
        assert_eq!(resizing.fail("no"), Some(2));
        assert_eq!(resizing.fail("no"), None);
        assert_eq!(resizing.progress().map(Progress::reason), Some("Error"));
        // Another resize makes a fresh start; a later change of the pod does not.
        assert_eq!(resizing.advance(Some(3), 4, true), None);
        let expected = Progress {
            generation: 3,
            error: None,
        };
        assert_eq!(resizing.progress(), Some(&expected));
        assert_eq!(resizing.advance(Some(3), 4, false), Some(3));
        assert_eq!(resizing.advance(Some(3), 4, false), None);
    }

    #[test]
    fn another_process_goes_on_with_a_resize() {
        let conditions = json!([{"type": IN_PROGRESS, "status": "True", "observedGeneration": 7}]);
        let pod = json!({"metadata": {}, "status": {"conditions": conditions}});
        let mut resizing = Resizing::resumed(&serde_json::from_value(pod).unwrap());
        assert_eq!(resizing.advance(None, 8, true), None);
        assert_eq!(resizing.advance(None, 8, false), Some(7));
        let conditions = json!([{"type": PENDING, "status": "True", "observedGeneration": 7, "message": "no room"}]);
        let pod = json!({"metadata": {}, "status": {"conditions": conditions}});
        let decision = Decision::resumed(&serde_json::from_value(pod).unwrap());
        let expected = Pending {
            message: "no room".into(),
            generation: 7,
        };
        assert_eq!(decision.pending, Some(expected));
    }

    #[test]
    fn events_name_the_resources() {
        let pod = json!({"metadata": {}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": "1"}}}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(
            event_message("Pod resize OutOfcpu", &pod, 2, "too much"),
            "Pod resize OutOfcpu: {\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\
             \"generation\":2,\"error\":\"too much\"}"
        );
    }
}
