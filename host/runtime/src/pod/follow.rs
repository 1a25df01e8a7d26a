//! Follows what shims report: the only way in which a container's state changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use k3s_base::error::chain;
use k3s_cri::v1::ContainerEventType;

use super::container::Container;
use super::manager::Manager;
use super::shim_client::FrameReader;
use crate::error::{Result, ShimFailure};
use crate::shim::protocol::{ContainerState, Phase, Request, Response};

/// The exit code of a container whose end nobody saw (containerd's `unknownExitCode`).
const UNKNOWN_EXIT: i32 = 255;

impl Manager {
    /// Applies the shim's present states, then each change in a task of its own. Returns once the
    /// present states are applied.
    pub(crate) async fn follow(self: &Arc<Self>, sandbox: &str) -> Result<()> {
        let mut reader = self.shim(sandbox).subscribe().await?;
        let Some(Response::States(states)) = reader.response().await? else {
            return Err(ShimFailure::NoStates.into());
        };
        self.reconcile(sandbox, states).await;
        let (manager, sandbox) = (self.clone(), sandbox.to_owned());
        self.config
            .tasks
            .spawn_until_stopped("shim-events", async move {
                manager.apply_changes(&mut reader).await;
                manager.lost(&sandbox);
            });
        Ok(())
    }

    async fn apply_changes(&self, reader: &mut FrameReader) {
        while let Ok(Some(Response::States(states))) = reader.response().await {
            for state in states {
                if let Ok(container) = self.container(&state.id) {
                    self.apply_state(&container, state);
                }
            }
        }
    }

    /// Records a change and emits its events.
    fn apply_state(&self, container: &Container, state: ContainerState) {
        let before = container.phase();
        let after = state.phase;
        if !container.set_state(state) {
            return;
        }
        let record = container.record();
        if let Err(error) = self.save_container(&record) {
            tracing::error!(
                container = record.id,
                error = chain(&error),
                "container state not saved"
            );
        }
        if before == Phase::Created && after != Phase::Created {
            self.emit(
                &record.sandbox,
                &record.id,
                ContainerEventType::ContainerStartedEvent,
            );
        }
        if before != Phase::Exited && after == Phase::Exited {
            self.emit(
                &record.sandbox,
                &record.id,
                ContainerEventType::ContainerStoppedEvent,
            );
        }
    }

    /// Brings the records in line with the shim after the server was away.
    async fn reconcile(&self, sandbox: &str, states: Vec<ContainerState>) {
        let mut states: HashMap<String, ContainerState> = states
            .into_iter()
            .map(|state| (state.id.clone(), state))
            .collect();
        for container in self.containers_of(sandbox) {
            let id = container.with(|record| record.id.clone());
            match states.remove(&id) {
                Some(state) => self.apply_state(&container, state),
                None => self.unknown(&container),
            }
        }
        // The server that made these ended before it recorded them.
        for id in states.into_keys() {
            for request in [
                Request::Signal {
                    id: id.clone(),
                    signal: nix::libc::SIGKILL,
                    all: true,
                },
                Request::Remove { id: id.clone() },
            ] {
                if let Err(error) = self.shim(sandbox).call(&request).await {
                    tracing::warn!(
                        container = id,
                        error = chain(&error),
                        "an unrecorded container stays"
                    );
                }
            }
        }
    }

    /// Marks a container as exited whose end nobody saw.
    pub(crate) fn unknown(&self, container: &Container) {
        if container.phase() == Phase::Exited {
            return;
        }
        let old = container.record().state;
        let message = "the container's shim ended without telling how the container did".to_owned();
        let state = ContainerState {
            phase: Phase::Exited,
            exit_code: UNKNOWN_EXIT,
            reason: "Unknown".into(),
            message,
            finished_at_ns: self.now_ns(),
            ..old
        };
        self.apply_state(container, state);
    }

    /// The shim is gone: stopped as asked, or dead.
    fn lost(&self, sandbox: &str) {
        let Ok(found) = self.sandbox(sandbox) else {
            return;
        };
        found.alive.store(false, Ordering::SeqCst);
        if found.record().stopped || self.config.tasks.is_stopping() {
            return;
        }
        for container in self.containers_of(sandbox) {
            // Without their parent they would run on unseen.
            if let Err(error) = self.kill_group(&container) {
                tracing::error!(
                    sandbox,
                    error = chain(&error),
                    "processes of a lost shim stay"
                );
            }
            self.unknown(&container);
        }
        self.emit(sandbox, sandbox, ContainerEventType::ContainerStoppedEvent);
    }

    /// Kills what is in a container's control group.
    pub(crate) fn kill_group(&self, container: &Container) -> std::io::Result<()> {
        let path = container.with(|record| record.cgroup.clone());
        let group = k3s_sys::cgroup::Cgroups::detect()?.group(&path);
        group.kill().map(drop)
    }
}
