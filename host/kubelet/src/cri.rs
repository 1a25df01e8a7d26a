//! The runtime as the kubelet uses it: CRI v1 calls with deadlines, answers turned into the
//! kubelet's own records.

use std::collections::HashMap;
use std::time::Duration;

use k3s_cri::v1;
use k3s_cri::{Code, ImageClient, RuntimeClient, Status};

use crate::labels;
use crate::model::{ContainerRecord, Observed, SandboxRecord, State};

/// The limit of most calls (upstream's `--runtime-request-timeout`).
const CALL: Duration = Duration::from_secs(120);
/// A stop call lasts the grace period plus this.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// A pull fails when the runtime does not answer for this long.
const PULL: Duration = Duration::from_secs(3600);

/// A failed call: the runtime's own words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CriError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl CriError {
    pub(crate) fn not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

impl From<Status> for CriError {
    fn from(status: Status) -> Self {
        // Go kubelets print the whole gRPC error; people search for this form.
        let message = format!(
            "rpc error: code = {:?} desc = {}",
            status.code(),
            status.message()
        );
        Self {
            code: status.code(),
            message,
        }
    }
}

/// Both CRI services over one connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cri {
    runtime: RuntimeClient,
    images: ImageClient,
}

type Result<T> = std::result::Result<T, CriError>;

fn timed<T>(message: T, limit: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limit);
    request
}

macro_rules! call {
    ($client:expr, $method:ident, $message:expr, $limit:expr) => {
        // Boxed: generated futures are large, and every worker would hold the largest of them.
        match tokio::time::timeout(
            $limit,
            Box::pin($client.clone().$method(timed($message, $limit))),
        )
        .await
        {
            Ok(answer) => answer
                .map(tonic::Response::into_inner)
                .map_err(CriError::from),
            Err(_) => Err(CriError {
                code: Code::DeadlineExceeded,
                message: "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
                    .to_owned(),
            }),
        }
    };
}

impl Cri {
    pub(crate) async fn connect(
        endpoint: &str,
    ) -> std::result::Result<Self, k3s_cri::ConnectError> {
        let (runtime, images) = k3s_cri::connect(endpoint).await?;
        Ok(Self { runtime, images })
    }

    pub(crate) async fn version(&self) -> Result<v1::VersionResponse> {
        call!(
            self.runtime,
            version,
            v1::VersionRequest {
                version: "0.1.0".to_owned()
            },
            CALL
        )
    }

    pub(crate) async fn status(&self) -> Result<v1::StatusResponse> {
        call!(
            self.runtime,
            status,
            v1::StatusRequest { verbose: false },
            CALL
        )
    }

    pub(crate) async fn set_pod_cidr(&self, pod_cidr: &str) -> Result<()> {
        let network_config = Some(v1::NetworkConfig {
            pod_cidr: pod_cidr.to_owned(),
        });
        let runtime_config = Some(v1::RuntimeConfig { network_config });
        call!(
            self.runtime,
            update_runtime_config,
            v1::UpdateRuntimeConfigRequest { runtime_config },
            CALL
        )
        .map(drop)
    }

