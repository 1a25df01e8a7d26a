//! A container runtime in memory behind a real socket: it keeps sandboxes and containers as a
//! runtime would and runs nothing. A container whose command is `exit N` ends at once with N; every
//! other one runs until it is stopped.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use k3s_cri::v1::image_service_server::{ImageService, ImageServiceServer};
use k3s_cri::v1::runtime_service_server::{RuntimeService, RuntimeServiceServer};
use k3s_cri::v1::*;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

#[derive(Default)]
struct State {
    sandboxes: HashMap<String, PodSandboxStatus>,
    log_dirs: HashMap<String, String>,
    containers: HashMap<String, Entry>,
    calls: Vec<String>,
    exec_exit: HashMap<String, i32>,
    memory_use: HashMap<String, u64>,
    images: Vec<String>,
    /// Images of the registry, and the user who may pull each.
    registry: HashMap<String, String>,
    next: u32,
}

struct Entry {
    status: ContainerStatus,
    sandbox: String,
    config: ContainerConfig,
}

/// The fake; clones are the same runtime.
#[derive(Clone)]
pub struct FakeCri {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<ContainerEventResponse>,
}

fn now_ns() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos(),
    )
    .unwrap()
}

impl FakeCri {
    /// Serves on `socket` until the test's runtime ends.
    pub fn serve(socket: &Path) -> Self {
        let fake = Self {
            state: Arc::default(),
            events: broadcast::channel(256).0,
        };
        let images = ["app:1", "app:2"].map(str::to_owned);
        fake.state.lock().images.extend(images);
        let listener = k3s_cri::bind(socket).unwrap();
        let service = fake.clone();
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(RuntimeServiceServer::new(service.clone()))
                .add_service(ImageServiceServer::new(service))
                .serve_with_incoming(k3s_cri::Incoming::new(listener))
                .await
        });
        fake
    }

    /// Lets `user` pull an image from now on; with `None` none can.
    pub fn offer(&self, image: &str, user: Option<&str>) {
        let registry = &mut self.state.lock().registry;
        match user {
            Some(user) => drop(registry.insert(image.to_owned(), user.to_owned())),
            None => drop(registry.remove(image)),
        }
    }

    /// Mutating calls so far, as `verb name`.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    /// What `exec` in containers of that name exits with from now on.
    pub fn set_exec_exit(&self, container: &str, code: i32) {
        self.state
            .lock()
            .exec_exit
            .insert(container.to_owned(), code);
    }

    /// The memory that containers of that name use from now on.
    pub fn set_memory_use(&self, container: &str, bytes: u64) {
        let memory_use = &mut self.state.lock().memory_use;
        memory_use.insert(container.to_owned(), bytes);
    }

    /// Id and configuration of the newest container of that name.
    pub fn newest(&self, container: &str) -> Option<(String, ContainerConfig)> {
        let state = self.state.lock();
        let mut found: Vec<_> = state
            .containers
            .values()
            .filter(|e| e.status.metadata.as_ref().unwrap().name == container)
            .collect();
        found.sort_by_key(|e| e.status.metadata.as_ref().unwrap().attempt);
        found
            .last()
            .map(|e| (e.status.id.clone(), e.config.clone()))
    }

    /// Whether no sandbox and no container is left.
    pub fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.sandboxes.is_empty() && state.containers.is_empty()
    }

    /// Ends a container as if its process had.
    pub fn exit(&self, id: &str, code: i32) {
        let mut state = self.state.lock();
        let entry = state.containers.get_mut(id).unwrap();
        entry.status.state = ContainerState::ContainerExited as i32;
        entry.status.exit_code = code;
        entry.status.finished_at = now_ns();
        drop(state);
        self.emit(id, ContainerEventType::ContainerStoppedEvent);
    }

    fn emit(&self, container: &str, kind: ContainerEventType) {
        let state = self.state.lock();
        let sandbox = state
            .containers
            .get(container)
            .and_then(|e| state.sandboxes.get(&e.sandbox))
            .cloned();
        let event = ContainerEventResponse {
            container_id: container.to_owned(),
            container_event_type: kind as i32,
            created_at: now_ns(),
            pod_sandbox_status: sandbox,
            containers_statuses: Vec::new(),
        };
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    fn id(state: &mut State, prefix: &str) -> String {
        state.next += 1;
        format!("{prefix}{}", state.next)
    }
}

