//! The node agent: registers the node, runs its pods through CRI v1, reports their state, serves
//! logs, exec and statistics on 10250.
//!
//! It speaks to the API with the node's own identity and to the runtime over its socket only, also
//! to the embedded one, so either can be replaced.
//!
//! Invariants: one worker task per pod is alone in touching that pod's containers; a pod's object is
//! deleted only after everything of it is gone from the node; stopping this process stops no pod.
//!
//! Tasks: node status, node lease, pod manager, runtime events, eviction, log rotation, image collection, the
//! HTTPS server, and per pod a worker and its probers.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod cgroup;
mod config;
mod container;
mod context;
mod cri;
mod error;
mod events;
mod eviction;
mod hook;
mod image;
mod labels;
mod logs;
mod node;
mod pod;
mod probe;
mod server;
mod volume;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use k3s_client::{Client, Informers, Scope, resources};
use k3s_lifecycle::Tasks;
use tokio::net::TcpListener;

pub use config::KubeletConfig;
pub use error::KubeletError;
pub use eviction::{EvictionSettings, EvictionSettingsError};

/// A running kubelet. It stops with the tasks it was started under.
pub struct Kubelet {
    address: SocketAddr,
}

impl Kubelet {
    /// Starts the kubelet: returns once the runtime has answered and the port is open. The node is
    /// registered by a task; its Ready condition says when it is up.
    ///
    /// `client` carries the identity `system:node:<name>` in group `system:nodes`. `supervisor` may
    /// set the role label, which NodeRestriction denies to the node itself.
    ///
    /// # Errors
    /// See [`KubeletError`].
    pub async fn start(
        config: KubeletConfig,
        client: Client,
        supervisor: Option<Client>,
        cri_endpoint: &str,
        tasks: &Tasks,
    ) -> Result<Self, KubeletError> {
        let tasks = tasks.child("kubelet");
        prepare(&config)?;
        let tls = server::tls(&config)?;
        let listener =
            TcpListener::bind(config.listen)
                .await
                .map_err(|source| KubeletError::Listen {
                    address: config.listen,
                    source,
                })?;
        let address = listener
            .local_addr()
            .map_err(|source| KubeletError::Listen {
                address: config.listen,
                source,
            })?;
        let ctx = context(
            config,
            client,
            supervisor,
            cri_endpoint,
            address.port(),
            tasks,
        )
        .await?;
        node::start(&ctx);
        pod::manager::start(&ctx);
        eviction::start(&ctx);
        ctx.tasks
            .spawn("log rotation", logs::rotate::run(ctx.clone()));
        ctx.tasks
            .spawn("image collection", image::gc::run(ctx.clone()));
        if let Some(healthz) = ctx.config.healthz {
            server::start_healthz(&ctx, healthz).await;
        }
        server::start(&ctx, listener, tls);
        Ok(Self { address })
    }

    /// Where HTTPS is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn context(
    config: KubeletConfig,
    client: Client,
    supervisor: Option<Client>,
    cri_endpoint: &str,
    port: u16,
    tasks: Tasks,
) -> Result<context::Ctx, KubeletError> {
    let cri = cri::Cri::connect(cri_endpoint).await?;
    let version = cri
        .version()
        .await
        .map_err(|e| KubeletError::RuntimeCall(e.message))?;
    let ips = if config.node_ips.is_empty() {
        vec![node::info::default_route_address().ok_or(KubeletError::NoAddress)?]
    } else {
        config.node_ips.clone()
    };
    let cgroups =
        cgroup::Cgroups::prepare(&config).map_err(|e| KubeletError::Cgroup(e.to_string()))?;
    let informers = Informers::new(
        client.clone(),
        config.clock.clone(),
        config.random.clone(),
        &tasks,
    );
    let own_pods = Scope::fields(format!("spec.nodeName={}", config.node_name));
    Ok(Arc::new(context::Context {
        services: informers.all(&resources::SERVICES),
        pod_objects: informers.of(&resources::PODS, own_pods),
        resync: tokio::sync::Notify::new(),
        informers,
        events: events::Events::new(
            client.clone(),
            &config.node_name,
            config.clock.clone(),
            &tasks,
        ),
        node: node::NodeState::new(node::Machine::read(), ips),
        images: image::Images::new(config.parallel_pulls),
        tokens: volume::token::Tokens::default(),
        pods: pod::table::Table::default(),
        port: AtomicU16::new(port),
        runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
        runtime_name: version.runtime_name,
        client,
        supervisor,
        cri,
        cgroups,
        config,
        tasks,
    }))
}

/// The directories the kubelet lives in. Pods' directories are not for others to read.
fn prepare(config: &KubeletConfig) -> Result<(), KubeletError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KubeletError::Directory { path, source }
    };
    for (path, mode) in [
        (config.root_dir.clone(), 0o750),
        (config.root_dir.join("pods"), 0o750),
        (config.pod_log_dir.clone(), 0o755),
    ] {
        std::fs::create_dir_all(&path).map_err(failed(&path))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .map_err(failed(&path))?;
    }
    Ok(())
}
