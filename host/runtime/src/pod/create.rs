//! `CreateContainer` and `StartContainer`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use k3s_cri::v1::{ContainerConfig, ContainerEventType, NamespaceMode, PodSandboxConfig};

use super::container::Container;
use super::manager::{Manager, container_name, remove_tree};
use super::record::{ContainerRecord, SandboxRecord};
use super::sandbox::{Sandbox, host_network, namespace_options};
use crate::error::{Context, Error, Result, ShimFailure};
use crate::image::model::Image;
use crate::shim::protocol::{ContainerState, Create, Phase, Request, Rootfs};
use crate::spec::{self, Inputs, Namespaces};

/// Goes before the image's own signal; CRI has no field for it before its 1.33.
const STOP_SIGNAL: &str = "io.kubernetes.container.stopSignal";

impl Manager {
    /// Makes a container ready to start; its root file system is mounted, nothing runs.
    pub(crate) async fn create_container(
        self: &Arc<Self>,
        sandbox: &str,
        config: ContainerConfig,
        pod: Option<PodSandboxConfig>,
    ) -> Result<String> {
        let sandbox = self.sandbox(sandbox)?;
        if !sandbox.is_ready() {
            return Err(Error::Precondition(format!(
                "sandbox {} is not running",
                sandbox.id()
            )));
        }
        let metadata = config
            .metadata
            .clone()
            .ok_or_else(|| Error::Invalid("container config must include metadata".into()))?;
        let id = self.new_id();
        let pod_metadata = sandbox.record().config.metadata.unwrap_or_default();
        self.reserve(container_name(&metadata, &pod_metadata), &id)?;
        let created = self.prepare_container(&sandbox, &id, config, pod).await;
        if created.is_err() {
            self.forget_container(&id);
            self.release(&id);
            let _ = remove_tree(&self.container_dir(&id)).await;
            let _ = remove_tree(&self.config.state.join("containers").join(&id)).await;
        }
        created?;
        self.emit(
            &sandbox.id(),
            &id,
            ContainerEventType::ContainerCreatedEvent,
        );
        Ok(id)
    }

    async fn prepare_container(
        &self,
        sandbox: &Sandbox,
        id: &str,
        config: ContainerConfig,
        pod: Option<PodSandboxConfig>,
    ) -> Result<()> {
        let name = config
            .image
            .as_ref()
            .map(|image| image.image.clone())
            .unwrap_or_default();
        let image = self
            .images
            .resolve(&name)
            .ok_or_else(|| Error::not_found("image", &name))?;
        let _lease = self.images.snapshots.lease(&image.chain);
        let sandbox_record = sandbox.record();
        let pod = pod.unwrap_or_else(|| sandbox_record.config.clone());
        let record = self.new_record(id, &sandbox_record, config, &image);
        let bundle = self.container_dir(id);
        let inputs = Inputs {
            config: &record.config,
            sandbox: &pod,
            image: &image.config,
            namespaces: self.namespaces(&sandbox_record, &record.config)?,
            rootfs: &self.rootfs(id),
            cgroup: &record.cgroup,
        };
        let document = spec::build(&inputs)?;
        let create = self.create_request(&inputs, &record, &image)?;
        make_dirs(&bundle, &self.rootfs(id))?;
        let write = || "write the OCI specification".to_owned();
        let bytes = serde_json::to_vec(&document)
            .map_err(std::io::Error::other)
            .context(write)?;
        k3s_sys::fs::write_replace(&bundle.join("config.json"), &bytes, 0o600).context(write)?;
        self.save_container(&record)?;
        self.insert_container(record);
        self.shim(&sandbox_record.id)
            .call(&Request::Create(Box::new(create)))
            .await
    }

    fn new_record(
        &self,
        id: &str,
        sandbox: &SandboxRecord,
        config: ContainerConfig,
        image: &Image,
    ) -> ContainerRecord {
        let parent = sandbox
            .config
            .linux
            .as_ref()
            .map(|linux| linux.cgroup_parent.clone())
            .filter(|parent| !parent.is_empty());
        let parent = parent.unwrap_or_else(|| self.config.default_cgroup_parent.clone());
        let log_path = (!config.log_path.is_empty() && !sandbox.config.log_directory.is_empty())
            .then(|| Path::new(&sandbox.config.log_directory).join(&config.log_path));
        let resources = config
            .linux
            .as_ref()
            .and_then(|linux| linux.resources.clone())
            .unwrap_or_default();
        ContainerRecord {
            id: id.to_owned(),
            sandbox: sandbox.id.clone(),
            image_id: image.id.clone(),
            image_ref: image.digests.first().unwrap_or(&image.id).clone(),
            chain: image.chain.clone(),
            created_at_ns: self.now_ns(),
            stop_signal: config
                .annotations
                .get(STOP_SIGNAL)
                .unwrap_or(&image.config.stop_signal)
                .clone(),
            log_path,
            cgroup: format!("{}/{id}", parent.trim_end_matches('/')),
            resources,
            state: ContainerState {
                id: id.to_owned(),
                ..ContainerState::default()
            },
            config,
        }
    }

