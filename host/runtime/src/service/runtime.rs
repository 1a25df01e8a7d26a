//! `runtime.v1.RuntimeService`.

use std::collections::HashMap;
use std::time::Duration;

use k3s_cri::v1;
use k3s_cri::v1::runtime_service_server::RuntimeService;
use tonic::{Request, Response, Status};

use super::{Service, blocking, exec_sync};
use crate::error::Error;
use crate::pod::container::cri_state;
use crate::pod::stats::labels_match;
use crate::shim::protocol::{Phase, Request as ShimRequest};
use crate::streaming::forward::Target;

/// The version of the kubelet's own protocol, which every runtime returns.
const KUBE_API_VERSION: &str = "0.1.0";
const NAME: &str = "k3s";

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

impl Service {
    fn filtered_sandboxes(&self, filter: Option<v1::PodSandboxFilter>) -> Vec<v1::PodSandbox> {
        let filter = filter.unwrap_or_default();
        let sandboxes = self
            .manager
            .sandboxes()
            .into_iter()
            .map(|sandbox| sandbox.to_cri());
        sandboxes
            .filter(|sandbox| filter.id.is_empty() || sandbox.id.starts_with(&filter.id))
            .filter(|sandbox| {
                filter
                    .state
                    .as_ref()
                    .is_none_or(|state| state.state == sandbox.state)
            })
            .filter(|sandbox| labels_match(&filter.label_selector, &sandbox.labels))
            .collect()
    }

    fn filtered_containers(&self, filter: Option<v1::ContainerFilter>) -> Vec<v1::Container> {
        let filter = filter.unwrap_or_default();
        let containers = self
            .manager
            .containers()
            .into_iter()
            .map(|container| container.to_cri());
        containers
            .filter(|container| filter.id.is_empty() || container.id.starts_with(&filter.id))
            .filter(|container| {
                filter.pod_sandbox_id.is_empty()
                    || container.pod_sandbox_id.starts_with(&filter.pod_sandbox_id)
            })
            .filter(|container| {
                filter
                    .state
                    .as_ref()
                    .is_none_or(|state| state.state == container.state)
            })
            .filter(|container| labels_match(&filter.label_selector, &container.labels))
            .collect()
    }

    /// A container that runs, with its sandbox.
    fn running(&self, id: &str) -> Result<(String, String, bool), Error> {
        let container = self.manager.container(id)?;
        if container.phase() != Phase::Running {
            return Err(Error::Precondition(format!(
                "container {id} is in state {:?}",
                cri_state(container.phase()).as_str_name()
            )));
        }
        Ok(container.with(|record| (record.id.clone(), record.sandbox.clone(), record.config.tty)))
    }
}

#[tonic::async_trait]
impl RuntimeService for Service {
    type GetContainerEventsStream = super::events::EventStream;

