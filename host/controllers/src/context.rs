//! What every controller is made with.

use std::sync::Arc;

use ipnet::IpNet;
use k3s_base::{Clock, Random};
use k3s_client::{Client, ClientFactory, EventRecorder, Informers};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use k3s_pki::ServiceAccountKeys;
use k3s_reconcile::Statuses;

/// What the composition hands in.
#[derive(Clone, Debug)]
pub struct ControllersConfig {
    /// Makes a client per controller identity.
    pub clients: ClientFactory,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Networks of pods: at most one of each family.
    pub cluster_cidrs: Vec<IpNet>,
    /// Size of a node's part of an IPv4 cluster network.
    pub node_cidr_mask: u8,
    /// Size of a node's part of an IPv6 cluster network.
    pub node_cidr_mask_v6: u8,
    /// The CA that signs the API server's certificate, published in every namespace.
    pub root_ca_pem: String,
    /// Signs the tokens of Secrets.
    pub service_accounts: Arc<ServiceAccountKeys>,
    /// Whether the cloud-node controller (addresses, providerID, uninitialized taint) runs.
    pub cloud_node: bool,
}

/// The shared part of all controllers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) config: Arc<ControllersConfig>,
    pub(crate) informers: Informers,
    pub(crate) statuses: Statuses,
    pub(crate) tasks: Tasks,
}

impl Context {
    pub(crate) fn new(config: ControllersConfig, tasks: &Tasks) -> Self {
        // Informers read as the controller manager itself, whose role may list and watch all.
        let reader = config.clients.for_user(manager());
        let informers = Informers::new(reader, config.clock.clone(), config.random.clone(), tasks);
        Self {
            config: Arc::new(config),
            informers,
            statuses: Statuses::default(),
            tasks: tasks.clone(),
        }
    }

    /// A client of the controller manager itself, for what no single account may do.
    pub(crate) fn manager(&self) -> Client {
        self.config.clients.for_user(manager())
    }

    /// A client with a controller's own service account (`deployment-controller`).
    pub(crate) fn client(&self, service_account: &str) -> Client {
        self.config.clients.for_controller(service_account)
    }

    /// A recorder that writes as a controller; `component` is the name in the events.
    pub(crate) fn recorder(&self, client: &Client, component: &str) -> EventRecorder {
        EventRecorder::new(
            client.clone(),
            component,
            "",
            self.config.clock.clone(),
            &self.tasks,
        )
    }

    pub(crate) fn clock(&self) -> Clock {
        self.config.clock.clone()
    }
}

fn manager() -> UserInfo {
    UserInfo::new("system:kube-controller-manager", ["system:authenticated"])
}
