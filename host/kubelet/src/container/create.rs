//! The configuration of one container, put together from its parts.

use std::collections::HashMap;

use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::context::ContainerContext;
use super::env::environment;
use super::error::ConfigError;
use super::expand::expand;
use super::request::{ContainerRequest, message_path};
use super::{mounts, resources, security};
use crate::labels;
use crate::model;

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
        let words = list.iter().flatten();
        words.map(|word| expand(word, lookup)).collect()
    };
    let mounts = mounts::container_mounts(ctx, request, lookup)?;
    let envs = environment.iter().map(|(key, value)| v1::KeyValue {
        key: key.clone(),
        value: value.clone(),
    });
    let metadata = v1::ContainerMetadata {
        name: container.name.clone(),
        attempt,
    };
    let image = v1::ImageSpec {
        image: image.id.clone(),
        user_specified_image: request.image_name.to_owned(),
        ..v1::ImageSpec::default()
    };
    let working_dir = container.working_dir.clone();
    let linux = linux_config(ctx, request);
    Ok(v1::ContainerConfig {
        metadata: Some(metadata),
        image: Some(image),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: working_dir.unwrap_or_default(),
        envs: envs.collect(),
        mounts,
        labels: container_labels(pod, container),
        annotations: annotations(pod, container, attempt),
        log_path: format!("{}/{attempt}.log", container.name),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        linux: Some(linux),
        ..v1::ContainerConfig::default()
    })
}

/// Cgroup settings and security context.
fn linux_config(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> v1::LinuxContainerConfig {
    let pod = request.pod;
    let container = request.container;
    let image_uid = request.image.uid.map(|uid| uid.value);
    let security = security::container_security(
        pod,
        container,
        image_uid,
        &request.image.username,
        request.target,
        &ctx.config.seccomp_root,
    );
    let memory_bytes = ctx.node.machine.memory_bytes;
    let resources = resources::container_resources(pod, container, memory_bytes);
    v1::LinuxContainerConfig {
        resources: Some(resources),
        security_context: Some(security),
    }
}

fn container_labels(pod: &Pod, container: &Container) -> HashMap<String, String> {
    let labels = [
        (labels::POD_NAME, model::name(pod)),
        (labels::POD_NAMESPACE, model::namespace(pod)),
        (labels::POD_UID, model::uid(pod)),
        (labels::CONTAINER_NAME, &container.name),
    ];
    labels
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn annotations(pod: &Pod, container: &Container, attempt: u32) -> HashMap<String, String> {
    let spec = pod.spec.as_ref();
    let grace = spec.and_then(|spec| spec.termination_grace_period_seconds);
    let grace = grace.unwrap_or(30);
    let policy = container.termination_message_policy.as_deref();
    let policy = policy.unwrap_or("File");
    let hash = model::container_hash(container);
    let message_path = message_path(container);
    let mut annotations = HashMap::new();
    let mut set = |key: &str, value: String| {
        annotations.insert(key.to_owned(), value);
    };
    set(labels::CONTAINER_HASH, hash);
    set(labels::RESTART_COUNT, attempt.to_string());
    set(labels::MESSAGE_PATH, message_path.to_owned());
    set(labels::MESSAGE_POLICY, policy.to_owned());
    set(labels::GRACE_PERIOD, grace.to_string());
    let lifecycle = container.lifecycle.as_ref();
    let signal = lifecycle.and_then(|lifecycle| lifecycle.stop_signal.as_ref());
    if let Some(signal) = signal {
        set(labels::STOP_SIGNAL, signal.clone());
    }
    annotations
}
