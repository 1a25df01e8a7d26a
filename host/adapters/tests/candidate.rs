//! A component that is being tried out is not shown as the plugin of its kind: neither while it is
//! loaded and rehearsed nor after it failed, and one that takes over only from that moment on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use k3s_adapters::bundled::{self, Bundled};
use k3s_adapters::cni::{CniOptions, open_cni};
use k3s_adapters::ingress::{IngressOptions, open_ingress};
use k3s_adapters::load_balancer::{LoadBalancerOptions, open_load_balancer};
use k3s_adapters::storage::{StorageOptions, open_storage};
use k3s_battery::{Environment, Replaceable, SwapError};
use k3s_plugin_host::{CallError, Host, HostOptions, Source};
use k3s_podnetwork::{FakeNode, Grants, Ipam};
use serde_json::{Value, json};

/// Names of plugins that were shown as serving, at any change of what is shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<BTreeSet<String>>>);

impl Shown {
    fn watch(host: &Host) -> Self {
        let shown = Self::default();
        let (host_again, seen) = (host.clone(), shown.clone());
        host.on_change(move || seen.0.lock().unwrap().extend(serving(&host_again)));
        shown
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }
}

fn serving(host: &Host) -> Vec<String> {
    let all = host.status().into_iter();
    all.filter(|status| status.in_use)
        .map(|status| status.name)
        .collect()
}

/// A host that compiles a component once, however often it is loaded.
fn host() -> (Host, tempfile::TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let options = HostOptions {
        cache_dir: Some(cache.path().join("code")),
        ..HostOptions::default()
    };
    (Host::new(options).unwrap(), cache)
}

/// Replaces a plugin by itself under another name: first with a configuration that it refuses, then
/// with one that it accepts.
async fn is_shown_from_adoption_on(
    battery: &dyn Replaceable,
    host: &Host,
    plugin: &Bundled,
    config: &Value,
) {
    let shown = Shown::watch(host);
    let candidate = Source {
        name: "candidate",
        ..plugin.source()
    };
    let mut unknown = config.clone();
    unknown["no-such-setting"] = 1.into();
    let refused = battery
        .replace(host, candidate, unknown.to_string().into_bytes())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, SwapError::Call(CallError::Refused { .. })),
        "{refused}"
    );
    assert_eq!(shown.names(), [plugin.folder], "the candidate failed");
    assert_eq!(serving(host), [plugin.folder]);
    battery
        .replace(host, candidate, config.to_string().into_bytes())
        .await
        .unwrap();
    assert_eq!(serving(host), ["candidate"], "it took over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_network_is_shown_from_adoption_on() {
    let (host, folder) = host();
    let plugin = bundled::find("cni", "flannel").unwrap();
    let config = json!({"network": "10.42.0.0/16"});
    let grants = Grants::for_networks(vec!["10.42.0.0/16".parse().unwrap()]);
    let options = CniOptions {
        config: config.to_string().into_bytes(),
        ipam: Ipam::new(folder.path().join("leases")),
        net: Arc::new(FakeNode::new(grants)),
        environment: Environment::system(),
    };
    let network = open_cni(&host, plugin.source(), options).unwrap();
    is_shown_from_adoption_on(network.battery(), &host, plugin, &config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_controller_is_shown_from_adoption_on() {
    let (host, _folder) = host();
    let plugin = bundled::find("ingress", "traefik").unwrap();
    let options = IngressOptions {
        config: Vec::new(),
        environment: Environment::system(),
    };
    let compiler = open_ingress(&host, plugin.source(), options).unwrap();
    is_shown_from_adoption_on(compiler.battery(), &host, plugin, &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_is_shown_from_adoption_on() {
    let (host, _folder) = host();
    let plugin = bundled::find("load-balancer", "klipper").unwrap();
    let options = LoadBalancerOptions {
        config: Vec::new(),
        environment: Environment::system(),
    };
    let balancer = open_load_balancer(&host, plugin.source(), options).unwrap();
    is_shown_from_adoption_on(balancer.battery(), &host, plugin, &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_provisioner_is_shown_from_adoption_on() {
    let (host, folder) = host();
    let plugin = bundled::find("storage", "local-path").unwrap();
    let root = folder.path().join("storage");
    let paths = json!([{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [root]}]);
    let config = json!({"nodePathMap": paths});
    let options = StorageOptions {
        config: config.to_string().into_bytes(),
        roots: vec![root],
        environment: Environment::system(),
    };
    let provisioner = open_storage(&host, plugin.source(), options).unwrap();
    is_shown_from_adoption_on(provisioner.battery(), &host, plugin, &config).await;
}