    fn create_request(
        &self,
        inputs: &Inputs<'_>,
        record: &ContainerRecord,
        image: &Image,
    ) -> Result<Create> {
        let bundle = self.container_dir(&record.id);
        let mut limits = spec::resources::limits(&record.resources);
        limits.devices = Some(spec::devices::rules(&record.config)?);
        Ok(Create {
            id: record.id.clone(),
            rootfs: Rootfs {
                layers_dir: self.images.snapshots.dir().to_path_buf(),
                lowers: image.chain.iter().rev().map(PathBuf::from).collect(),
                upper: bundle.join("upper"),
                work: bundle.join("work"),
                target: inputs.rootfs.to_path_buf(),
            },
            bundle,
            user: spec::user_request(&spec::security(&record.config), inputs.image)?,
            cgroup: record.cgroup.clone(),
            limits,
            log_path: record.log_path.clone(),
            tty: record.config.tty,
            stdin: record.config.stdin,
            stdin_once: record.config.stdin_once,
            kill_group: inputs.namespaces.host_pid || inputs.namespaces.pid_of.is_some(),
        })
    }

    fn namespaces(&self, sandbox: &SandboxRecord, config: &ContainerConfig) -> Result<Namespaces> {
        let pod_options = namespace_options(&sandbox.config);
        let options = spec::security(config)
            .namespace_options
            .unwrap_or_else(|| pod_options.clone());
        let pid_of = match spec::mode(options.pid)? {
            NamespaceMode::Pod => Some(sandbox.pids.init.ok_or_else(|| {
                Error::Precondition("the pod has no PID namespace to share".into())
            })?),
            NamespaceMode::Target => {
                let target = self.container(&options.target_id)?;
                let (owner, pid) = target.with(|record| (record.sandbox.clone(), record.state.pid));
                if owner != sandbox.id || target.phase() != Phase::Running {
                    return Err(Error::Precondition(format!(
                        "container {:?} is not a running container of this pod",
                        options.target_id
                    )));
                }
                Some(pid)
            }
            NamespaceMode::Container | NamespaceMode::Node => None,
        };
        Ok(Namespaces {
            shim: sandbox.pids.shim,
            pid_of,
            host_pid: spec::mode(options.pid)? == NamespaceMode::Node,
            host_network: host_network(&sandbox.config),
            host_ipc: spec::mode(pod_options.ipc)? == NamespaceMode::Node,
        })
    }

    /// Runs a created container's process.
    pub(crate) async fn start_container(&self, id: &str) -> Result<()> {
        let container = self.container(id)?;
        let _busy = container.busy.lock().await;
        let (id, sandbox) = container.with(|record| (record.id.clone(), record.sandbox.clone()));
        if container.phase() != Phase::Created {
            return Err(Error::Precondition(format!(
                "container {id} is in state {:?}",
                container.phase()
            )));
        }
        if !self.sandbox(&sandbox)?.alive.load(Ordering::SeqCst) {
            return Err(Error::Precondition(format!(
                "sandbox {sandbox} of container {id} is not running"
            )));
        }
        let started = self
            .shim(&sandbox)
            .call(&Request::Start { id: id.clone() })
            .await;
        started.map_err(|error| match error {
            Error::Shim(ShimFailure::Refused(source)) => {
                ShimFailure::StartContainer { id, source }.into()
            }
            other => other,
        })?;
        // The state comes over the subscription, which may be a moment later than the answer.
        self.await_state(&container).await;
        Ok(())
    }

    async fn await_state(&self, container: &Container) {
        /// The shim sends the state before it answers; this only covers being scheduled late.
        const LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
        let _ = tokio::time::timeout(LIMIT, container.left_created()).await;
    }
}

fn make_dirs(bundle: &Path, rootfs: &Path) -> Result<()> {
    // The upper directory becomes the container's root, which its users enter.
    let dirs = [
        (bundle.to_path_buf(), 0o700),
        (bundle.join("upper"), 0o755),
        (bundle.join("work"), 0o700),
        (rootfs.to_path_buf(), 0o700),
    ];
    for (dir, mode) in dirs {
        k3s_sys::fs::create_dirs(&dir, mode).context(|| format!("make {}", dir.display()))?;
    }
    Ok(())
}
