//! What the node knows of itself. The node's status task writes it, eviction adds its pressure,
//! everything else reads.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_client::Object;
use k3s_cri::v1;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::info::Machine;
use crate::container::security::Features;
use crate::node::pressure::NodePressure;
use crate::qos::Amounts;

/// What the runtime reports to be ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) runtime: bool,
    pub(crate) network: bool,
}

impl Readiness {
    /// Whether pods may start: those of the host's network are what brings up the pod network.
    pub(crate) fn admits(self, host_network: bool) -> bool {
        self.network || (host_network && self.runtime)
    }
}

/// There where the kernel has SELinux and it is switched on.
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// See the module.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) machine: Machine,
    pub(crate) ips: Vec<IpAddr>,
    ip_texts: Vec<String>,
    root_dir: PathBuf,
    has_selinux: bool,
    runtime: Mutex<Arc<v1::StatusResponse>>,
    object: watch::Sender<Option<Object>>,
    readiness: watch::Sender<Readiness>,
    pods_synced: AtomicBool,
    pressure: Mutex<NodePressure>,
    report: Notify,
}

impl NodeState {
    /// `root_dir` lies on the file system that pods' local storage comes from.
    pub(crate) fn new(machine: Machine, ips: Vec<IpAddr>, root_dir: PathBuf) -> Self {
        Self {
            machine,
            ip_texts: ips.iter().map(ToString::to_string).collect(),
            ips,
            root_dir,
            has_selinux: Path::new(SELINUX).exists(),
            runtime: Mutex::default(),
            object: watch::Sender::new(None),
            readiness: watch::Sender::default(),
            pods_synced: AtomicBool::new(false),
            pressure: Mutex::default(),
            report: Notify::new(),
        }
    }

    /// Addresses as text, primary first.
    pub(crate) fn ip_texts(&self) -> &[String] {
        &self.ip_texts
    }

    /// What pods may use in all. Nothing is reserved for the system, as K3s reserves nothing.
    pub(crate) fn allocatable(&self) -> Amounts {
        Amounts {
            milli_cpu: self.machine.cpus * 1000,
            memory_bytes: self.machine.memory_bytes,
            ephemeral_bytes: i64::try_from(self.disk_bytes()).unwrap_or(i64::MAX),
        }
    }

    /// Capacity of the file system that local storage comes from; 0 where it cannot be read.
    pub(crate) fn disk_bytes(&self) -> u64 {
        k3s_sys::volume::usage(&self.root_dir).map_or(0, |usage| usage.capacity_bytes)
    }

    /// The Node as last seen.
    pub(crate) fn object(&self) -> Option<Object> {
        self.object.borrow().clone()
    }

    pub(crate) fn set_object(&self, node: Object) {
        self.object.send_replace(Some(node));
    }

    /// Resolves once the Node exists in the API.
    pub(crate) async fn registered(&self) {
        let mut object = self.object.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _always = object.wait_for(Option::is_some).await;
    }

    /// What the runtime says it can do, and what the kernel asks for.
    pub(crate) fn features(&self) -> Features {
        let runtime = self.runtime.lock();
        let default_handler = runtime.runtime_handlers.iter().find(|h| h.name.is_empty());
        let features = default_handler.and_then(|handler| handler.features.as_ref());
        Features {
            recursive_read_only: features.is_some_and(|f| f.recursive_read_only_mounts),
            supplemental_groups_policy: runtime
                .features
                .as_ref()
                .is_some_and(|f| f.supplemental_groups_policy),
            selinux: self.has_selinux,
        }
    }

    /// What the runtime last reported; empty while it does not answer.
    pub(crate) fn runtime(&self) -> Arc<v1::StatusResponse> {
        self.runtime.lock().clone()
    }

    /// Stores what the runtime reports and notifies those who wait for its readiness.
    pub(crate) fn set_runtime(&self, status: v1::StatusResponse) {
        let ready = |kind: &str| {
            let conditions = status.status.iter().flat_map(|s| &s.conditions);
            conditions.into_iter().any(|c| c.r#type == kind && c.status)
        };
        let readiness = Readiness {
            runtime: ready("RuntimeReady"),
            network: ready("NetworkReady"),
        };
        *self.runtime.lock() = Arc::new(status);
        self.readiness.send_if_modified(|current| {
            let changed = *current != readiness;
            *current = readiness;
            changed
        });
    }

    /// The readiness of runtime and network, to read and to wait for.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// The runtime answers and says it is ready.
    pub(crate) fn runtime_ready(&self) -> bool {
        self.readiness.borrow().runtime
    }

    /// What the node is short of, as the eviction manager last found it.
    pub(crate) fn pressure(&self) -> NodePressure {
        *self.pressure.lock()
    }

    /// Takes what the node is short of; a change is reported at once.
    pub(crate) fn set_pressure(&self, pressure: NodePressure) {
        let before = std::mem::replace(&mut *self.pressure.lock(), pressure);
        if before != pressure {
            self.report.notify_one();
        }
    }

    /// Whether the first list of pods is in.
    pub(crate) fn pods_synced(&self) -> bool {
        self.pods_synced.load(Ordering::SeqCst)
    }

    pub(crate) fn set_pods_synced(&self) {
        self.pods_synced.store(true, Ordering::SeqCst);
        self.report.notify_one();
    }

    /// Resolves when there is something new to report in the node's status.
    pub(crate) async fn report_due(&self) {
        self.report.notified().await;
    }
}
