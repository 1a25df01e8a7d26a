//! What one container is made from, and where its termination message lies.

use std::path::PathBuf;

use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::fields::NodeContext;
use crate::config::KubeletConfig;
use crate::volume::context::Mounted;

/// What one container is made from.
pub(crate) struct ContainerRequest<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) attempt: u32,
    pub(crate) image: &'a v1::Image,
    /// What was asked for, not what it resolved to.
    pub(crate) image_name: &'a str,
    pub(crate) volumes: &'a Mounted,
    pub(crate) node: &'a NodeContext,
    /// The container whose processes it is to see (ephemeral containers only).
    pub(crate) target: Option<&'a str>,
}

/// Where the container writes its termination message.
pub(crate) fn message_path(container: &Container) -> &str {
    container
        .termination_message_path
        .as_deref()
        .filter(|p| !p.is_empty())
        .unwrap_or("/dev/termination-log")
}

/// The host file behind it: one per attempt.
pub(crate) fn message_file(
    config: &KubeletConfig,
    uid: &str,
    container: &str,
    attempt: u32,
) -> PathBuf {
    config
        .pod_dir(uid)
        .join("containers")
        .join(container)
        .join(attempt.to_string())
}
