//! Datastore, API server, listener, controllers and scheduler.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use k3s_apiserver::{
    ApiServer, ApiServerConfig, ApiService, DirectDialer, StaticToken, VersionInfo,
};
use k3s_client::ClientFactory;
use k3s_config::ServerSettings;
use k3s_controllers::{Controllers, ControllersConfig};
use k3s_lifecycle::Tasks;
use k3s_pki::{client_config, server_config};
use k3s_plugin_host::{Host, HostOptions, PluginMetrics};
use k3s_registry::{Registry, View};
use k3s_resources::core::service::ServiceSettings;
use k3s_scheduler::{Scheduler, SchedulerConfig, plugins::default_profile};
use k3s_serve::{Listener, ServeOptions};
use k3s_store::{Store, StoreOptions};

use super::context::ServerContext;
use super::controller_metrics::ControllerMetrics;
use super::datastore::Place;
use super::load_balancer;
use super::supervisor::Supervisor;
use super::{API, CONTROL_PLANE};
use crate::ambient::Ambient;
use crate::clients;
use crate::node::context::NodeBatteries;
use crate::node::service_forwards::ServiceForwards;
use crate::node::{ingress, storage};
use crate::plugins::status::{self, PluginEvents, Publisher};
use crate::plugins::{Component, Plugins};
use crate::stages::Stages;
use crate::version::{BUILD_DATE, COMMIT, VERSION};

/// A node's share of the pod network (K3s: /24 of a /16).
const NODE_CIDR_MASK: u8 = 24;

/// What the rest of the server needs of the control plane.
pub(crate) struct ControlPlane {
    pub(crate) clients: ClientFactory,
    pub(crate) plugin_host: Host,
    pub(crate) plugin_events: PluginEvents,
    /// The batteries that run on the node.
    pub(crate) batteries: NodeBatteries,
    /// What this process' node forwards for LoadBalancer Services.
    pub(crate) service_forwards: Arc<ServiceForwards>,
    /// The stage's tasks.
    pub(crate) tasks: Tasks,
}

/// The datastore, opened before this server has an identity, which is kept there too.
pub(crate) struct Datastore {
    pub(crate) plugin_host: Host,
    pub(crate) store: Store,
    registry: Registry,
}

impl Datastore {
    pub(crate) async fn open(
        settings: &ServerSettings,
        ambient: &Ambient,
        component: &Component,
    ) -> Result<Self> {
        let plugin_host = Host::new(HostOptions {
            cache_dir: Some(settings.data_dir.join("server/plugins")),
            metrics: PluginMetrics::registered(&ambient.metrics),
        })?;
        let services = ServiceSettings {
            cidrs: vec![IpNet::V4(settings.cluster.service_cidr)],
            node_ports: settings.node_ports.clone(),
        };
        let resources = k3s_resources::resources(services, &ambient.random);
        let options = StoreOptions {
            extract: View::extractor(&resources),
            ..StoreOptions::default()
        };
        let (clock, random) = (ambient.clock.clone(), ambient.random.clone());
        let place = Place::of(&settings.datastore, &settings.data_dir);
        let backend = place.open(&plugin_host, component, &clock, &random).await?;
        let store = Store::open(Arc::new(backend), options, clock.clone(), &ambient.tasks)
            .await
            .with_context(|| place.to_string())?;
        let registry =
            Registry::new(store.clone(), resources, clock, random).context("read the datastore")?;
        ambient.timeline.ready("datastore");
        Ok(Self {
            plugin_host,
            store,
            registry,
        })
    }
}

/// Starts the control plane's stages. `ambient` is of the datastore's, which has begun.
pub(crate) async fn start(
    server: &ServerContext,
    ambient: &Ambient,
    stages: &mut Stages,
    plugins: Plugins,
    datastore: Datastore,
    listener: TcpListener,
) -> Result<ControlPlane> {
    let Datastore {
        plugin_host,
        registry,
        ..
    } = datastore;
    server.swaps.add_fixed(&plugins.datastore);

    let api = ambient.in_stage(stages.begin(API));
    let service = start_api(server, &api, registry.clone()).await?;
    ambient.timeline.ready("apiserver");
    listen(server, &api, &service, listener)?;
    ambient.timeline.ready("listener");

    let control = ambient.in_stage(stages.begin(CONTROL_PLANE));
    let clients = ClientFactory::in_process(service);
    let plugin_events = publish_plugins(server, &control, &plugin_host, registry, &clients);
    start_controllers(server, &control, &clients);
    start_scheduler(server, &control, &clients);
    let service_forwards = Arc::new(ServiceForwards::new(&server.local.name));
    load_balancer::start(
        server,
        &control,
        &clients,
        &plugin_host,
        &plugins.load_balancer,
        service_forwards.clone(),
    )?;
    Ok(ControlPlane {
        clients,
        plugin_host,
        plugin_events,
        batteries: NodeBatteries {
            cni: plugins.cni,
            storage: plugins.storage,
            ingress: plugins.ingress,
        },
        service_forwards,
        tasks: control.tasks,
    })
}

