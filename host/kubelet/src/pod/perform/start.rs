//! Starting one container.

use k3s_client::EventType;
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Grace, Performer, SandboxContext};
use crate::container::create::container_config;
use crate::container::request::ContainerRequest;
use crate::container::security::unsupported_container;
use crate::image::manager::ImageRequest;
use crate::model::{Observed, Slot, State};
use crate::pod::error::{PostStartError, StartError};
use crate::volume::context::Mounted;
use crate::{hook, logs};

/// The container to start and what it is started in.
pub(crate) struct StartRequest<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) slot: Slot,
    pub(crate) container: &'a Container,
    pub(crate) observed: &'a Observed,
    /// The new container's number.
    pub(crate) attempt: u32,
    pub(crate) sandbox: &'a SandboxContext,
    pub(crate) volumes: &'a Mounted,
}

impl Performer {
    /// Has the container's image on the node; a pull may take long.
    pub(crate) async fn ensure_image(
        &self,
        request: &StartRequest<'_>,
    ) -> Result<v1::Image, StartError> {
        // Before the pull: a container that cannot be created needs no image.
        self.target(request)?;
        let request = ImageRequest {
            pod: request.pod,
            slot: request.slot,
            container: request.container,
            sandbox: &request.sandbox.config,
            handler: &request.sandbox.handler,
        };
        Ok(self.images.ensure_image(&request).await?)
    }

    /// Creates and starts the container from the image; returns its id.
    pub(crate) async fn start_container(
        &self,
        request: &StartRequest<'_>,
        image: &v1::Image,
    ) -> Result<String, StartError> {
        let name = &request.container.name;
        let id = self.create_container(request, image).await?;
        let created = format!("Created container: {name}");
        self.note(request, "Created", created);
        let running = self.cri.start_container(&id).await;
        running.map_err(StartError::Run)?;
        let started = format!("Started container {name}");
        self.note(request, "Started", started);
        logs::link(&self.config, request.pod, name, &id, request.attempt);
        self.prune_containers(request).await;
        Ok(id)
    }

    async fn create_container(
        &self,
        request: &StartRequest<'_>,
        image: &v1::Image,
    ) -> Result<String, StartError> {
        let pod = request.pod;
        let container = request.container;
        let target = self.target(request)?;
        let node = self.containers.node_context(pod, request.observed);
        let image_name = container.image.as_deref();
        let parts = ContainerRequest {
            pod,
            container,
            attempt: request.attempt,
            image,
            image_name: image_name.unwrap_or_default(),
            volumes: request.volumes,
            node: &node,
            target: target.as_deref(),
        };
        let config = container_config(&self.containers, &parts).await?;
        let prepared = logs::prepare_container_dir(&self.config, pod, &container.name);
        prepared.map_err(StartError::LogDirectory)?;
        let sandbox = request.sandbox;
        let sandbox_config = sandbox.config.clone();
        self.cri
            .create_container(&sandbox.id, config, sandbox_config)
            .await
            .map_err(StartError::Create)
    }

    /// The id of the container whose processes an ephemeral one is to see. What admission checks of
    /// the others is checked of ephemeral ones here, since they come later.
    fn target(&self, request: &StartRequest<'_>) -> Result<Option<String>, StartError> {
        if !matches!(request.slot, Slot::Ephemeral(_)) {
            return Ok(None);
        }
        let features = self.containers.node.features();
        let refused = unsupported_container(request.container, features);
        if let Some(refused) = refused {
            return Err(StartError::Unsupported(refused.message));
        }
        let spec = request.pod.spec.as_ref();
        let Some(name) = spec.and_then(|spec| request.slot.target(spec)) else {
            return Ok(None);
        };
        let record = request.observed.latest(name);
        let running = record.filter(|record| record.state == State::Running);
        let Some(running) = running else {
            return Err(StartError::NoTarget(name.to_owned()));
        };
        Ok(Some(running.id.clone()))
    }

    /// Removes old containers: of each, the newest and the one before stay, for `lastState` and
    /// `logs --previous`.
    async fn prune_containers(&self, request: &StartRequest<'_>) {
        let name = &request.container.name;
        let records = request.observed.containers.iter();
        // The newest of these is the one before, now that there is a new container.
        for record in records.filter(|c| &c.name == name).skip(1) {
            match self.cri.remove_container(&record.id).await {
                Ok(()) => logs::remove_container_log(&self.config, request.pod, record),
                Err(error) => {
                    tracing::debug!(%error, container = record.id, "old container not removed");
                }
            }
        }
    }

    /// Runs the container's `postStart` hook; a container whose hook fails is stopped.
    pub(crate) async fn post_start(
        &self,
        request: &StartRequest<'_>,
        id: &str,
        grace: Grace,
    ) -> Result<(), PostStartError> {
        let pod = request.pod;
        let slot = request.slot;
        let container = request.container;
        let lifecycle = container.lifecycle.as_ref();
        let handler = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(handler) = handler else {
            return Ok(());
        };
        let ip = self.pod_ip(pod, request.observed);
        let ended = hook::run(&self.cri, handler, container, id, &ip).await;
        let Err(error) = ended else {
            return Ok(());
        };
        let cause = k3s_base::error::chain(&error);
        let message = format!("PostStartHook failed: {cause}");
        let reason = "FailedPostStartHook";
        self.events
            .container(pod, slot, EventType::Warning, reason, message);
        let killed = self
            .kill_container(pod, request.observed, slot, id, reason, grace)
            .await;
        killed.map_err(|error| PostStartError::Stop(Box::new(error)))?;
        Err(error.into())
    }

    fn note(&self, request: &StartRequest<'_>, reason: &str, message: String) {
        let pod = request.pod;
        let slot = request.slot;
        self.events
            .container(pod, slot, EventType::Normal, reason, message);
    }
}
