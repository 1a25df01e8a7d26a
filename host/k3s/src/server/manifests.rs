//! The manifests directory, and what the server itself puts there.

use k3s_client::ClientFactory;
use k3s_deploy::{ManifestsConfig, Packaged, USER};
use k3s_lifecycle::Tasks;

use super::Shared;
use super::control_plane::component_client;

/// Starts following `server/manifests`.
pub(crate) fn start(shared: &Shared, clients: &ClientFactory, tasks: &Tasks) {
    let settings = &shared.settings;
    let dns = settings.cluster_dns.to_string();
    let variables = [
        ("CLUSTER_DNS", dns.clone()),
        ("CLUSTER_DNS_LIST", format!("[{dns}]")),
        ("CLUSTER_DNS_IPFAMILYPOLICY", "SingleStack".to_owned()),
        ("CLUSTER_DOMAIN", settings.cluster_domain.clone()),
        ("DEFAULT_LOCAL_STORAGE_PATH", settings.default_local_storage_path.display().to_string()),
        // No system component runs from an image.
        ("SYSTEM_DEFAULT_REGISTRY", String::new()),
        ("SYSTEM_DEFAULT_REGISTRY_RAW", String::new()),
    ];
    let config = ManifestsConfig {
        dir: settings.data_dir.join("server/manifests"),
        client: component_client(clients, USER),
        disabled: settings.disabled.clone(),
        packaged: packaged(),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    k3s_deploy::start(config, tasks);
    shared.timeline.ready("manifests");
}

/// Manifests that the server brings, one entry per component, by the name that `--disable` knows it by.
fn packaged() -> Vec<Packaged> {
    Vec::new()
}
