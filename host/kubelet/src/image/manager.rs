//! Having a container's image on the node: pull policy, credentials, back-off, bounded parallel
//! pulls (`pkg/kubelet/images/image_manager.go`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{Backoffs, Clock};
use k3s_client::EventType;
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::credentials::{self, Tracked};
use super::error::{ImageError, PullError};
use super::records::{Access, PullRecords};
use crate::api::ApiReader;
use crate::cri::{Cri, CriError};
use crate::events::Events;
use crate::model::{self, Slot};

/// Pull back-off: as for crashed containers.
const BASE: Duration = Duration::from_secs(10);
const CAP: Duration = Duration::from_secs(300);

/// The container whose image is wanted, and the sandbox it is for.
pub(crate) struct ImageRequest<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) slot: Slot,
    pub(crate) container: &'a Container,
    pub(crate) sandbox: &'a v1::PodSandboxConfig,
    /// The runtime handler of the sandbox; empty for the default.
    pub(crate) handler: &'a str,
}

/// Pull state shared by all pods.
pub(crate) struct ImageManager {
    pub(super) cri: Cri,
    api: Arc<ApiReader>,
    events: Events,
    pub(super) clock: Clock,
    /// Pulls at the same time; the rest wait in line.
    parallel: Semaphore,
    backoff: Mutex<Backoffs>,
    /// What the last failed pull of an image said, for the waiting message during back-off. One
    /// entry per failing pod and image; removed with the pod.
    failures: Mutex<HashMap<String, String>>,
    /// When an image was last needed; age protects it from collection.
    last_used: Mutex<HashMap<String, Duration>>,
    records: PullRecords,
}

impl ImageManager {
    pub(crate) fn new(
        cri: Cri,
        api: Arc<ApiReader>,
        events: Events,
        clock: Clock,
        parallel: usize,
        records: PullRecords,
    ) -> Self {
        Self {
            cri,
            api,
            events,
            clock,
            parallel: Semaphore::new(parallel.max(1)),
            backoff: Mutex::new(Backoffs::new(BASE, CAP)),
            failures: Mutex::default(),
            last_used: Mutex::default(),
            records,
        }
    }

    /// Makes sure that the image is on the node.
    ///
    /// # Errors
    /// See [`ImageError`]; pod and container get the events.
    pub(crate) async fn ensure_image(
        &self,
        request: &ImageRequest<'_>,
    ) -> Result<v1::Image, ImageError> {
        let asked = request.container.image.as_deref().unwrap_or_default();
        let Some(image) = normalized(asked) else {
            let error = ImageError::InvalidName {
                image: asked.to_owned(),
            };
            self.warn(request, "InspectFailed", error.to_string());
            return Err(error);
        };
        let now = self.clock.elapsed();
        self.last_used.lock().insert(image.clone(), now);
        let present = self
            .cri
            .image_status(&image, request.handler)
            .await
            .map_err(ImageError::Inspect)?;
        match (present, pull_policy(request.container, &image)) {
            (Some(found), "Never" | "IfNotPresent")
                if self.may_use(request, &image, &found.id).await =>
            {
                let message = format!(
                    "Container image \"{asked}\" already present on machine and can be accessed by the pod"
                );
                self.note(request, "Pulled", message);
                Ok(found)
            }
            // Upstream says the same of an image that is there but not for this pod.
            (_, "Never") => {
                let error = ImageError::NeverPull {
                    image: asked.to_owned(),
                };
                self.warn(request, "ErrImageNeverPull", error.to_string());
                Err(error)
            }
            _ => self.pull(request, &image, asked).await,
        }
    }

    /// Whether the pod may use the image that is there without pulling it.
    async fn may_use(&self, request: &ImageRequest<'_>, image: &str, id: &str) -> bool {
        match self.records.access(image, id) {
            Access::Granted => true,
            Access::MustPull => false,
            Access::WithSecret(known) => {
                let fitting = credentials::for_image(&self.api, request.pod, image).await;
                let shown: Vec<_> = fitting.into_iter().map(|it| it.secret).collect();
                self.records.admit(image, id, &known, &shown)
            }
        }
    }

    /// Pulls unless the last failure is too recent.
    async fn pull(
        &self,
        request: &ImageRequest<'_>,
        image: &str,
        asked: &str,
    ) -> Result<v1::Image, ImageError> {
        let key = format!("{}_{image}", model::uid(request.pod));
        let now = self.clock.elapsed();
        if self.backoff.lock().in_backoff_now(&key, now).is_some() {
            self.note(
                request,
                "BackOff",
                format!("Back-off pulling image \"{asked}\""),
            );
            return Err(ImageError::BackOff {
                image: asked.to_owned(),
                last: self.failures.lock().get(&key).cloned(),
            });
        }
        self.note(request, "Pulling", format!("Pulling image \"{asked}\""));
        match self.pull_in_turn(request, image).await {
            Ok((found, timing)) => {
                let message = format!(
                    "Successfully pulled image \"{asked}\" in {timing}. Image size: {} bytes.",
                    found.size
                );
                self.note(request, "Pulled", message);
                self.backoff.lock().forget(&key);
                self.failures.lock().remove(&key);
                Ok(found)
            }
            Err(source) => {
                self.note_pull_failure(request, key, asked, &source);
                let image = image.to_owned();
                Err(ImageError::Pull { image, source })
            }
        }
    }

