//! Why a step of running a pod failed. The variant decides what the pod's events and its
//! containers' statuses say.

use std::io;

use k3s_base::error::chain;

use crate::container::error::ConfigError;
use crate::cri::CriError;
use crate::hook::HookError;
use crate::image::error::ImageError;
use crate::model::Waiting;
use crate::volume::VolumeError;

/// A step for the pod as a whole failed; the worker tries again after a back-off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error("cannot read the pod's state from the runtime")]
    Observe(#[source] CriError),
    #[error("failed to ensure pod cgroup")]
    Cgroup(#[source] io::Error),
    #[error("failed to make the pod's directories")]
    Directories(#[source] io::Error),
    #[error(transparent)]
    Mount(#[from] VolumeError),
    #[error("Failed to create pod sandbox")]
    Sandbox(#[from] SandboxError),
    #[error("failed to stop container {id}")]
    StopContainer {
        id: String,
        #[source]
        source: CriError,
    },
    #[error("failed to stop sandbox {id}")]
    StopSandbox {
        id: String,
        #[source]
        source: CriError,
    },
    #[error("containers are still running after they were stopped")]
    StillRunning,
    #[error("container {id} not removed")]
    RemoveContainer {
        id: String,
        #[source]
        source: CriError,
    },
    #[error("sandbox {id} not removed")]
    RemoveSandbox {
        id: String,
        #[source]
        source: CriError,
    },
    #[error("volumes not removed")]
    RemoveVolumes(#[source] io::Error),
    #[error("cgroup not removed")]
    RemoveCgroup(#[source] io::Error),
    #[error("pod directory not removed")]
    RemoveDirectory(#[source] io::Error),
}

impl SyncError {
    /// Reason and message of the event that reports the failure to users. Failures to stop and to
    /// clean up have none: they are the node's affair and are only logged.
    pub(crate) fn event(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Mount(error) => Some(("FailedMount", error.event_message())),
            Self::Sandbox(_) => Some(("FailedCreatePodSandBox", chain(self))),
            _ => None,
        }
    }
}

/// Why a running pod does not get the resources that its node has accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResizeError {
    #[error("cannot decrease memory limits: {}", aggregate(.0))]
    BelowUsage(Vec<String>),
    #[error("cannot read memory usage from the runtime")]
    Usage(#[source] CriError),
    #[error("cannot set the pod's cgroup")]
    Cgroup(#[source] io::Error),
    #[error("cannot update container {name}")]
    Container {
        name: String,
        #[source]
        source: CriError,
    },
}

/// Several texts as Go's aggregate prints them.
fn aggregate(texts: &[String]) -> String {
    match texts {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("failed to get sandbox runtime")]
    RuntimeClass(#[from] k3s_client::Error),
    #[error(transparent)]
    Run(#[from] CriError),
}

/// A container could not be started; it waits with the reason and is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An ephemeral container asks for what this node does not support.
    #[error("{0}")]
    Unsupported(String),
    #[error("unable to find target container {0}")]
    NoTarget(String),
    #[error("cannot make the container's log directory")]
    LogDirectory(#[source] io::Error),
    #[error(transparent)]
    Create(CriError),
    #[error(transparent)]
    Run(CriError),
    #[error(transparent)]
    PostStart(#[from] PostStartError),
}

/// A container whose `postStart` hook failed has been stopped, or could not even be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostStartError {
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("the container of a failed hook still runs")]
    Stop(#[source] Box<SyncError>),
}

impl StartError {
    /// The container's waiting reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Image(error) => error.reason(),
            Self::Config(_) | Self::Unsupported(_) | Self::NoTarget(_) => {
                "CreateContainerConfigError"
            }
            Self::LogDirectory(_) | Self::Create(_) => "CreateContainerError",
            Self::Run(_) => "RunContainerError",
            Self::PostStart(_) => "PostStartHookError",
        }
    }

    /// Whether a container was made, so that the attempt counts for the crash loop.
    pub(crate) fn has_container(&self) -> bool {
        matches!(self, Self::Run(_) | Self::PostStart(_))
    }

    /// What the container's status shows.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            reason: self.reason(),
            message: chain(self),
        }
    }

    /// The message of the `Failed` event. Of image errors it gives the reason only: the pull has an
    /// event of its own with the details.
    pub(crate) fn event_message(&self) -> String {
        let detail = match self {
            Self::Image(error) if !matches!(error, ImageError::Inspect(_)) => {
                error.reason().to_owned()
            }
            other => chain(other),
        };
        format!("Error: {detail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_and_event_follow_from_the_variant() {
        let never = ImageError::NeverPull { image: "i".into() };
        let back_off = ImageError::BackOff {
            image: "i".into(),
            last: Some("ErrImagePull: x".into()),
        };
        let full = CriError {
            code: k3s_cri::Code::Unknown,
            message: "no space".into(),
        };
        for (error, reason, event, message) in [
            (
                StartError::Image(never),
                "ErrImageNeverPull",
                "Error: ErrImageNeverPull",
                "Container image \"i\" is not present with pull policy of Never",
            ),
            (
                StartError::Image(back_off),
                "ImagePullBackOff",
                "Error: ImagePullBackOff",
                "Back-off pulling image \"i\": ErrImagePull: x",
            ),
            (
                StartError::Create(full.clone()),
                "CreateContainerError",
                "Error: no space",
                "no space",
            ),
            (
                StartError::NoTarget("c".into()),
                "CreateContainerConfigError",
                "Error: unable to find target container c",
                "unable to find target container c",
            ),
        ] {
            assert_eq!(error.reason(), reason);
            assert_eq!(error.event_message(), event);
            assert_eq!(error.waiting().message, message);
        }
        let sandbox = SyncError::Sandbox(SandboxError::Run(full));
        assert_eq!(
            sandbox.event(),
            Some((
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: no space".to_owned()
            ))
        );
        assert_eq!(SyncError::StillRunning.event(), None);
    }
}
