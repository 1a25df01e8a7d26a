//! The configuration of one container, put together from its parts.

use std::collections::HashMap;
use std::path::PathBuf;

use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::context::ContainerContext;
use super::env::environment;
use super::error::ConfigError;
use super::expand::expand;
use super::fields::NodeContext;
use super::{mounts, resources, security};
use crate::config::KubeletConfig;
use crate::labels;
use crate::pod::model;
use crate::volume::manager::Mounted;

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

/// Builds the configuration.
///
/// # Errors
/// What a referenced object or field lacks, or what the security context forbids.
pub(crate) async fn container_config(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> Result<v1::ContainerConfig, ConfigError> {
    let ContainerRequest {
        pod,
        container,
        attempt,
        image,
        ..
    } = *request;
    let image_uid = image.uid.map(|u| u.value);
    security::verify_non_root(pod, container, image_uid, &image.username)?;
    let environment = environment(ctx, pod, container, request.node).await?;
    let lookup = |name: &str| environment.get(name);
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter()
            .flatten()
            .map(|word| expand(word, lookup))
            .collect()
    };
    let mounts = mounts::container_mounts(ctx, request, lookup)?;
    let spec_image = v1::ImageSpec {
        image: image.id.clone(),
        user_specified_image: request.image_name.to_owned(),
        ..v1::ImageSpec::default()
    };
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata {
            name: container.name.clone(),
            attempt,
        }),
        image: Some(spec_image),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: environment
            .iter()
            .map(|(key, value)| v1::KeyValue {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        mounts,
        labels: container_labels(pod, container),
        annotations: annotations(pod, container, attempt),
        log_path: format!("{}/{attempt}.log", container.name),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources::container_resources(
                pod,
                container,
                ctx.node.machine.memory_bytes,
            )),
            security_context: Some(security::container_security(
                pod,
                container,
                image_uid,
                &image.username,
                request.target,
                &ctx.config.seccomp_root,
            )),
        }),
        ..v1::ContainerConfig::default()
    })
}

fn container_labels(pod: &Pod, container: &Container) -> HashMap<String, String> {
    HashMap::from([
        (labels::POD_NAME.to_owned(), model::name(pod).to_owned()),
        (
            labels::POD_NAMESPACE.to_owned(),
            model::namespace(pod).to_owned(),
        ),
        (labels::POD_UID.to_owned(), model::uid(pod).to_owned()),
        (labels::CONTAINER_NAME.to_owned(), container.name.clone()),
    ])
}

fn annotations(pod: &Pod, container: &Container, attempt: u32) -> HashMap<String, String> {
    let grace = pod
        .spec
        .as_ref()
        .and_then(|s| s.termination_grace_period_seconds)
        .unwrap_or(30);
    let signal = container
        .lifecycle
        .as_ref()
        .and_then(|l| l.stop_signal.clone());
    let signal = signal.map(|signal| (labels::STOP_SIGNAL.to_owned(), signal));
    let fixed = [
        (
            labels::CONTAINER_HASH.to_owned(),
            model::container_hash(container),
        ),
        (labels::RESTART_COUNT.to_owned(), attempt.to_string()),
        (
            labels::MESSAGE_PATH.to_owned(),
            message_path(container).to_owned(),
        ),
        (
            labels::MESSAGE_POLICY.to_owned(),
            container
                .termination_message_policy
                .clone()
                .unwrap_or_else(|| "File".into()),
        ),
        (labels::GRACE_PERIOD.to_owned(), grace.to_string()),
    ];
    fixed.into_iter().chain(signal).collect()
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