    fn note_pull_failure(
        &self,
        request: &ImageRequest<'_>,
        key: String,
        asked: &str,
        error: &PullError,
    ) {
        let cause = chain(error);
        let message = format!("Failed to pull image \"{asked}\": {cause}");
        self.warn(request, "Failed", message);
        self.backoff.lock().next(&key, self.clock.elapsed());
        let mut failures = self.failures.lock();
        failures.insert(key, format!("ErrImagePull: {cause}"));
    }

    /// Waits for room and pulls; says how long that took, without and with the wait.
    async fn pull_in_turn(
        &self,
        request: &ImageRequest<'_>,
        image: &str,
    ) -> Result<(v1::Image, String), PullError> {
        let asked_at = self.clock.elapsed();
        let turn = self.parallel.acquire().await;
        let _turn = turn.map_err(|_closed| PullError::Stopping)?;
        let started_at = self.clock.elapsed();
        let found = self.pull_with_credentials(request, image).await?;
        let now = self.clock.elapsed();
        let timing = format!(
            "{} ({} including waiting)",
            go_duration(now.saturating_sub(started_at)),
            go_duration(now.saturating_sub(asked_at)),
        );
        Ok((found, timing))
    }

    /// Tries the credentials that fit, the most specific first; without any, once anonymously.
    async fn pull_with_credentials(
        &self,
        request: &ImageRequest<'_>,
        image: &str,
    ) -> Result<v1::Image, PullError> {
        let fitting = credentials::for_image(&self.api, request.pod, image).await;
        let mut candidates = fitting.into_iter().map(Some).collect::<Vec<_>>();
        if candidates.is_empty() {
            candidates.push(None);
        }
        let pull = self.records.begin(image).map_err(PullError::Intent)?;
        let mut last = PullError::Missing(image.to_owned());
        for candidate in candidates {
            match self.pull_once(request, image, candidate.as_ref()).await {
                Ok(found) => {
                    let secret = candidate.map(|it| it.secret);
                    pull.succeed(&found.id, secret.as_ref());
                    return Ok(found);
                }
                Err(error) => last = error,
            }
        }
        pull.fail();
        Err(last)
    }

    async fn pull_once(
        &self,
        request: &ImageRequest<'_>,
        image: &str,
        with: Option<&Tracked>,
    ) -> Result<v1::Image, PullError> {
        let auth = with.map(|it| it.auth.clone());
        let sandbox = request.sandbox.clone();
        self.cri
            .pull_image(image, request.handler, auth, sandbox)
            .await?;
        let found = self.cri.image_status(image, request.handler).await?;
        found.ok_or_else(|| PullError::Missing(image.to_owned()))
    }

    /// Brings the records of pulls up to date with what images there are.
    pub(super) async fn tidy_records(&self) -> Result<(), CriError> {
        let since = self.records.now();
        let mut images = Vec::new();
        for image in self.cri.images().await? {
            let names = [image.repo_tags, image.repo_digests].concat();
            images.push((image.id, names));
        }
        self.records.adopt(&images);
        let ids: Vec<_> = images.into_iter().map(|(id, _)| id).collect();
        self.records.prune(&ids, since);
        Ok(())
    }

    /// Forgets the pull state of a pod that has ended.
    pub(crate) fn forget_pod(&self, uid: &str) {
        let prefix = format!("{uid}_");
        self.backoff.lock().forget_prefix(&prefix);
        let mut failures = self.failures.lock();
        failures.retain(|key, _| !key.starts_with(&prefix));
    }

    /// When each image was last needed, on the monotonic clock.
    pub(super) fn last_used(&self) -> HashMap<String, Duration> {
        self.last_used.lock().clone()
    }

    fn note(&self, request: &ImageRequest<'_>, reason: &str, message: String) {
        let (pod, slot) = (request.pod, request.slot);
        self.events
            .container(pod, slot, EventType::Normal, reason, message);
    }

    fn warn(&self, request: &ImageRequest<'_>, reason: &str, message: String) {
        let (pod, slot) = (request.pod, request.slot);
        self.events
            .container(pod, slot, EventType::Warning, reason, message);
    }
}

/// The container's policy; by default only `latest` is pulled each time.
fn pull_policy<'a>(container: &'a Container, image: &str) -> &'a str {
    let own = container.image_pull_policy.as_deref();
    own.filter(|policy| !policy.is_empty())
        .unwrap_or(if image.ends_with(":latest") {
            "Always"
        } else {
            "IfNotPresent"
        })
}

/// The name with the `latest` tag where none is given; `None` for a text that is not a reference.
fn normalized(image: &str) -> Option<String> {
    if !has_valid_characters(image) {
        return None;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    let repository = without_digest(image);
    let last_of_repository = without_digest(last);
    let path = repository.strip_suffix(last_of_repository);
    let path = path.unwrap_or(repository);
    let name = last.split([':', '@']).next().unwrap_or(last);
    // Repository names are lower case; a registry host may have capitals.
    let mut folders = path.split('/').skip(1);
    if has_capitals(name) || folders.any(has_capitals) {
        return None;
    }
    let tagged = last.contains([':', '@']);
    if tagged {
        return Some(image.to_owned());
    }
    Some(format!("{image}:latest"))
}

fn without_digest(reference: &str) -> &str {
    let mut parts = reference.split('@');
    parts.next().unwrap_or(reference)
}

fn has_valid_characters(image: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    !image.is_empty()
        && image.bytes().all(valid)
        && !image.starts_with(['/', ':', '@', '-', '.'])
        && !image.ends_with([':', '/', '@'])
}

fn has_capitals(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// As Go prints a duration, to the millisecond.
fn go_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        let millis = duration.as_millis();
        return format!("{millis}ms");
    }
    let seconds = duration.as_secs_f64();
    format!("{seconds}s")
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
