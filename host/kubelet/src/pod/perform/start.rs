//! Starting one container.

use k3s_client::EventType;
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Grace, Performer, SandboxContext};
use crate::container::create::container_config;
use crate::container::request::ContainerRequest;
use crate::container::security::unsupported_container;
use crate::image::manager::ImageRequest;
use crate::pod::error::{PostStartError, StartError};
use crate::pod::model::{Observed, Slot, State};
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
        self.note(request, "Created", format!("Created container: {name}"));
        self.cri
            .start_container(&id)
            .await
            .map_err(StartError::Run)?;
        self.note(request, "Started", format!("Started container {name}"));
        logs::link(&self.config, request.pod, name, &id, request.attempt);
        self.prune_containers(request).await;
        Ok(id)
    }

    async fn create_container(
        &self,
        request: &StartRequest<'_>,
        image: &v1::Image,
    ) -> Result<String, StartError> {
        let (pod, container) = (request.pod, request.container);
        let target = self.target(request)?;
        let node = self.containers.node_context(pod, request.observed);
        let parts = ContainerRequest {
            pod,
            container,
            attempt: request.attempt,
            image,
            image_name: container.image.as_deref().unwrap_or_default(),
            volumes: request.volumes,
            node: &node,
            target: target.as_deref(),
        };
        let config = container_config(&self.containers, &parts).await?;
        logs::prepare_container_dir(&self.config, pod, &container.name)
            .map_err(StartError::LogDirectory)?;
        let sandbox = request.sandbox;
        self.cri
            .create_container(&sandbox.id, config, sandbox.config.clone())
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
        if let Some(refused) = unsupported_container(request.container, features) {
            return Err(StartError::Unsupported(refused.message));
        }
        let spec = request.pod.spec.as_ref();
        let Some(name) = spec.and_then(|spec| request.slot.target(spec)) else {
            return Ok(None);
        };
        let record = request.observed.latest(name);
        match record.filter(|record| record.state == State::Running) {
            Some(record) => Ok(Some(record.id.clone())),
            None => Err(StartError::NoTarget(name.to_owned())),
        }
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
        let (pod, slot, container) = (request.pod, request.slot, request.container);
        let lifecycle = container.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|l| l.post_start.as_ref()) else {
            return Ok(());
        };
        let ip = self.pod_ip(pod, request.observed);
        let Err(error) = hook::run(&self.cri, handler, container, id, &ip).await else {
            return Ok(());
        };
        let message = format!("PostStartHook failed: {}", k3s_base::error::chain(&error));
        let reason = "FailedPostStartHook";
        self.events
            .container(pod, slot, EventType::Warning, reason, message);
        self.kill_container(pod, request.observed, slot, id, reason, grace)
            .await
            .map_err(|error| PostStartError::Stop(Box::new(error)))?;
        Err(error.into())
    }

    fn note(&self, request: &StartRequest<'_>, reason: &str, message: String) {
        let (pod, slot) = (request.pod, request.slot);
        self.events
            .container(pod, slot, EventType::Normal, reason, message);
    }
}
