//! Containers that the node stops in order to start them again, because the pod has changed or a probe
//! failed. They are started again whatever they exit with, and until then the pod has not ended. Upstream
//! stops and starts them in one sync (`SyncPod` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`), in which
//! it writes no status.

use std::collections::HashSet;

/// See the module. Names of containers.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    /// Stopped, and not started since.
    owed: HashSet<String>,
    /// Those whose last stop followed a change of the pod: it says nothing about whether they can work.
    renewed: HashSet<String>,
}

impl Restarts {
    /// The container is stopped to be started again.
    pub(crate) fn stop(&mut self, container: &str, pod_changed: bool) {
        self.owed.insert(container.to_owned());
        if pod_changed {
            self.renewed.insert(container.to_owned());
        }
    }

    /// The container was made after a run.
    pub(crate) fn created(&mut self, container: &str) {
        let ended_by_itself = !self.owed.contains(container);
        if ended_by_itself {
            self.renewed.remove(container);
        }
    }

    /// The container runs.
    pub(crate) fn started(&mut self, container: &str) {
        self.owed.remove(container);
    }

    /// Whether the container is to be started whatever it exited with.
    pub(crate) fn is_owed(&self, container: &str) -> bool {
        self.owed.contains(container)
    }

    /// Whether any container is to be started so.
    pub(crate) fn any_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Whether the container has not ended by itself since the pod changed.
    pub(crate) fn is_renewed(&self, container: &str) -> bool {
        self.renewed.contains(container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_owed_until_it_runs_and_renewed_until_it_ends_by_itself() {
        let mut restarts = Restarts::default();
        for (step, owed, renewed) in [
            ("stop", true, true),
            ("created", true, true),
            ("started", false, true),
            // It ended by itself.
            ("created", false, false),
            ("started", false, false),
            ("stop by a probe", true, false),
        ] {
            match step {
                "stop" => restarts.stop("c", true),
                "created" => restarts.created("c"),
                "started" => restarts.started("c"),
                _ => restarts.stop("c", false),
            }
            assert_eq!(
                (restarts.is_owed("c"), restarts.is_renewed("c")),
                (owed, renewed),
                "{step}"
            );
            assert_eq!(restarts.any_owed(), owed, "{step}");
        }
    }
}
