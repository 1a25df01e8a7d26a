//! Having a container's image on the node: pull policy, credentials, back-off, bounded parallel
//! pulls (`pkg/kubelet/images/image_manager.go`), and collection of unused images.

mod credentials;
pub(crate) mod gc;

use std::collections::HashMap;
use std::time::Duration;

use k3s_client::EventType;
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::context::Ctx;
use crate::pod::backoff::Backoffs;
use crate::pod::model::{self, Slot};
use crate::pod::status::Waiting;

/// Pull back-off: as for crashed containers.
const BASE: Duration = Duration::from_secs(10);
const CAP: Duration = Duration::from_secs(300);

/// Pull state shared by all pods.
pub(crate) struct Images {
    /// Pulls at the same time; the rest wait in line.
    slots: Semaphore,
    backoff: Mutex<Backoffs>,
    /// What the last failed pull of an image said, for the waiting message during back-off.
    failures: Mutex<HashMap<String, String>>,
    /// When an image was last needed; age protects it from collection.
    pub(crate) last_used: Mutex<HashMap<String, Duration>>,
}

impl Images {
    pub(crate) fn new(parallel: usize) -> Self {
        Self {
            slots: Semaphore::new(parallel.max(1)),
            backoff: Mutex::new(Backoffs::new(BASE, CAP)),
            failures: Mutex::default(),
            last_used: Mutex::default(),
        }
    }
}

fn waiting(reason: &str, message: impl Into<String>) -> Waiting {
    Waiting {
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// The name with the `latest` tag where none is given; `None` for what is no reference.
fn normalized(image: &str) -> Option<String> {
    let valid = !image.is_empty()
        && image
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b))
        && !image.starts_with(['/', ':', '@', '-', '.'])
        && !image.ends_with([':', '/', '@']);
    let last = image.rsplit('/').next().unwrap_or(image);
    let repository = image.split('@').next().unwrap_or(image);
    let path = repository
        .strip_suffix(last.split('@').next().unwrap_or(last))
        .unwrap_or(repository);
    let name = last.split([':', '@']).next().unwrap_or(last);
    // Repository names are lower case; a registry host may have capitals.
    let lower = !name.bytes().any(|b| b.is_ascii_uppercase())
        && !path
            .split('/')
            .skip(1)
            .any(|part| part.bytes().any(|b| b.is_ascii_uppercase()));
    if !valid || !lower {
        return None;
    }
    let tagged = last.contains([':', '@']);
    Some(if tagged {
        image.to_owned()
    } else {
        format!("{image}:latest")
    })
}

/// Makes sure the image is here; an error is the container's waiting reason.
pub(crate) async fn ensure(
    ctx: &Ctx,
    pod: &Pod,
    slot: Slot,
    container: &Container,
    sandbox: &v1::PodSandboxConfig,
    handler: &str,
) -> Result<v1::Image, Waiting> {
    let asked = container.image.clone().unwrap_or_default();
    let Some(image) = normalized(&asked) else {
        let message = format!(
            "Failed to apply default image tag \"{asked}\": couldn't parse image name \"{asked}\": invalid reference format"
        );
        ctx.events.container(
            pod,
            slot,
            EventType::Warning,
            "InspectFailed",
            message.clone(),
        );
        return Err(waiting("InvalidImageName", message));
    };
    ctx.images
        .last_used
        .lock()
        .insert(image.clone(), ctx.config.clock.elapsed());
    let present = ctx
        .cri
        .image_status(&image, handler)
        .await
        .map_err(|e| waiting("ImageInspectError", e.to_string()))?;
    let default = if image.ends_with(":latest") {
        "Always"
    } else {
        "IfNotPresent"
    };
    let policy = container
        .image_pull_policy
        .as_deref()
        .filter(|p| !p.is_empty())
        .unwrap_or(default);
    match (present, policy) {
        (Some(found), "Never" | "IfNotPresent") => {
            let message = format!(
                "Container image \"{asked}\" already present on machine and can be accessed by the pod"
            );
            ctx.events
                .container(pod, slot, EventType::Normal, "Pulled", message);
            Ok(found)
        }
        (None, "Never") => {
            let message =
                format!("Container image \"{asked}\" is not present with pull policy of Never");
            ctx.events.container(
                pod,
                slot,
                EventType::Warning,
                "ErrImageNeverPull",
                message.clone(),
            );
            Err(waiting("ErrImageNeverPull", message))
        }
        _ => pull(ctx, pod, slot, &image, &asked, sandbox, handler).await,
    }
}

