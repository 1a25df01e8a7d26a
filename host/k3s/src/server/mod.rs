//! The composition of `k3s server`: what is started in which order, and stopped in reverse.
//!
//! Order: machine checks → identities on disk → plugins and store → API → listener → controllers,
//! scheduler, service load balancer → manifests directory → pod network, runtime → kubelet, service
//! proxy, storage, DNS, ingress. Each stage has a task group of its own; a stage that fails stops those
//! before it.

pub(crate) mod control_plane;
mod datastore;
pub(crate) mod identity;
mod kubeconfig;
mod load_balancer;
mod manifests;
mod notify;
mod preflight;
mod supervisor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k3s_base::{Clock, Random};
use k3s_config::{PackagedComponent, ServerSettings};
use k3s_lifecycle::Tasks;
use k3s_observe::{Metrics, Timeline};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::node::{self, ingress, kernel};
use crate::plugins::{self, reload::Swaps};

pub(crate) use datastore::Place;
pub(crate) use preflight::ServerLock;

/// How long each stage may take to stop; together they stay below the 10 s that a user waits.
const STOP_NODE: Duration = Duration::from_secs(2);
const STOP_CONTROL: Duration = Duration::from_secs(1);
const STOP_API: Duration = Duration::from_secs(4);
const STOP_STORE: Duration = Duration::from_secs(2);

/// What every stage needs.
pub(crate) struct Shared {
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) metrics: Metrics,
    pub(crate) timeline: Timeline,
    pub(crate) swaps: Swaps,
}

impl Shared {
    /// Whether `--disable` leaves a component out.
    pub(crate) fn is_disabled(&self, component: PackagedComponent) -> bool {
        self.settings.cluster.disabled.contains(component)
    }
}

/// What must be kept while the server runs; dropped in this order.
struct Running {
    _node: Option<node::Node>,
    _lock: ServerLock,
}

/// One task group per stage, stopped from the last to the first.
struct Stages {
    store: Tasks,
    api: Tasks,
    control: Tasks,
    node: Tasks,
}

impl Stages {
    fn new() -> Self {
        let root = |name| Tasks::root(name);
        Self {
            store: root("store"),
            api: root("api"),
            control: root("control"),
            node: root("node"),
        }
    }

    async fn stop(&self) {
        for (tasks, deadline) in [
            (&self.node, STOP_NODE),
            (&self.control, STOP_CONTROL),
            (&self.api, STOP_API),
            (&self.store, STOP_STORE),
        ] {
            tasks.stop(deadline).await;
        }
    }
}

/// Runs the server until a signal or a failure.
pub(crate) async fn run(
    settings: ServerSettings,
    clock: Clock,
    reread: plugins::reload::Reread,
) -> Result<()> {
    preflight::check(!settings.disable_agent)?;
    kubeconfig::check(&settings.kubeconfig)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // From the beginning, since its default is to end the process.
    let hangup = signal(SignalKind::hangup())?;
    let shared = Shared {
        timeline: Timeline::start(clock.clone()),
        random: Random::from_os(),
        metrics: Metrics::new(),
        swaps: Swaps::default(),
        settings: Arc::new(settings),
        clock,
    };
    let stages = Stages::new();
    let started = tokio::select! {
        started = start(&shared, &stages, Reload { hangup, reread }) => started,
        _ = terminate.recv() => bail_stopped(),
        _ = interrupt.recv() => bail_stopped(),
    };
    let outcome = match started {
        Ok(running) => {
            let outcome = tokio::select! {
                _ = terminate.recv() => Ok("SIGTERM"),
                _ = interrupt.recv() => Ok("SIGINT"),
                failed = first_failure(&stages) => Err(failed),
            };
            stop(&stages).await;
            drop(running);
            outcome
        }
        Err(error) => {
            stop(&stages).await;
            return Err(error);
        }
    };
    match outcome {
        Ok(reason) => {
            info!(reason, "server stopped");
            Ok(())
        }
        Err(stage) => bail!("a task of {stage} failed; see the log"),
    }
}

fn bail_stopped() -> Result<Running> {
    bail!("stopped while starting")
}

async fn stop(stages: &Stages) {
    info!("stopping");
    stages.stop().await;
}

/// The first stage in which a task panicked.
async fn first_failure(stages: &Stages) -> &'static str {
    tokio::select! {
        () = stages.store.failed().cancelled_owned() => "the datastore",
        () = stages.api.failed().cancelled_owned() => "the API server",
        () = stages.control.failed().cancelled_owned() => "the control plane",
        () = stages.node.failed().cancelled_owned() => "the node",
    }
}

/// What a reload needs: its signal, and the settings read anew.
struct Reload {
    hangup: Signal,
    reread: plugins::reload::Reread,
}

async fn start(shared: &Shared, stages: &Stages, reload: Reload) -> Result<Running> {
    let settings = &*shared.settings;
    let plugins = plugins::Plugins::read(settings).await?;
    let listener = preflight::bind(SocketAddr::new(settings.bind_address, settings.https_port))?;
    let server_dir = settings.data_dir.join("server");
    std::fs::create_dir_all(&server_dir)
        .with_context(|| format!("make folder {}", server_dir.display()))?;
    let lock = ServerLock::take(&server_dir)?;
    let node_identity = identity::NodeIdentity::find(settings)?;
    let identity = identity::ensure(shared, &node_identity)?;
    if !settings.disable_agent {
        kernel::prepare();
    }
    shared.timeline.ready("identities");

    let plane = control_plane::start(
        shared,
        stages_ref(stages),
        &identity,
        &node_identity,
        plugins,
        listener,
    )
    .await?;
    let url = kubeconfig::server_url(settings);
    kubeconfig::write(settings, &identity, &url)?;
    // Before the manifest of the class goes, by which one sees what was served here.
    ingress::release(shared, &plane).await;
    let manifests = manifests::start(shared, &plane, &stages.control)?;
    let node = if settings.disable_agent {
        warn!("--disable-agent: no node runs in this process");
        None
    } else {
        Some(
            node::start(
                shared,
                &stages.node,
                &identity,
                &node_identity,
                &plane,
                manifests,
            )
            .await?,
        )
    };
    plugins::reload::start(
        reload.hangup,
        reload.reread,
        shared.swaps.clone(),
        plane.plugin_events,
        &stages.control,
    );
    notify::ready();
    Ok(Running {
        _node: node,
        _lock: lock,
    })
}

/// The groups of the control plane's stages.
fn stages_ref(stages: &Stages) -> control_plane::Groups<'_> {
    control_plane::Groups {
        store: &stages.store,
        api: &stages.api,
        control: &stages.control,
    }
}
