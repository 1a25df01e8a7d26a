//! The manifests directory, and the manifests that the server itself writes there: the objects of its
//! batteries, as AddOns that users see, skip and disable as on K3s.

use anyhow::Result;
use k3s_base::error::chain;
use k3s_client::ClientFactory;
use k3s_deploy::{Manifests, ManifestsConfig, Packaged, USER};
use tracing::warn;

use super::context::ServerContext;
use super::control_plane::ControlPlane;
use crate::ambient::Ambient;
use crate::clients;
use crate::node::{dns, ingress, storage};

/// Starts following `server/manifests`.
pub(crate) fn start(
    server: &ServerContext,
    ambient: &Ambient,
    plane: &ControlPlane,
) -> Result<Manifests> {
    let settings = &server.settings;
    let config = ManifestsConfig {
        dir: settings.data_dir.join("server/manifests"),
        client: clients::for_component(&plane.clients, USER),
        disabled: settings.cluster.disabled.names().to_vec(),
        packaged: packaged(server, plane)?,
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
    };
    let manifests = k3s_deploy::start(config, &ambient.tasks);
    ambient.timeline.ready("manifests");
    Ok(manifests)
}

/// What the server brings, one entry per component, by the name that `--disable` knows it by.
fn packaged(server: &ServerContext, plane: &ControlPlane) -> Result<Vec<Packaged>> {
    let cluster = &server.settings.cluster;
    let storage = storage::config(&cluster.local_storage_path, &plane.batteries.storage)?;
    let dns = k3s_dns::service(cluster.cluster_dns, dns::PORT);
    Ok(vec![
        storage::manifest(&storage),
        Packaged::new(ingress::COMPONENT.name()).file("traefik.yaml", &k3s_ingress::objects()),
        Packaged::new(dns::COMPONENT.name()).file("coredns.yaml", &[dns]),
    ])
}

/// With `--disable traefik`: removes the addresses from Ingresses that were served before. Runs before
/// the manifest of the class is removed, since the class identifies those Ingresses.
pub(crate) async fn release_ingresses(server: &ServerContext, clients: &ClientFactory) {
    if !server.is_disabled(ingress::COMPONENT) {
        return;
    }
    let client = clients::for_component(clients, USER);
    if let Err(error) = k3s_ingress::release(&client).await {
        let error = chain(&error);
        warn!(error, "cannot remove the addresses of Ingresses");
    }
}