async fn pull(
    ctx: &Ctx,
    pod: &Pod,
    slot: Slot,
    image: &str,
    asked: &str,
    sandbox: &v1::PodSandboxConfig,
    handler: &str,
) -> Result<v1::Image, Waiting> {
    let key = format!("{}_{image}", model::uid(pod));
    if ctx
        .images
        .backoff
        .lock()
        .in_backoff_now(&key, ctx.config.clock.elapsed())
        .is_some()
    {
        let message = format!("Back-off pulling image \"{asked}\"");
        ctx.events
            .container(pod, slot, EventType::Normal, "BackOff", message.clone());
        let last = ctx
            .images
            .failures
            .lock()
            .get(&key)
            .map(|e| format!(": {e}"))
            .unwrap_or_default();
        return Err(waiting("ImagePullBackOff", message + &last));
    }
    ctx.events.container(
        pod,
        slot,
        EventType::Normal,
        "Pulling",
        format!("Pulling image \"{asked}\""),
    );
    let asked_at = ctx.config.clock.elapsed();
    let _room = ctx
        .images
        .slots
        .acquire()
        .await
        .map_err(|e| waiting("ErrImagePull", e.to_string()))?;
    let started = ctx.config.clock.elapsed();
    match pull_with_credentials(ctx, pod, image, sandbox, handler).await {
        Ok(found) => {
            let now = ctx.config.clock.elapsed();
            let message = format!(
                "Successfully pulled image \"{asked}\" in {} ({} including waiting). Image size: {} bytes.",
                go_duration(now.saturating_sub(started)),
                go_duration(now.saturating_sub(asked_at)),
                found.size
            );
            ctx.events
                .container(pod, slot, EventType::Normal, "Pulled", message);
            ctx.images.backoff.lock().forget(&key);
            ctx.images.failures.lock().remove(&key);
            Ok(found)
        }
        Err(error) => {
            let message = format!("failed to pull and unpack image \"{image}\": {error}");
            ctx.events.container(
                pod,
                slot,
                EventType::Warning,
                "Failed",
                format!("Failed to pull image \"{asked}\": {error}"),
            );
            ctx.images
                .backoff
                .lock()
                .next(&key, ctx.config.clock.elapsed());
            let mut failures = ctx.images.failures.lock();
            // One entry per failing pod and image; cleared when the pod goes.
            failures.insert(key, format!("ErrImagePull: {error}"));
            Err(waiting("ErrImagePull", message))
        }
    }
}

async fn pull_with_credentials(
    ctx: &Ctx,
    pod: &Pod,
    image: &str,
    sandbox: &v1::PodSandboxConfig,
    handler: &str,
) -> Result<v1::Image, String> {
    let mut last = None;
    let mut candidates: Vec<Option<v1::AuthConfig>> = credentials::for_image(ctx, pod, image)
        .await
        .into_iter()
        .map(Some)
        .collect();
    if candidates.is_empty() {
        candidates.push(None);
    }
    for auth in candidates {
        match ctx
            .cri
            .pull_image(image, handler, auth, sandbox.clone())
            .await
        {
            Ok(_) => {
                let found = ctx
                    .cri
                    .image_status(image, handler)
                    .await
                    .map_err(|e| e.to_string())?;
                return found
                    .ok_or_else(|| format!("image \"{image}\" is not there after the pull"));
            }
            Err(error) => last = Some(error.to_string()),
        }
    }
    Err(last.unwrap_or_default())
}

/// Forgets the pull state of a pod that is gone.
pub(crate) fn forget_pod(ctx: &Ctx, uid: &str) {
    let prefix = format!("{uid}_");
    ctx.images.backoff.lock().forget_prefix(&prefix);
    ctx.images
        .failures
        .lock()
        .retain(|key, _| !key.starts_with(&prefix));
}

/// As Go prints a duration, to the millisecond.
fn go_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    format!("{}s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_a_tag_or_are_refused() {
        for (name, want) in [
            ("nginx", Some("nginx:latest")),
            ("reg:5000/a/b", Some("reg:5000/a/b:latest")),
            ("a@sha256:00", Some("a@sha256:00")),
            ("Host.example/app:V1", Some("Host.example/app:V1")),
            ("Nginx", None),
            ("a b", None),
            ("", None),
            ("nginx:", None),
        ] {
            assert_eq!(normalized(name).as_deref(), want, "{name}");
        }
    }
}
