//! The manifests directory, and what the server itself puts there: the objects that come with its
//! batteries, as AddOns that users see, skip and disable as on K3s.

use anyhow::Result;
use k3s_deploy::{Manifests, ManifestsConfig, Packaged, USER};
use k3s_lifecycle::Tasks;

use super::Shared;
use super::control_plane::{ControlPlane, component_client};
use crate::node::{self, ingress, storage};

/// Starts following `server/manifests`.
pub(crate) fn start(shared: &Shared, plane: &ControlPlane, tasks: &Tasks) -> Result<Manifests> {
    let settings = &shared.settings;
    let config = ManifestsConfig {
        dir: settings.data_dir.join("server/manifests"),
        client: component_client(&plane.clients, USER),
        disabled: settings.cluster.disabled.names().to_vec(),
        packaged: packaged(shared, plane)?,
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    let manifests = k3s_deploy::start(config, tasks);
    shared.timeline.ready("manifests");
    Ok(manifests)
}

/// What the server brings, one entry per component, by the name that `--disable` knows it by.
fn packaged(shared: &Shared, plane: &ControlPlane) -> Result<Vec<Packaged>> {
    let settings = &shared.settings;
    let dns = k3s_dns::service(settings.cluster.cluster_dns, node::DNS_PORT);
    Ok(vec![
        storage::manifest(&storage::config(
            &settings.cluster.local_storage_path,
            &plane.storage,
        )?),
        Packaged::new(ingress::COMPONENT.name()).file("traefik.yaml", &k3s_ingress::objects()),
        Packaged::new(node::DNS.name()).file("coredns.yaml", &[dns]),
    ])
}
