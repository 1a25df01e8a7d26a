//! One container as the server sees it.

use std::sync::Arc;

use k3s_cri::v1::{self, ContainerState as CriState};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::record::ContainerRecord;
use crate::shim::protocol::{ContainerState, Phase};

/// A container; its state changes as the shim reports.
#[derive(Debug)]
pub(crate) struct Container {
    record: Mutex<ContainerRecord>,
    state: watch::Sender<ContainerState>,
    /// Changes of one container follow each other.
    pub(crate) busy: tokio::sync::Mutex<()>,
}

impl Container {
    pub(crate) fn new(record: ContainerRecord) -> Arc<Self> {
        let state = watch::Sender::new(record.state.clone());
        Arc::new(Self {
            record: Mutex::new(record),
            state,
            busy: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn record(&self) -> ContainerRecord {
        self.record.lock().clone()
    }

    /// Reads without copying all of it.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&ContainerRecord) -> T) -> T {
        read(&self.record.lock())
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut ContainerRecord)) -> ContainerRecord {
        let mut record = self.record.lock();
        change(&mut record);
        record.clone()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Replaces the state; true if it differs.
    pub(crate) fn set_state(&self, state: ContainerState) -> bool {
        self.record.lock().state = state.clone();
        self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        })
    }

    /// Waits until it does not run.
    pub(crate) async fn ended(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| state.phase != Phase::Running)
            .await;
    }

    /// Waits until it was started, well or not.
    pub(crate) async fn left_created(&self) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| state.phase != Phase::Created)
            .await;
    }

    pub(crate) fn to_cri(&self) -> v1::Container {
        let record = self.record.lock();
        v1::Container {
            id: record.id.clone(),
            pod_sandbox_id: record.sandbox.clone(),
            metadata: record.config.metadata.clone(),
            image: record.config.image.clone(),
            image_ref: record.image_id.clone(),
            state: cri_state(record.state.phase) as i32,
            created_at: record.created_at_ns,
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            image_id: record.image_id.clone(),
        }
    }

    pub(crate) fn to_status(&self) -> v1::ContainerStatus {
        let record = self.record.lock();
        let user = record
            .state
            .user
            .as_ref()
            .map(|(uid, gid, groups)| v1::ContainerUser {
                linux: Some(v1::LinuxContainerUser {
                    uid: i64::from(*uid),
                    gid: i64::from(*gid),
                    supplemental_groups: groups.iter().map(|&group| i64::from(group)).collect(),
                }),
            });
        v1::ContainerStatus {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            state: cri_state(record.state.phase) as i32,
            created_at: record.created_at_ns,
            started_at: record.state.started_at_ns,
            finished_at: record.state.finished_at_ns,
            exit_code: record.state.exit_code,
            image: record.config.image.clone(),
            image_ref: record.image_ref.clone(),
            reason: record.state.reason.clone(),
            message: record.state.message.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            mounts: record.config.mounts.clone(),
            log_path: record
                .log_path
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            resources: Some(v1::ContainerResources {
                linux: Some(record.resources.clone()),
                windows: None,
            }),
            image_id: record.image_id.clone(),
            user,
        }
    }
}

pub(crate) fn cri_state(phase: Phase) -> CriState {
    match phase {
        Phase::Created => CriState::ContainerCreated,
        Phase::Running => CriState::ContainerRunning,
        Phase::Exited => CriState::ContainerExited,
    }
}
