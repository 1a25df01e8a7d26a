//! Performs the steps that a pod's plan asks for: sandbox, containers, volumes, images, cgroups. It
//! is handed all it needs for a step, keeps nothing of any pod and cannot reach the pod's worker.

mod kill;
mod remove;
mod resize;
mod sandbox;
mod start;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::error::SyncError;
use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::container::context::ContainerContext;
use crate::cri::Cri;
use crate::events::Events;
use crate::image::manager::ImageManager;
use crate::logs;
use crate::model::Observed;
use crate::volume::manager::VolumeManager;

pub(crate) use sandbox::SandboxContext;
pub(crate) use start::StartRequest;

/// A container gets at least this long after its hook (`minimumGracePeriodInSeconds`).
const MIN_GRACE: Duration = Duration::from_secs(2);

/// How long a container may take to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// For hook and signal together.
    pub(crate) period: Duration,
    /// The signal's part at least, however long the hook took.
    pub(crate) minimum: Duration,
}

impl Grace {
    /// The usual grace: the container gets its signal in any case.
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            period,
            minimum: MIN_GRACE,
        }
    }

    /// The grace of a pod that its source has removed: no time is added.
    pub(crate) fn strict(period: Duration) -> Self {
        Self {
            period,
            minimum: Duration::ZERO,
        }
    }
}

/// See the module.
pub(crate) struct Performer {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) cri: Cri,
    pub(crate) events: Events,
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) images: Arc<ImageManager>,
    pub(crate) volumes: Arc<VolumeManager>,
    pub(crate) containers: ContainerContext,
}

impl Performer {
    /// What the runtime has of the pod.
    pub(crate) async fn observe(&self, uid: &str) -> Result<Observed, SyncError> {
        self.cri.observe(uid).await.map_err(SyncError::Observe)
    }

    /// Makes the pod's cgroup and directories. Returns whether the cgroup is new, and bounded as the spec says.
    pub(crate) fn prepare_pod(&self, pod: &Pod) -> Result<bool, SyncError> {
        let is_new = self.cgroups.create_pod(&self.config, pod);
        let is_new = is_new.map_err(SyncError::Cgroup)?;
        logs::prepare_pod_dir(&self.config, pod).map_err(SyncError::Directories)?;
        Ok(is_new)
    }

    /// The address that hooks call the pod at; empty before it has one.
    fn pod_ip(&self, pod: &Pod, observed: &Observed) -> String {
        let ips = self.containers.pod_ips(pod, observed);
        ips.first().cloned().unwrap_or_default()
    }
}