    async fn version(&self, _: Request<v1::VersionRequest>) -> Answer<v1::VersionResponse> {
        answer(v1::VersionResponse {
            version: KUBE_API_VERSION.into(),
            runtime_name: NAME.into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: "v1".into(),
        })
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let ready = v1::RuntimeCondition {
            r#type: "RuntimeReady".into(),
            status: true,
            ..Default::default()
        };
        let network = match self.manager.config.network.check().await {
            Ok(()) => v1::RuntimeCondition {
                r#type: "NetworkReady".into(),
                status: true,
                ..Default::default()
            },
            Err(error) => v1::RuntimeCondition {
                r#type: "NetworkReady".into(),
                status: false,
                reason: "NetworkPluginNotReady".into(),
                message: k3s_base::error::chain(&error),
            },
        };
        let mut info = HashMap::new();
        if request.into_inner().verbose {
            let config = serde_json::json!({"root": self.manager.config.root, "state": self.manager.config.state});
            info.insert("config".to_owned(), config.to_string());
        }
        let features = Some(v1::RuntimeHandlerFeatures {
            recursive_read_only_mounts: true,
            user_namespaces: false,
        });
        answer(v1::StatusResponse {
            status: Some(v1::RuntimeStatus {
                conditions: vec![ready, network],
            }),
            info,
            runtime_handlers: ["", "runc"]
                .map(|name| v1::RuntimeHandler {
                    name: name.into(),
                    features,
                })
                .to_vec(),
            features: Some(v1::RuntimeFeatures {
                supplemental_groups_policy: true,
            }),
        })
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<v1::RunPodSandboxRequest>,
    ) -> Answer<v1::RunPodSandboxResponse> {
        let request = request.into_inner();
        let config = request
            .config
            .ok_or_else(|| Status::invalid_argument("config is missing"))?;
        let pod_sandbox_id = self
            .manager
            .run_sandbox(config, request.runtime_handler)
            .await?;
        answer(v1::RunPodSandboxResponse { pod_sandbox_id })
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<v1::StopPodSandboxRequest>,
    ) -> Answer<v1::StopPodSandboxResponse> {
        self.manager
            .stop_sandbox(&request.into_inner().pod_sandbox_id)
            .await?;
        answer(v1::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<v1::RemovePodSandboxRequest>,
    ) -> Answer<v1::RemovePodSandboxResponse> {
        self.manager
            .remove_sandbox(&request.into_inner().pod_sandbox_id)
            .await?;
        answer(v1::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<v1::PodSandboxStatusRequest>,
    ) -> Answer<v1::PodSandboxStatusResponse> {
        let request = request.into_inner();
        let sandbox = self.manager.sandbox(&request.pod_sandbox_id)?;
        let mut info = HashMap::new();
        if request.verbose {
            info.insert(
                "info".to_owned(),
                serde_json::json!({"pid": sandbox.record().pids.shim}).to_string(),
            );
        }
        answer(v1::PodSandboxStatusResponse {
            status: Some(sandbox.to_status()),
            info,
            containers_statuses: self
                .manager
                .containers_of(&sandbox.id())
                .iter()
                .map(|container| container.to_status())
                .collect(),
            timestamp: self.manager.now_ns(),
        })
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<v1::ListPodSandboxRequest>,
    ) -> Answer<v1::ListPodSandboxResponse> {
        answer(v1::ListPodSandboxResponse {
            items: self.filtered_sandboxes(request.into_inner().filter),
        })
    }

    async fn create_container(
        &self,
        request: Request<v1::CreateContainerRequest>,
    ) -> Answer<v1::CreateContainerResponse> {
        let request = request.into_inner();
        let config = request
            .config
            .ok_or_else(|| Status::invalid_argument("config is missing"))?;
        let container_id = self
            .manager
            .create_container(&request.pod_sandbox_id, config, request.sandbox_config)
            .await?;
        answer(v1::CreateContainerResponse { container_id })
    }

    async fn start_container(
        &self,
        request: Request<v1::StartContainerRequest>,
    ) -> Answer<v1::StartContainerResponse> {
        self.manager
            .start_container(&request.into_inner().container_id)
            .await?;
        answer(v1::StartContainerResponse {})
    }

    async fn stop_container(
        &self,
        request: Request<v1::StopContainerRequest>,
    ) -> Answer<v1::StopContainerResponse> {
        let request = request.into_inner();
        self.manager
            .stop_container(&request.container_id, seconds(request.timeout))
            .await?;
        answer(v1::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: Request<v1::RemoveContainerRequest>,
    ) -> Answer<v1::RemoveContainerResponse> {
        self.manager
            .remove_container(&request.into_inner().container_id)
            .await?;
        answer(v1::RemoveContainerResponse {})
    }

    async fn list_containers(
        &self,
        request: Request<v1::ListContainersRequest>,
    ) -> Answer<v1::ListContainersResponse> {
        answer(v1::ListContainersResponse {
            containers: self.filtered_containers(request.into_inner().filter),
        })
    }

    async fn container_status(
        &self,
        request: Request<v1::ContainerStatusRequest>,
    ) -> Answer<v1::ContainerStatusResponse> {
        let request = request.into_inner();
        let container = self.manager.container(&request.container_id)?;
        let mut info = HashMap::new();
        if request.verbose {
            let text = container.with(|record| serde_json::json!({"pid": record.state.pid, "sandboxID": record.sandbox, "cgroup": record.cgroup}));
            info.insert("info".to_owned(), text.to_string());
        }
        answer(v1::ContainerStatusResponse {
            status: Some(container.to_status()),
            info,
        })
    }

    async fn update_container_resources(
        &self,
        request: Request<v1::UpdateContainerResourcesRequest>,
    ) -> Answer<v1::UpdateContainerResourcesResponse> {
        let request = request.into_inner();
        let resources = request
            .linux
            .ok_or_else(|| Status::invalid_argument("only linux resources can be updated"))?;
        let manager = self.manager.clone();
        blocking(move || manager.update_resources(&request.container_id, &resources)).await?;
        answer(v1::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: Request<v1::ReopenContainerLogRequest>,
    ) -> Answer<v1::ReopenContainerLogResponse> {
        let (id, sandbox, _) = self.running(&request.into_inner().container_id)?;
        self.manager
            .shim(&sandbox)
            .call(&ShimRequest::ReopenLog { id })
            .await?;
        answer(v1::ReopenContainerLogResponse {})
    }

    async fn exec_sync(
        &self,
        request: Request<v1::ExecSyncRequest>,
    ) -> Answer<v1::ExecSyncResponse> {
        let request = request.into_inner();
        let (id, sandbox, _) = self.running(&request.container_id)?;
        let output = exec_sync::run(
            &self.manager.shim(&sandbox),
            id,
            request.cmd,
            seconds(request.timeout),
        )
        .await?;
        answer(v1::ExecSyncResponse {
            stdout: output.stdout,
            stderr: output.stderr,
            exit_code: output.code,
        })
    }

    async fn exec(&self, request: Request<v1::ExecRequest>) -> Answer<v1::ExecResponse> {
        let request = request.into_inner();
        let (id, sandbox, _) = self.running(&request.container_id)?;
        let url = self.sessions.offer_exec(
            sandbox,
            v1::ExecRequest {
                container_id: id,
                ..request
            },
        )?;
        answer(v1::ExecResponse { url })
    }

    async fn attach(&self, request: Request<v1::AttachRequest>) -> Answer<v1::AttachResponse> {
        let request = request.into_inner();
        let (id, sandbox, tty) = self.running(&request.container_id)?;
        let url = self.sessions.offer_attach(
            sandbox,
            v1::AttachRequest {
                container_id: id,
                tty,
                ..request
            },
        )?;
        answer(v1::AttachResponse { url })
    }

    async fn port_forward(
        &self,
        request: Request<v1::PortForwardRequest>,
    ) -> Answer<v1::PortForwardResponse> {
        let request = request.into_inner();
        let sandbox = self.manager.sandbox(&request.pod_sandbox_id)?;
        if !sandbox.is_ready() {
            return Err(Error::Precondition(format!(
                "sandbox container {:?} is not running",
                sandbox.id()
            ))
            .into());
        }
        let ports = request.port.iter().map(|port| match u16::try_from(*port) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(Error::Invalid(format!("invalid port {port}"))),
        });
        let url = self.sessions.offer_port_forward(Target {
            sandbox: sandbox.id(),
            netns: sandbox.record().netns,
            ports: ports.collect::<Result<_, _>>()?,
        })?;
        answer(v1::PortForwardResponse { url })
    }

    async fn container_stats(
        &self,
        request: Request<v1::ContainerStatsRequest>,
    ) -> Answer<v1::ContainerStatsResponse> {
        let container = self.manager.container(&request.into_inner().container_id)?;
        let manager = self.manager.clone();
        let stats = blocking(move || manager.container_stats(&container)).await?;
        answer(v1::ContainerStatsResponse { stats: Some(stats) })
    }

    async fn list_container_stats(
        &self,
        request: Request<v1::ListContainerStatsRequest>,
    ) -> Answer<v1::ListContainerStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let filter = v1::ContainerFilter {
            id: filter.id,
            pod_sandbox_id: filter.pod_sandbox_id,
            label_selector: filter.label_selector,
            state: None,
        };
        let wanted = self.filtered_containers(Some(filter));
        let manager = self.manager.clone();
        let stats = blocking(move || {
            // One that is removed meanwhile is left out.
            Ok(wanted
                .iter()
                .filter_map(|container| {
                    manager
                        .container_stats(&manager.container(&container.id).ok()?.clone())
                        .ok()
                })
                .collect())
        });
        answer(v1::ListContainerStatsResponse {
            stats: stats.await?,
        })
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<v1::PodSandboxStatsRequest>,
    ) -> Answer<v1::PodSandboxStatsResponse> {
        let sandbox = self.manager.sandbox(&request.into_inner().pod_sandbox_id)?;
        let manager = self.manager.clone();
        let stats = blocking(move || manager.sandbox_stats(&sandbox)).await?;
        answer(v1::PodSandboxStatsResponse { stats: Some(stats) })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<v1::ListPodSandboxStatsRequest>,
    ) -> Answer<v1::ListPodSandboxStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let wanted = self.filtered_sandboxes(Some(v1::PodSandboxFilter {
            id: filter.id,
            label_selector: filter.label_selector,
            state: None,
        }));
        let manager = self.manager.clone();
        let stats = blocking(move || {
            Ok(wanted
                .iter()
                .filter_map(|sandbox| {
                    manager
                        .sandbox_stats(&manager.sandbox(&sandbox.id).ok()?)
                        .ok()
                })
                .collect())
        });
        answer(v1::ListPodSandboxStatsResponse {
            stats: stats.await?,
        })
    }

    async fn update_runtime_config(
        &self,
        request: Request<v1::UpdateRuntimeConfigRequest>,
    ) -> Answer<v1::UpdateRuntimeConfigResponse> {
        // The pod network gets its ranges where it is configured; the kubelet only repeats them.
        let cidr = request
            .into_inner()
            .runtime_config
            .and_then(|config| config.network_config)
            .map(|network| network.pod_cidr);
        tracing::debug!(?cidr, "the kubelet announced the pod range");
        answer(v1::UpdateRuntimeConfigResponse {})
    }

    async fn checkpoint_container(
        &self,
        _: Request<v1::CheckpointContainerRequest>,
    ) -> Answer<v1::CheckpointContainerResponse> {
        Err(Error::Unsupported("checkpointing".into()).into())
    }

    async fn get_container_events(
        &self,
        _: Request<v1::GetEventsRequest>,
    ) -> Answer<Self::GetContainerEventsStream> {
        answer(super::events::stream(
            &self.manager.events,
            self.manager.config.tasks.stopping(),
        ))
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<v1::ListMetricDescriptorsRequest>,
    ) -> Answer<v1::ListMetricDescriptorsResponse> {
        Err(Error::Unsupported("metrics by descriptor".into()).into())
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<v1::ListPodSandboxMetricsRequest>,
    ) -> Answer<v1::ListPodSandboxMetricsResponse> {
        Err(Error::Unsupported("metrics by descriptor".into()).into())
    }

    async fn runtime_config(
        &self,
        _: Request<v1::RuntimeConfigRequest>,
    ) -> Answer<v1::RuntimeConfigResponse> {
        let linux = v1::LinuxRuntimeConfiguration {
            cgroup_driver: v1::CgroupDriver::Cgroupfs as i32,
        };
        answer(v1::RuntimeConfigResponse { linux: Some(linux) })
    }
}