    pub(crate) async fn run_sandbox(
        &self,
        config: v1::PodSandboxConfig,
        handler: &str,
    ) -> Result<String> {
        let request = v1::RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: handler.to_owned(),
        };
        // Network set-up may be slow: twice the usual limit, as upstream.
        call!(self.runtime, run_pod_sandbox, request, CALL * 2).map(|r| r.pod_sandbox_id)
    }

    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        call!(
            self.runtime,
            stop_pod_sandbox,
            v1::StopPodSandboxRequest {
                pod_sandbox_id: id.to_owned()
            },
            CALL
        )
        .map(drop)
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let request = v1::RemovePodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        call!(self.runtime, remove_pod_sandbox, request, CALL).map(drop)
    }

    pub(crate) async fn create_container(
        &self,
        sandbox: &str,
        config: v1::ContainerConfig,
        sandbox_config: v1::PodSandboxConfig,
    ) -> Result<String> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        call!(self.runtime, create_container, request, CALL).map(|r| r.container_id)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<()> {
        call!(
            self.runtime,
            start_container,
            v1::StartContainerRequest {
                container_id: id.to_owned()
            },
            CALL
        )
        .map(drop)
    }

    /// Changes what a running container may use; 0 stays as it is.
    pub(crate) async fn update_container_resources(
        &self,
        id: &str,
        resources: v1::LinuxContainerResources,
    ) -> Result<()> {
        let request = v1::UpdateContainerResourcesRequest {
            container_id: id.to_owned(),
            linux: Some(resources),
            ..Default::default()
        };
        call!(self.runtime, update_container_resources, request, CALL).map(drop)
    }

    /// Stops a container; one that does not exist any more counts as stopped.
    pub(crate) async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = v1::StopContainerRequest {
            container_id: id.to_owned(),
            timeout,
        };
        let done = call!(
            self.runtime,
            stop_container,
            request,
            grace.saturating_add(STOP_MARGIN)
        );
        match done {
            Err(error) if error.not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        let done = call!(
            self.runtime,
            remove_container,
            v1::RemoveContainerRequest {
                container_id: id.to_owned()
            },
            CALL
        );
        match done {
            Err(error) if error.not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    pub(crate) async fn container_status(&self, id: &str) -> Result<Option<v1::ContainerStatus>> {
        let request = v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        match call!(self.runtime, container_status, request, CALL) {
            Ok(answer) => Ok(answer.status),
            Err(error) if error.not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn sandbox_status(&self, id: &str) -> Result<Option<v1::PodSandboxStatus>> {
        let request = v1::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        match call!(self.runtime, pod_sandbox_status, request, CALL) {
            Ok(answer) => Ok(answer.status),
            Err(error) if error.not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn sandboxes(
        &self,
        labels: HashMap<String, String>,
    ) -> Result<Vec<v1::PodSandbox>> {
        let filter = Some(v1::PodSandboxFilter {
            label_selector: labels,
            ..Default::default()
        });
        call!(
            self.runtime,
            list_pod_sandbox,
            v1::ListPodSandboxRequest { filter },
            CALL
        )
        .map(|r| r.items)
    }

    pub(crate) async fn containers(
        &self,
        labels: HashMap<String, String>,
    ) -> Result<Vec<v1::Container>> {
        let filter = Some(v1::ContainerFilter {
            label_selector: labels,
            ..Default::default()
        });
        call!(
            self.runtime,
            list_containers,
            v1::ListContainersRequest { filter },
            CALL
        )
        .map(|r| r.containers)
    }

    /// Everything the runtime has of the pod with that uid.
    pub(crate) async fn observe(&self, uid: &str) -> Result<Observed> {
        let by_uid = || HashMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let mut observed = Observed::default();
        for sandbox in self.sandboxes(by_uid()).await? {
            if let Some(status) = self.sandbox_status(&sandbox.id).await? {
                observed.sandboxes.push(sandbox_record(&status));
            }
        }
        for container in self.containers(by_uid()).await? {
            if let Some(status) = self.container_status(&container.id).await? {
                observed
                    .containers
                    .push(container_record(status, container.pod_sandbox_id));
            }
        }
        Ok(observed.sorted())
    }

    pub(crate) async fn exec_sync(
        &self,
        id: &str,
        cmd: &[String],
        timeout: Duration,
    ) -> Result<v1::ExecSyncResponse> {
        let secs = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let request = v1::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: cmd.to_vec(),
            timeout: secs,
        };
        // The runtime ends it; the margin only guards against one that does not answer.
        let limit = if secs == 0 {
            CALL
        } else {
            timeout.saturating_add(Duration::from_secs(5))
        };
        call!(self.runtime, exec_sync, request, limit)
    }

    pub(crate) async fn exec(&self, request: v1::ExecRequest) -> Result<String> {
        call!(self.runtime, exec, request, CALL).map(|r| r.url)
    }

    pub(crate) async fn attach(&self, request: v1::AttachRequest) -> Result<String> {
        call!(self.runtime, attach, request, CALL).map(|r| r.url)
    }

    pub(crate) async fn port_forward(&self, request: v1::PortForwardRequest) -> Result<String> {
        call!(self.runtime, port_forward, request, CALL).map(|r| r.url)
    }

    pub(crate) async fn reopen_log(&self, id: &str) -> Result<()> {
        let request = v1::ReopenContainerLogRequest {
            container_id: id.to_owned(),
        };
        call!(self.runtime, reopen_container_log, request, CALL).map(drop)
    }

    pub(crate) async fn container_stats(&self) -> Result<Vec<v1::ContainerStats>> {
        call!(
            self.runtime,
            list_container_stats,
            v1::ListContainerStatsRequest { filter: None },
            CALL
        )
        .map(|r| r.stats)
    }

    /// Container events from now on.
    pub(crate) async fn events(&self) -> Result<tonic::Streaming<v1::ContainerEventResponse>> {
        let mut client = self.runtime.clone();
        Ok(client
            .get_container_events(v1::GetEventsRequest {})
            .await?
            .into_inner())
    }

    pub(crate) async fn images(&self) -> Result<Vec<v1::Image>> {
        call!(
            self.images,
            list_images,
            v1::ListImagesRequest { filter: None },
            CALL
        )
        .map(|r| r.images)
    }

    pub(crate) async fn image_status(
        &self,
        image: &str,
        handler: &str,
    ) -> Result<Option<v1::Image>> {
        let request = v1::ImageStatusRequest {
            image: Some(image_spec(image, handler)),
            verbose: false,
        };
        call!(self.images, image_status, request, CALL).map(|r| r.image)
    }

    pub(crate) async fn pull_image(
        &self,
        image: &str,
        handler: &str,
        auth: Option<v1::AuthConfig>,
        sandbox_config: v1::PodSandboxConfig,
    ) -> Result<String> {
        let request = v1::PullImageRequest {
            image: Some(image_spec(image, handler)),
            auth,
            sandbox_config: Some(sandbox_config),
        };
        call!(self.images, pull_image, request, PULL).map(|r| r.image_ref)
    }

    pub(crate) async fn remove_image(&self, id: &str) -> Result<()> {
        call!(
            self.images,
            remove_image,
            v1::RemoveImageRequest {
                image: Some(image_spec(id, ""))
            },
            CALL
        )
        .map(drop)
    }

    pub(crate) async fn image_fs(&self) -> Result<v1::ImageFsInfoResponse> {
        call!(self.images, image_fs_info, v1::ImageFsInfoRequest {}, CALL)
    }
}

fn image_spec(image: &str, handler: &str) -> v1::ImageSpec {
    v1::ImageSpec {
        image: image.to_owned(),
        user_specified_image: image.to_owned(),
        runtime_handler: handler.to_owned(),
        ..Default::default()
    }
}

fn sandbox_record(status: &v1::PodSandboxStatus) -> SandboxRecord {
    let mut ips = Vec::new();
    if let Some(network) = &status.network
        && !network.ip.is_empty()
    {
        let more = network.additional_ips.iter();
        ips.push(network.ip.clone());
        ips.extend(more.map(|ip| ip.ip.clone()));
    }
    let metadata = status.metadata.as_ref();
    let ready = v1::PodSandboxState::SandboxReady as i32;
    SandboxRecord {
        id: status.id.clone(),
        attempt: metadata.map_or(0, |metadata| metadata.attempt),
        ready: status.state == ready,
        created_at_ns: status.created_at,
        ips,
    }
}

fn container_record(status: v1::ContainerStatus, sandbox_id: String) -> ContainerRecord {
    let state = match v1::ContainerState::try_from(status.state) {
        Ok(v1::ContainerState::ContainerCreated) => State::Created,
        Ok(v1::ContainerState::ContainerRunning) => State::Running,
        Ok(v1::ContainerState::ContainerExited) => State::Exited,
        _ => State::Unknown,
    };
    let metadata = status.metadata.unwrap_or_default();
    let user_image = status.image.map(|i| {
        if i.user_specified_image.is_empty() {
            i.image
        } else {
            i.user_specified_image
        }
    });
    ContainerRecord {
        sandbox_id,
        name: metadata.name,
        attempt: metadata.attempt,
        state,
        created_at_ns: status.created_at,
        started_at_ns: status.started_at,
        finished_at_ns: status.finished_at,
        exit_code: status.exit_code,
        reason: status.reason,
        message: status.message,
        image: user_image.unwrap_or_default(),
        image_id: if status.image_ref.is_empty() {
            status.image_id
        } else {
            status.image_ref
        },
        hash: status
            .annotations
            .get(labels::CONTAINER_HASH)
            .cloned()
            .unwrap_or_default(),
        log_path: status.log_path,
        id: status.id,
    }
}
