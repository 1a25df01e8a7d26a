//! One sandbox: starting its shim and connecting it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_base::error::chain;
use k3s_cri::v1::{
    self, ContainerEventType, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxState,
};
use parking_lot::Mutex;

use super::manager::{Manager, remove_tree, sandbox_name};
use super::record::SandboxRecord;
use crate::error::{Context, Error, Result};
use crate::network::{PortMapping, Protocol, SandboxNetwork};
use crate::shim::protocol::{IDENTITY, Request, StartShim, identity};
use crate::spec;

/// What K3s configures containerd to set in every pod's network: its processes may listen on low ports
/// and send ICMP echo without privileges.
const POD_SYSCTLS: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

/// A sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    record: Mutex<SandboxRecord>,
    /// Its shim answers.
    pub(crate) alive: AtomicBool,
    /// Changes of one sandbox follow each other.
    pub(crate) busy: tokio::sync::Mutex<()>,
}

impl Sandbox {
    pub(crate) fn new(record: SandboxRecord) -> Arc<Self> {
        Arc::new(Self {
            record: Mutex::new(record),
            alive: AtomicBool::new(false),
            busy: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn record(&self) -> SandboxRecord {
        self.record.lock().clone()
    }

    pub(crate) fn id(&self) -> String {
        self.record.lock().id.clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut SandboxRecord)) -> SandboxRecord {
        let mut record = self.record.lock();
        change(&mut record);
        record.clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.alive.load(Ordering::SeqCst) && !self.record.lock().stopped
    }

    fn state(&self) -> i32 {
        let state = if self.is_ready() {
            PodSandboxState::SandboxReady
        } else {
            PodSandboxState::SandboxNotready
        };
        state as i32
    }

    pub(crate) fn to_cri(&self) -> v1::PodSandbox {
        let (state, record) = (self.state(), self.record.lock());
        v1::PodSandbox {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            state,
            created_at: record.created_at_ns,
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            runtime_handler: record.handler.clone(),
        }
    }

    pub(crate) fn to_status(&self) -> v1::PodSandboxStatus {
        let (state, record) = (self.state(), self.record.lock());
        let mut ips = record.ips.iter().cloned();
        v1::PodSandboxStatus {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            state,
            created_at: record.created_at_ns,
            network: Some(v1::PodSandboxNetworkStatus {
                ip: ips.next().unwrap_or_default(),
                additional_ips: ips.map(|ip| v1::PodIp { ip }).collect(),
            }),
            linux: Some(v1::LinuxPodSandboxStatus {
                namespaces: Some(v1::Namespace {
                    options: Some(namespace_options(&record.config)),
                }),
            }),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            runtime_handler: record.handler.clone(),
        }
    }
}

/// The pod's namespace options, or the defaults of the protocol.
pub(crate) fn namespace_options(config: &PodSandboxConfig) -> NamespaceOption {
    let security = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    security
        .and_then(|security| security.namespace_options.clone())
        .unwrap_or_default()
}

pub(crate) fn host_network(config: &PodSandboxConfig) -> bool {
    namespace_options(config).network == NamespaceMode::Node as i32
}

/// A sandbox as its network knows it.
pub(crate) fn network_of(record: &SandboxRecord) -> SandboxNetwork {
    let metadata = record.config.metadata.clone().unwrap_or_default();
    let ports = record
        .config
        .port_mappings
        .iter()
        .filter(|port| port.host_port > 0)
        .filter_map(|port| {
            Some(PortMapping {
                protocol: match v1::Protocol::try_from(port.protocol).ok()? {
                    v1::Protocol::Tcp => Protocol::Tcp,
                    v1::Protocol::Udp => Protocol::Udp,
                    v1::Protocol::Sctp => Protocol::Sctp,
                },
                container_port: u16::try_from(port.container_port).ok()?,
                host_port: u16::try_from(port.host_port).ok()?,
                host_ip: port.host_ip.parse().ok(),
            })
        });
    SandboxNetwork {
        id: record.id.clone(),
        netns_path: record.netns.clone().unwrap_or_default(),
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        port_mappings: ports.collect(),
        annotations: record.config.annotations.clone().into_iter().collect(),
    }
}

impl Manager {
    /// `RunPodSandbox`.
    pub(crate) async fn run_sandbox(
        self: &Arc<Self>,
        config: PodSandboxConfig,
        handler: String,
    ) -> Result<String> {
        // K3s names the runtimes that it finds on a node; only its own exists here.
        if !matches!(handler.as_str(), "" | "runc") {
            return Err(Error::Invalid(format!(
                "no runtime for {handler:?} is configured"
            )));
        }
        spec::refuse::sandbox(&config)?;
        let metadata = config
            .metadata
            .clone()
            .ok_or_else(|| Error::Invalid("sandbox config must include metadata".into()))?;
        let id = self.new_id();
        self.reserve(sandbox_name(&metadata), &id)?;
        let netns = (!host_network(&config)).then(|| self.new_netns());
        let record = SandboxRecord {
            id: id.clone(),
            config,
            created_at_ns: self.now_ns(),
            netns,
            handler,
            ..SandboxRecord::default()
        };
        match self.start_sandbox(record.clone()).await {
            Ok(()) => Ok(id),
            Err(error) => {
                if let Err(cleanup) = self.undo_sandbox(&record).await {
                    tracing::warn!(
                        sandbox = id,
                        error = chain(&cleanup),
                        "a failed sandbox left something behind"
                    );
                }
                self.forget_sandbox(&id);
                self.release(&id);
                Err(error)
            }
        }
    }

    /// `cni-` and a UUID below the configured folder, as containerd names them.
    fn new_netns(&self) -> PathBuf {
        let random = hex::encode(self.config.random.bytes::<16>());
        let part = |from: usize, to: usize| random.get(from..to).unwrap_or_default();
        self.config.netns_dir.join(format!(
            "cni-{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        ))
    }

    async fn start_sandbox(self: &Arc<Self>, mut record: SandboxRecord) -> Result<()> {
        self.save_sandbox(&record)?;
        let dir = self.sandbox_dir(&record.id);
        k3s_sys::fs::create_dirs(&dir, 0o700).context(|| format!("make {}", dir.display()))?;
        if !record.config.log_directory.is_empty() {
            k3s_sys::fs::create_dirs(Path::new(&record.config.log_directory), 0o755)
                .context(|| format!("make {}", record.config.log_directory))?;
        }
        record.pids = self.zygote.start(&start_request(&record, dir)?).await?;
        if record.netns.is_some() {
            record.ips = self
                .config
                .network
                .add(&network_of(&record))
                .await?
                .0
                .iter()
                .map(ToString::to_string)
                .collect();
        }
        record.complete = true;
        self.save_sandbox(&record)?;
        let id = record.id.clone();
        let sandbox = self.insert_sandbox(record);
        sandbox.alive.store(true, Ordering::SeqCst);
        self.follow(&id).await?;
        for kind in [
            ContainerEventType::ContainerCreatedEvent,
            ContainerEventType::ContainerStartedEvent,
        ] {
            self.emit(&id, &id, kind);
        }
        Ok(())
    }

    /// Removes everything that a sandbox has; safe to repeat.
    pub(crate) async fn undo_sandbox(&self, record: &SandboxRecord) -> Result<()> {
        self.end_shim(record).await?;
        if let Some(netns) = &record.netns {
            self.config.network.del(&network_of(record)).await?;
            let path = netns.clone();
            let released =
                tokio::task::spawn_blocking(move || k3s_sys::namespace::release(&path)).await;
            released
                .map_err(std::io::Error::other)
                .and_then(|result| result)
                .context(|| format!("release {}", netns.display()))?;
        }
        remove_tree(&self.sandbox_dir(&record.id)).await?;
        k3s_sys::fs::remove_all(&self.sandbox_record_path(&record.id))
            .context(|| "remove the sandbox's record".into())
    }

    /// Ends the shim: by asking, or when it does not answer by force.
    pub(crate) async fn end_shim(&self, record: &SandboxRecord) -> Result<()> {
        let dir = self.sandbox_dir(&record.id);
        if !dir.exists() {
            return Ok(());
        }
        if let Err(error) = self.shim(&record.id).call(&Request::Shutdown).await {
            tracing::debug!(
                sandbox = record.id,
                error = chain(&error),
                "the shim does not answer; killing it"
            );
            let recorded = std::fs::read_to_string(dir.join(IDENTITY)).unwrap_or_default();
            if recorded == identity(record.pids.shim) {
                for pid in [record.pids.init, Some(record.pids.shim)]
                    .into_iter()
                    .flatten()
                {
                    k3s_sys::process::kill(pid, nix::libc::SIGKILL)
                        .context(|| format!("kill the shim {pid}"))?;
                }
            }
        }
        Ok(())
    }
}

fn start_request(record: &SandboxRecord, dir: PathBuf) -> Result<StartShim> {
    let options = namespace_options(&record.config);
    let host_network = host_network(&record.config);
    let mut sysctls: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    if !host_network {
        sysctls.extend(POD_SYSCTLS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let wanted = record.config.linux.iter().flat_map(|linux| &linux.sysctls);
    for (name, value) in wanted {
        let shared_ipc = spec::mode(options.ipc)? == NamespaceMode::Node;
        if !is_namespaced(name, host_network, shared_ipc) {
            return Err(Error::Invalid(format!(
                "sysctl {name:?} is not of the pod's own namespaces"
            )));
        }
        sysctls.insert(name.clone(), value.clone());
    }
    Ok(StartShim {
        sandbox: record.id.clone(),
        dir,
        netns: record.netns.clone(),
        ipc: spec::mode(options.ipc)? != NamespaceMode::Node,
        hostname: (!host_network)
            .then(|| record.config.hostname.clone())
            .filter(|name| !name.is_empty())
            .or((!host_network).then(String::new)),
        pid: spec::mode(options.pid)? == NamespaceMode::Pod,
        sysctls,
    })
}

/// Setting any other parameter would change the node (runc, `libcontainer/configs/validate`).
fn is_namespaced(name: &str, host_network: bool, host_ipc: bool) -> bool {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let plain = !name.contains('/') && !name.contains("..");
    plain
        && ((!host_network && name.starts_with("net."))
            || (!host_ipc && (IPC.contains(&name) || name.starts_with("fs.mqueue."))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_parameters_are_set() {
        assert!(is_namespaced("net.core.somaxconn", false, false));
        assert!(!is_namespaced("net.core.somaxconn", true, false));
        assert!(is_namespaced("kernel.shmmax", false, false));
        assert!(!is_namespaced("kernel.panic", false, false));
        assert!(!is_namespaced("net./../kernel.panic", false, false));
    }
}