fn matches(labels: &HashMap<String, String>, wanted: &HashMap<String, String>) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}

macro_rules! unimplemented_calls {
    ($($method:ident: $request:ty => $response:ty;)*) => {
        // What `async_trait` makes of a method: it does not look into macros.
        $(fn $method<'life0, 'async_trait>(
            &'life0 self,
            _: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Answer<$response>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($method))) })
        })*
    };
}

#[tonic::async_trait]
impl RuntimeService for FakeCri {
    type GetContainerEventsStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

    async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
        Ok(Response::new(VersionResponse {
            version: "0.1.0".into(),
            runtime_name: "fake".into(),
            runtime_version: "1.0".into(),
            runtime_api_version: "v1".into(),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        let condition = |kind: &str| RuntimeCondition {
            r#type: kind.into(),
            status: true,
            ..Default::default()
        };
        let status = Some(RuntimeStatus {
            conditions: vec![condition("RuntimeReady"), condition("NetworkReady")],
        });
        Ok(Response::new(StatusResponse {
            status,
            ..Default::default()
        }))
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<RunPodSandboxRequest>,
    ) -> Answer<RunPodSandboxResponse> {
        let config = request.into_inner().config.unwrap();
        let mut state = self.state.lock();
        let id = Self::id(&mut state, "sandbox");
        let name = config.metadata.as_ref().unwrap().name.clone();
        state.calls.push(format!("run {name}"));
        state.log_dirs.insert(id.clone(), config.log_directory);
        let ip = format!("10.42.0.{}", state.next);
        state.sandboxes.insert(
            id.clone(),
            PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata,
                state: PodSandboxState::SandboxReady as i32,
                created_at: now_ns(),
                network: Some(PodSandboxNetworkStatus {
                    ip,
                    additional_ips: vec![],
                }),
                labels: config.labels,
                annotations: config.annotations,
                ..Default::default()
            },
        );
        Ok(Response::new(RunPodSandboxResponse { pod_sandbox_id: id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<StopPodSandboxRequest>,
    ) -> Answer<StopPodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        if let Some(sandbox) = self.state.lock().sandboxes.get_mut(&id) {
            sandbox.state = PodSandboxState::SandboxNotready as i32;
        }
        Ok(Response::new(StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<RemovePodSandboxRequest>,
    ) -> Answer<RemovePodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        self.state.lock().sandboxes.remove(&id);
        Ok(Response::new(RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Answer<PodSandboxStatusResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let found = self.state.lock().sandboxes.get(&id).cloned();
        let status = Some(found.ok_or_else(|| Status::not_found(id))?);
        Ok(Response::new(PodSandboxStatusResponse {
            status,
            ..Default::default()
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<ListPodSandboxRequest>,
    ) -> Answer<ListPodSandboxResponse> {
        let wanted = request
            .into_inner()
            .filter
            .unwrap_or_default()
            .label_selector;
        let state = self.state.lock();
        let items = state
            .sandboxes
            .values()
            .filter(|s| matches(&s.labels, &wanted))
            .map(|s| PodSandbox {
                id: s.id.clone(),
                metadata: s.metadata.clone(),
                state: s.state,
                created_at: s.created_at,
                labels: s.labels.clone(),
                ..Default::default()
            });
        Ok(Response::new(ListPodSandboxResponse {
            items: items.collect(),
        }))
    }

    async fn create_container(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Answer<CreateContainerResponse> {
        let request = request.into_inner();
        let config = request.config.unwrap();
        let mut state = self.state.lock();
        let id = Self::id(&mut state, "container");
        let name = config.metadata.as_ref().unwrap().name.clone();
        state.calls.push(format!("create {name}"));
        let status = ContainerStatus {
            id: id.clone(),
            metadata: config.metadata.clone(),
            state: ContainerState::ContainerCreated as i32,
            created_at: now_ns(),
            image: config.image.clone(),
            image_ref: "app@sha256:00".into(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            log_path: format!(
                "{}/{}",
                state.log_dirs[&request.pod_sandbox_id], config.log_path
            ),
            ..Default::default()
        };
        state.containers.insert(
            id.clone(),
            Entry {
                status,
                sandbox: request.pod_sandbox_id,
                config,
            },
        );
        Ok(Response::new(CreateContainerResponse { container_id: id }))
    }

    async fn start_container(
        &self,
        request: Request<StartContainerRequest>,
    ) -> Answer<StartContainerResponse> {
        let id = request.into_inner().container_id;
        let mut state = self.state.lock();
        let entry = state
            .containers
            .get_mut(&id)
            .ok_or_else(|| Status::not_found(id.clone()))?;
        entry.status.state = ContainerState::ContainerRunning as i32;
        entry.status.started_at = now_ns();
        std::fs::write(
            &entry.status.log_path,
            "2026-01-01T00:00:00Z stdout F hello\n",
        )
        .unwrap();
        let command = entry.config.command.clone();
        let name = entry.config.metadata.as_ref().unwrap().name.clone();
        state.calls.push(format!("start {name}"));
        drop(state);
        self.emit(&id, ContainerEventType::ContainerStartedEvent);
        if let [exit, code] = command.as_slice()
            && exit == "exit"
        {
            self.exit(&id, code.parse().unwrap());
        }
        Ok(Response::new(StartContainerResponse {}))
    }

    async fn stop_container(
        &self,
        request: Request<StopContainerRequest>,
    ) -> Answer<StopContainerResponse> {
        let id = request.into_inner().container_id;
        let running = {
            let mut state = self.state.lock();
            let Some(entry) = state.containers.get(&id) else {
                return Err(Status::not_found(id));
            };
            let name = entry.config.metadata.as_ref().unwrap().name.clone();
            let running = entry.status.state == ContainerState::ContainerRunning as i32;
            state.calls.push(format!("stop {name}"));
            running
        };
        if running {
            self.exit(&id, 143);
        }
        Ok(Response::new(StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<RemoveContainerRequest>,
    ) -> Answer<RemoveContainerResponse> {
        self.state
            .lock()
            .containers
            .remove(&request.into_inner().container_id);
        Ok(Response::new(RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Answer<ListContainersResponse> {
        let wanted = request
            .into_inner()
            .filter
            .unwrap_or_default()
            .label_selector;
        let state = self.state.lock();
        let containers = state
            .containers
            .values()
            .filter(|e| matches(&e.status.labels, &wanted))
            .map(|e| Container {
                id: e.status.id.clone(),
                pod_sandbox_id: e.sandbox.clone(),
                metadata: e.status.metadata.clone(),
                state: e.status.state,
                labels: e.status.labels.clone(),
                annotations: e.status.annotations.clone(),
                ..Default::default()
            });
        Ok(Response::new(ListContainersResponse {
            containers: containers.collect(),
        }))
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Answer<ContainerStatusResponse> {
        let id = request.into_inner().container_id;
        let found = self
            .state
            .lock()
            .containers
            .get(&id)
            .map(|e| e.status.clone());
        let status = Some(found.ok_or_else(|| Status::not_found(id))?);
        Ok(Response::new(ContainerStatusResponse {
            status,
            ..Default::default()
        }))
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        let name = state.containers[&request.container_id]
            .config
            .metadata
            .as_ref()
            .unwrap()
            .name
            .clone();
        state
            .calls
            .push(format!("exec {name} {}", request.cmd.join(" ")));
        let exit_code = state.exec_exit.get(&name).copied().unwrap_or(0);
        Ok(Response::new(ExecSyncResponse {
            exit_code,
            stdout: b"said no".to_vec(),
            stderr: vec![],
        }))
    }

    async fn get_container_events(
        &self,
        _: Request<GetEventsRequest>,
    ) -> Answer<Self::GetContainerEventsStream> {
        let receiver = self.events.subscribe();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn update_runtime_config(
        &self,
        _: Request<UpdateRuntimeConfigRequest>,
    ) -> Answer<UpdateRuntimeConfigResponse> {
        Ok(Response::new(UpdateRuntimeConfigResponse {}))
    }

    async fn list_container_stats(
        &self,
        _: Request<ListContainerStatsRequest>,
    ) -> Answer<ListContainerStatsResponse> {
        let state = self.state.lock();
        let stats = state.containers.values().map(|entry| {
            let metadata = entry.status.metadata.clone();
            let name = metadata.as_ref().unwrap().name.clone();
            let value = state.memory_use.get(&name).copied().unwrap_or_default();
            ContainerStats {
                attributes: Some(ContainerAttributes {
                    id: entry.status.id.clone(),
                    metadata,
                    ..Default::default()
                }),
                memory: Some(MemoryUsage {
                    usage_bytes: Some(UInt64Value { value }),
                    ..Default::default()
                }),
                ..Default::default()
            }
        });
        let stats = stats.collect();
        Ok(Response::new(ListContainerStatsResponse { stats }))
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Answer<UpdateContainerResourcesResponse> {
        let request = request.into_inner();
        let new = request.linux.unwrap();
        let mut state = self.state.lock();
        let entry = state.containers.get_mut(&request.container_id).unwrap();
        let linux = entry.config.linux.as_mut().unwrap();
        let own = linux.resources.as_mut().unwrap();
        // 0 is not given.
        for (own, new) in [
            (&mut own.cpu_shares, new.cpu_shares),
            (&mut own.cpu_quota, new.cpu_quota),
            (&mut own.memory_limit_in_bytes, new.memory_limit_in_bytes),
        ] {
            if new != 0 {
                *own = new;
            }
        }
        let name = entry.config.metadata.as_ref().unwrap().name.clone();
        state.calls.push(format!("resize {name}"));
        Ok(Response::new(UpdateContainerResourcesResponse {}))
    }

    unimplemented_calls! {
        reopen_container_log: ReopenContainerLogRequest => ReopenContainerLogResponse;
        exec: ExecRequest => ExecResponse;
        attach: AttachRequest => AttachResponse;
        port_forward: PortForwardRequest => PortForwardResponse;
        container_stats: ContainerStatsRequest => ContainerStatsResponse;
        pod_sandbox_stats: PodSandboxStatsRequest => PodSandboxStatsResponse;
        list_pod_sandbox_stats: ListPodSandboxStatsRequest => ListPodSandboxStatsResponse;
        checkpoint_container: CheckpointContainerRequest => CheckpointContainerResponse;
        list_metric_descriptors: ListMetricDescriptorsRequest => ListMetricDescriptorsResponse;
        list_pod_sandbox_metrics: ListPodSandboxMetricsRequest => ListPodSandboxMetricsResponse;
        runtime_config: RuntimeConfigRequest => RuntimeConfigResponse;
    }
}

#[tonic::async_trait]
impl ImageService for FakeCri {
    async fn list_images(&self, _: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
        let images = self
            .state
            .lock()
            .images
            .iter()
            .map(|name| image(name))
            .collect();
        Ok(Response::new(ListImagesResponse { images }))
    }

    async fn image_status(
        &self,
        request: Request<ImageStatusRequest>,
    ) -> Answer<ImageStatusResponse> {
        let name = request.into_inner().image.unwrap().image;
        let image = self
            .state
            .lock()
            .images
            .iter()
            .find(|i| **i == name)
            .map(|n| image(n));
        Ok(Response::new(ImageStatusResponse {
            image,
            ..Default::default()
        }))
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Answer<PullImageResponse> {
        let request = request.into_inner();
        let name = request.image.unwrap().image;
        let user = request.auth.unwrap_or_default().username;
        let mut state = self.state.lock();
        state.calls.push(format!("pull {name}"));
        if state.registry.get(&name) != Some(&user) {
            return Err(Status::not_found(format!("{name}: not found")));
        }
        state.images.push(name.clone());
        Ok(Response::new(PullImageResponse { image_ref: name }))
    }

    async fn remove_image(&self, _: Request<RemoveImageRequest>) -> Answer<RemoveImageResponse> {
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<ImageFsInfoRequest>) -> Answer<ImageFsInfoResponse> {
        Ok(Response::new(ImageFsInfoResponse::default()))
    }
}

fn image(name: &str) -> Image {
    Image {
        id: name.to_owned(),
        repo_tags: vec![name.to_owned()],
        size: 7,
        uid: Some(Int64Value { value: 0 }),
        ..Default::default()
    }
}
