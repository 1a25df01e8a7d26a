//! Datastore, API server, listener, controllers and scheduler.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use k3s_apiserver::{
    ApiServer, ApiServerConfig, ApiService, DirectDialer, StaticToken, VersionInfo,
};
use k3s_client::{Client, ClientFactory, Informers};
use k3s_controllers::{Controllers, ControllersConfig};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use k3s_netproxy::Forwards;
use k3s_pki::{ServerIdentity, client_config, server_config};
use k3s_plugin_host::{Host, HostOptions, PluginMetrics};
use k3s_registry::service::ServiceSettings;
use k3s_registry::{Registry, RegistryConfig};
use k3s_scheduler::{Scheduler, SchedulerConfig, plugins::default_profile};
use k3s_store::{Store, StoreOptions};

use super::datastore::Place;
use super::identity::NodeIdentity;
use super::supervisor::Supervisor;
use super::{Shared, load_balancer};
use crate::node::{ingress, storage};
use crate::plugins::status::{self, PluginEvents, Publisher};
use crate::plugins::{Component, Plugins};
use crate::version::{BUILD_DATE, COMMIT, VERSION};

/// A node's share of the pod network (K3s: /24 of a /16).
const NODE_CIDR_MASK: u8 = 24;

/// The task groups of the stages.
pub(crate) struct Groups<'a> {
    pub(crate) store: &'a Tasks,
    pub(crate) api: &'a Tasks,
    pub(crate) control: &'a Tasks,
}

/// What the node needs of the control plane.
pub(crate) struct ControlPlane {
    pub(crate) clients: ClientFactory,
    pub(crate) plugin_host: Host,
    pub(crate) plugin_events: PluginEvents,
    pub(crate) cni: Component,
    pub(crate) storage: Component,
    /// What this process' node answers for load balancers.
    pub(crate) forwards: Forwards,
    pub(crate) ingress: Component,
}

pub(crate) async fn start(
    shared: &Shared,
    groups: Groups<'_>,
    identity: &ServerIdentity,
    node: &NodeIdentity,
    plugins: Plugins,
    listener: TcpListener,
) -> Result<ControlPlane> {
    let plugin_host = Host::new(HostOptions {
        cache_dir: Some(shared.settings.data_dir.join("server/plugins")),
        metrics: PluginMetrics::registered(&shared.metrics),
    })?;
    let registry = open_registry(shared, &plugin_host, &plugins.datastore, groups.store).await?;
    shared.timeline.ready("datastore");
    shared.swaps.add_fixed(&plugins.datastore);
    let service = start_api(shared, identity, node, registry.clone(), groups.api).await?;
    shared.timeline.ready("apiserver");
    listen(identity, &service, listener, groups.api)?;
    shared.timeline.ready("listener");
    let clients = ClientFactory::in_process(service);
    let plugin_events = publish_plugins(
        shared,
        node,
        &plugin_host,
        registry,
        &clients,
        groups.control,
    );
    start_controllers(shared, identity, &clients, groups.control);
    let forwards = Forwards::default();
    let this_node = load_balancer::ThisNode {
        name: node.name.clone(),
        forwards: forwards.clone(),
    };
    load_balancer::start(
        shared,
        groups.control,
        &clients,
        &plugin_host,
        &plugins.load_balancer,
        this_node,
    )?;
    let Plugins {
        cni,
        storage,
        ingress,
        ..
    } = plugins;
    Ok(ControlPlane {
        clients,
        plugin_host,
        plugin_events,
        cni,
        storage,
        ingress,
        forwards,
    })
}

/// Starts to show the plugins' state in the API.
fn publish_plugins(
    shared: &Shared,
    node: &NodeIdentity,
    host: &Host,
    registry: Registry,
    clients: &ClientFactory,
    tasks: &Tasks,
) -> PluginEvents {
    let user = UserInfo::new(
        "system:k3s-supervisor",
        ["system:masters", "system:authenticated"],
    );
    let events = PluginEvents::new(
        clients.for_user(user),
        &node.name,
        shared.clock.clone(),
        tasks,
    );
    let publisher = Publisher {
        host: host.clone(),
        registry,
        swaps: shared.swaps.clone(),
        events: events.clone(),
        clock: shared.clock.clone(),
    };
    status::start(publisher, tasks);
    events
}