/// Starts to show the plugins' state in the API.
fn publish_plugins(
    server: &ServerContext,
    ambient: &Ambient,
    host: &Host,
    registry: Registry,
    clients: &ClientFactory,
) -> PluginEvents {
    let events = PluginEvents::new(
        clients::for_supervisor(clients),
        &server.local.name,
        ambient.clock.clone(),
        &ambient.tasks,
    );
    let publisher = Publisher {
        host: host.clone(),
        registry,
        swaps: server.swaps.clone(),
        events: events.clone(),
        clock: ambient.clock.clone(),
    };
    status::start(publisher, &ambient.tasks);
    events
}

async fn start_api(
    server: &ServerContext,
    ambient: &Ambient,
    registry: Registry,
) -> Result<ApiService> {
    let (settings, identity) = (&server.settings, &server.identity);
    let service_accounts = identity.service_accounts.clone();
    let config = ApiServerConfig {
        registry,
        tasks: ambient.tasks.clone(),
        metrics: ambient.metrics.clone(),
        version: VersionInfo {
            git_version: VERSION.into(),
            git_commit: COMMIT.into(),
            build_date: BUILD_DATE.into(),
        },
        audiences: vec![service_accounts.issuer().to_owned(), "k3s".into()],
        service_accounts,
        static_tokens: Vec::<StaticToken>::new(),
        kubelet_dialer: Arc::new(DirectDialer::new(&server.local.name)),
        kubelet_tls: Arc::new(client_config(
            identity.server_ca.cert_pem(),
            &identity.apiserver_client,
        )?),
        advertise_address: settings
            .advertise_address
            .unwrap_or_else(|| server.local.address()),
        advertise_port: settings.advertise_port.unwrap_or(settings.https_port),
        service_address: settings.cluster.kubernetes_service_ip().into(),
        service_cidrs: vec![settings.cluster.service_cidr.to_string()],
        without_roles: without_roles(server),
        health_checks: Vec::new(),
    };
    Ok(ApiServer::start(config).await?.service())
}

/// Roles of batteries that are left out.
fn without_roles(server: &ServerContext) -> Vec<String> {
    let roles = [
        (ingress::COMPONENT, "system:traefik"),
        (storage::COMPONENT, "local-path-provisioner-role"),
    ];
    roles
        .into_iter()
        .filter(|(component, _)| server.is_disabled(*component))
        .map(|(_, role)| role.to_owned())
        .collect()
}

fn listen(
    server: &ServerContext,
    ambient: &Ambient,
    service: &ApiService,
    listener: TcpListener,
) -> Result<()> {
    let identity = &server.identity;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let tls = server_config(&identity.serving, identity.client_ca.cert_pem())?;
    let supervisor = Supervisor::new(service.clone(), identity.server_ca.cert_pem());
    let options = ServeOptions::https(Listener::ApiServer, tls);
    let service = k3s_serve::boxed(supervisor);
    k3s_serve::serve(listener, options, service, &ambient.tasks);
    Ok(())
}

fn start_controllers(server: &ServerContext, ambient: &Ambient, clients: &ClientFactory) {
    let settings = &server.settings;
    if settings.disable_controllers {
        return;
    }
    let cluster_cidr = settings.cluster.cluster_cidr;
    let config = ControllersConfig {
        clients: clients.clone(),
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
        cluster_cidrs: vec![IpNet::V4(cluster_cidr)],
        node_cidr_mask: NODE_CIDR_MASK.max(cluster_cidr.prefix_len()),
        node_cidr_mask_v6: 64,
        root_ca_pem: server.identity.server_ca.cert_pem().to_owned(),
        service_accounts: server.identity.service_accounts.clone(),
        cloud_node: !settings.disable_cloud_controller,
    };
    let controllers = Controllers::start(config, &ambient.tasks);
    ambient.metrics.register(|registry| {
        registry.register_collector(Box::new(ControllerMetrics(move || controllers.statuses())));
    });
    ambient.timeline.ready("controllers");
}

fn start_scheduler(server: &ServerContext, ambient: &Ambient, clients: &ClientFactory) {
    if server.settings.disable_scheduler {
        return;
    }
    let client = clients::for_component(clients, "system:kube-scheduler");
    let config = SchedulerConfig {
        informers: ambient.informers(&client),
        client,
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
        profile: default_profile(),
    };
    Scheduler::start(config, &ambient.tasks);
    ambient.timeline.ready("scheduler");
}
