//! The composition of `k3s server`: what is started in which order, and stopped in reverse.
//!
//! Order: machine checks → plugins and store → identities on disk → API → listener → controllers,
//! scheduler, service load balancer → manifests directory → the node of this process
//! ([`crate::node`]). Each stage has a task group of its own; a stage that fails stops those before it.

mod address;
mod bootstrap;
mod context;
mod control_plane;
mod controller_metrics;
mod datastore;
mod identity;
mod kubeconfig;
mod load_balancer;
mod manifests;
mod notify;
mod preflight;
mod supervisor;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k3s_base::Clock;
use k3s_config::ServerSettings;
use k3s_deploy::Manifests;
use k3s_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::ambient::Ambient;
use crate::node::context::NodeContext;
use crate::node::local::{self, LocalNode};
use crate::node::{self, Node, kernel, storage};
use crate::plugins::reload::{self, Reread};
use crate::plugins::{Plugins, reload::Swaps};
use crate::stages::{Stage, Stages};
use bootstrap::Bootstrap;
use context::ServerContext;
use control_plane::{ControlPlane, Datastore};

pub(crate) use datastore::Place;
pub(crate) use preflight::ServerLock;

const DATASTORE: Stage = Stage {
    name: "datastore",
    stop_within: Duration::from_secs(2),
};
const API: Stage = Stage {
    name: "API server",
    stop_within: Duration::from_secs(4),
};
const CONTROL_PLANE: Stage = Stage {
    name: "control plane",
    stop_within: Duration::from_secs(1),
};
const NODE: Stage = Stage {
    name: "node",
    stop_within: Duration::from_secs(2),
};

/// What must be kept while the server runs; dropped in this order.
struct Running {
    /// The node's address, where it is the machine's and not a setting.
    address: Option<IpAddr>,
    _node: Option<Node>,
    _lock: ServerLock,
}

/// The signals that end the server.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What a reload needs: its signal, and how to read the settings again.
struct Reload {
    hangup: Signal,
    reread: Reread,
}

/// Why the server has ended, where nothing has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A signal of this name.
    Signal(&'static str),
    /// The machine has another address, that certificates, endpoints and listeners have to be made for.
    AddressChanged,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Signal(name) => name,
            Self::AddressChanged => "the address changed",
        }
    }
}

/// Runs the server until a signal, a failure, or a change of the machine's address.
pub(crate) async fn run(settings: ServerSettings, clock: Clock, reread: Reread) -> Result<End> {
    preflight::check(!settings.disable_agent)?;
    kubeconfig::check(&settings.kubeconfig)?;
    let mut signals = StopSignals::listen()?;
    let reload = Reload {
        // From the beginning, since the default of this signal is to end the process.
        hangup: signal(SignalKind::hangup())?,
        reread,
    };
    let mut stages = Stages::default();
    let ambient = Ambient::new(clock, stages.begin(DATASTORE));
    let started = tokio::select! {
        started = start(settings, &ambient, &mut stages, reload) => started,
        _ = signals.next() => Err(anyhow!("stopped while starting")),
    };
    let (running, outcome) = match started {
        Ok(running) => {
            let end = wait_for_end(&mut signals, &stages, running.address).await;
            (Some(running), end)
        }
        Err(error) => (None, Err(error)),
    };
    info!("stopping");
    stages.stop().await;
    drop(running);
    let end = outcome?;
    info!(reason = end.reason(), "server stopped");
    Ok(end)
}

/// What ends the server, or the stage that failed.
async fn wait_for_end(
    signals: &mut StopSignals,
    stages: &Stages,
    address: Option<IpAddr>,
) -> Result<End> {
    tokio::select! {
        signal = signals.next() => Ok(End::Signal(signal)),
        () = address::changed(address) => Ok(End::AddressChanged),
        stage = stages.first_failure() => bail!("a task of the {stage} failed; see the log"),
    }
}

async fn start(
    settings: ServerSettings,
    ambient: &Ambient,
    stages: &mut Stages,
    reload: Reload,
) -> Result<Running> {
    let plugins = Plugins::read(&settings).await?;
    let listener = preflight::bind(SocketAddr::new(settings.bind_address, settings.https_port))?;
    let server_dir = settings.data_dir.join("server");
    std::fs::create_dir_all(&server_dir)
        .with_context(|| format!("make folder {}", server_dir.display()))?;
    let lock = ServerLock::acquire(&server_dir)?;
    let datastore = Datastore::open(&settings, ambient, &plugins.datastore).await?;
    let server = identify(settings, ambient, &datastore.store).await?;
    let is_set = !server.settings.node.node_ips.is_empty();
    let address = (!is_set).then(|| server.local.address());
    ambient.timeline.ready("identities");

    let plane =
        control_plane::start(&server, ambient, stages, plugins, datastore, listener).await?;
    let url = kubeconfig::server_url(&server.settings);
    kubeconfig::write(&server.settings, &server.identity, &url)?;
    let control = ambient.in_stage(plane.tasks.clone());
    manifests::release_ingresses(&server, &plane.clients).await;
    let manifests = manifests::start(&server, &control, &plane)?;
    let (swaps, events) = (server.swaps.clone(), plane.plugin_events.clone());
    let node = if server.settings.disable_agent {
        warn!("--disable-agent: no node runs in this process");
        None
    } else {
        let ambient = ambient.in_stage(stages.begin(NODE));
        let context = node_context(server, plane, manifests, ambient)?;
        Some(node::start(&context).await?)
    };
    reload::start(reload.hangup, reload.reread, swaps, events, &control.tasks);
    notify::ready();
    Ok(Running {
        address,
        _node: node,
        _lock: lock,
    })
}

/// Who this server is: its node's name and addresses, its certificates, tokens and keys.
async fn identify(
    settings: ServerSettings,
    ambient: &Ambient,
    store: &Store,
) -> Result<ServerContext> {
    let local = LocalNode::find(&settings.node, &ambient.random)?;
    local::ensure_password(&ambient.random)?;
    let bootstrap = Bootstrap::load(store, &settings)?;
    let identity = identity::ensure(&settings, &local, ambient)?;
    bootstrap
        .save(identity.token.password(), &ambient.random)
        .await?;
    if !settings.disable_agent {
        kernel::prepare();
    }
    Ok(ServerContext {
        settings: Arc::new(settings),
        local,
        identity,
        swaps: Swaps::default(),
    })
}

/// The node of this process: its clients call the API in process.
fn node_context(
    server: ServerContext,
    plane: ControlPlane,
    manifests: Manifests,
    ambient: Ambient,
) -> Result<NodeContext> {
    let settings = &server.settings;
    Ok(NodeContext {
        identity: identity::issue_node(&server, &ambient)?,
        local: server.local,
        settings: settings.node.clone(),
        cluster: settings.cluster.clone(),
        clients: plane.clients,
        plugin_host: plane.plugin_host,
        batteries: plane.batteries,
        swaps: server.swaps,
        service_forwards: plane.service_forwards,
        // From the manifest, the plugin's settings get into the cluster.
        on_storage_config: Arc::new(move |config| manifests.replace(&storage::manifest(config))),
        control_plane: true,
        command: "server",
        ambient,
    })
}