async fn open_registry(
    shared: &Shared,
    host: &Host,
    component: &Component,
    tasks: &Tasks,
) -> Result<Registry> {
    let settings = &shared.settings;
    let place = Place::of(&settings.datastore, &settings.data_dir);
    let backend = place
        .open(host, component, &shared.clock, &shared.random)
        .await?;
    let prepared = Registry::prepare(RegistryConfig {
        clock: shared.clock.clone(),
        random: shared.random.clone(),
        services: ServiceSettings {
            cidrs: vec![IpNet::V4(settings.cluster.service_cidr)],
            node_ports: settings.node_ports.clone(),
        },
    });
    let options = StoreOptions {
        extract: prepared.extract(),
        ..StoreOptions::default()
    };
    let store = Store::open(Arc::new(backend), options, shared.clock.clone(), tasks)
        .await
        .with_context(|| place.to_string())?;
    prepared.finish(store).context("read the datastore")
}

async fn start_api(
    shared: &Shared,
    identity: &ServerIdentity,
    node: &NodeIdentity,
    registry: Registry,
    tasks: &Tasks,
) -> Result<ApiService> {
    let settings = &shared.settings;
    let service_accounts = identity.service_accounts.clone();
    let config = ApiServerConfig {
        registry,
        tasks: tasks.clone(),
        metrics: shared.metrics.clone(),
        version: VersionInfo {
            git_version: VERSION.into(),
            git_commit: COMMIT.into(),
            build_date: BUILD_DATE.into(),
        },
        audiences: vec![service_accounts.issuer().to_owned(), "k3s".into()],
        service_accounts,
        static_tokens: Vec::<StaticToken>::new(),
        kubelet_dialer: Arc::new(DirectDialer),
        kubelet_tls: Arc::new(client_config(
            identity.server_ca.cert_pem(),
            &identity.apiserver_client,
        )?),
        advertise_address: settings.advertise_address.unwrap_or_else(|| node.address()),
        advertise_port: settings.advertise_port.unwrap_or(settings.https_port),
        service_address: settings.cluster.kubernetes_service_ip().into(),
        service_cidrs: vec![settings.cluster.service_cidr.to_string()],
        without_roles: without_roles(shared),
        health_checks: Vec::new(),
    };
    Ok(ApiServer::start(config).await?.service())
}

/// Roles of batteries that are left out.
fn without_roles(shared: &Shared) -> Vec<String> {
    let roles = [
        (ingress::COMPONENT, "system:traefik"),
        (storage::COMPONENT, "local-path-provisioner-role"),
    ];
    roles
        .into_iter()
        .filter(|(component, _)| shared.is_disabled(*component))
        .map(|(_, role)| role.to_owned())
        .collect()
}

fn listen(
    identity: &ServerIdentity,
    service: &ApiService,
    listener: TcpListener,
    tasks: &Tasks,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let tls = server_config(&identity.serving, identity.client_ca.cert_pem())?;
    let supervisor = Supervisor::new(service.clone(), identity.server_ca.cert_pem());
    k3s_serve::serve(listener, tls, k3s_serve::boxed(supervisor), tasks);
    Ok(())
}

fn start_controllers(
    shared: &Shared,
    identity: &ServerIdentity,
    clients: &ClientFactory,
    tasks: &Tasks,
) {
    let settings = &shared.settings;
    if !settings.disable_controllers {
        let config = ControllersConfig {
            clients: clients.clone(),
            clock: shared.clock.clone(),
            random: shared.random.clone(),
            cluster_cidrs: vec![IpNet::V4(settings.cluster.cluster_cidr)],
            node_cidr_mask: NODE_CIDR_MASK.max(settings.cluster.cluster_cidr.prefix_len()),
            node_cidr_mask_v6: 64,
            root_ca_pem: identity.server_ca.cert_pem().to_owned(),
            cloud_node: !settings.disable_cloud_controller,
        };
        let _controllers = Controllers::start(config, tasks);
        shared.timeline.ready("controllers");
    }
    if !settings.disable_scheduler {
        let client = component_client(clients, "system:kube-scheduler");
        Scheduler::start(
            SchedulerConfig {
                informers: Informers::new(
                    client.clone(),
                    shared.clock.clone(),
                    shared.random.clone(),
                    tasks,
                ),
                client,
                clock: shared.clock.clone(),
                random: shared.random.clone(),
                profile: default_profile(),
            },
            tasks,
        );
        shared.timeline.ready("scheduler");
    }
}

/// A client that speaks as a component of the control plane.
pub(crate) fn component_client(clients: &ClientFactory, name: &str) -> Client {
    clients.for_user(UserInfo::new(name, ["system:authenticated"]))
}
