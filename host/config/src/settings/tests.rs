//! Defaults, and a bad value for every flag that checks its values.

use super::*;
use crate::component::PackagedComponent;

fn resolve(text: &str) -> Result<(ServerSettings, Warnings), ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "").unwrap();
    let mut words = vec!["--config".to_owned(), config.display().to_string()];
    words.extend(text.split_whitespace().map(str::to_owned));
    ServerSettings::resolve(&crate::parse_server(&words, &|_| None)?)
}

#[test]
fn defaults_are_those_of_k3s() {
    let (s, warnings) = resolve("").unwrap();
    assert!(warnings.is_empty());
    assert_eq!(s.data_dir, PathBuf::from("/var/lib/rancher/k3s"));
    assert_eq!((s.https_port, s.kubeconfig_mode), (6443, 0o600));
    assert_eq!(s.cluster.cluster_dns.to_string(), "10.43.0.10");
    assert_eq!(s.node_ports, 30000..=32767);
    assert_eq!(s.cluster.cluster_domain, "cluster.local");
    assert_eq!(s.cluster.flannel_backend, FlannelBackend::Vxlan);
    assert_eq!(s.node.resolv_conf, PathBuf::from("/etc/resolv.conf"));
}

#[test]
fn an_empty_value_asks_for_the_default() {
    let (s, _) = resolve("--data-dir= --node-name= --advertise-address=").unwrap();
    assert_eq!(s.data_dir, PathBuf::from("/var/lib/rancher/k3s"));
    assert_eq!((&s.node.node_name, s.advertise_address), (&None, None));
}

#[test]
fn bad_values_name_their_flag() {
    for (text, part) in [
        ("--https-listen-port 0", "--https-listen-port"),
        ("--bind-address here", "--bind-address"),
        ("--cluster-cidr 10.42.0.1/16", "beyond its prefix"),
        ("--cluster-cidr 10.0.0.0/8", "overlaps"),
        ("--cluster-cidr 10.1.0.0/16,10.2.0.0/16", "only one IPv4"),
        ("--service-cidr 10.43.0.0/30", "too small"),
        ("--cluster-dns 10.99.0.1", "outside --service-cidr"),
        ("--service-node-port-range 5-1", "FIRST-LAST"),
        ("--write-kubeconfig-mode 999", "octal"),
        ("--node-label =x", "KEY=VALUE"),
        ("--node-taint a=b", "EFFECT"),
        ("--disable a/b", "coredns"),
        (
            "--flannel-backend none --plugin cni=/x.wasm",
            "--plugin cni",
        ),
        ("--flannel-backend calico", "vxlan, host-gw or none"),
        (
            "--flannel-backend wireguard-native",
            "--flannel-backend=wireguard-native is not supported",
        ),
        (
            "--container-runtime-endpoint tcp://127.0.0.1:1",
            "unix:///PATH",
        ),
        ("--snapshotter btrfs", "overlayfs"),
        (
            "--default-runtime crun",
            "--default-runtime=crun is not supported",
        ),
        ("--default-local-storage-path /", "absolute path"),
        ("--default-local-storage-path a/b", "absolute path"),
        ("--default-local-storage-path /a/../b", "absolute path"),
        ("--token-file /no/such", "/no/such"),
        ("--kubelet-arg max-pods=x", "--kubelet-arg"),
        ("-v loud", "expected a number"),
    ] {
        let error = resolve(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn kubelet_arguments_act_or_warn() {
    let (s, warnings) =
        resolve("--kubelet-arg max-pods=200 --kubelet-arg eviction-soft=x").unwrap();
    assert_eq!(s.node.kubelet.max_pods, Some(200));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn values_that_always_hold_are_accepted() {
    let (_, warnings) = resolve("--default-runtime runc --snapshotter overlayfs").unwrap();
    assert_eq!(warnings, Warnings::default());
}

#[test]
fn components_that_do_not_exist_warn() {
    let (s, warnings) = resolve("--disable coredns,metrics-server,mine").unwrap();
    assert!(s.cluster.disabled.contains(PackagedComponent::CoreDns));
    assert!(!s.cluster.disabled.contains(PackagedComponent::Traefik));
    assert_eq!(s.cluster.disabled.names().len(), 3);
    assert_eq!(warnings.len(), 2);
}
