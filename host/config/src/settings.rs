//! The resolved settings of `k3s server`: defaults filled in, values checked against each other.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};

use ipnet::Ipv4Net;
use k3s_base::Secret;

use crate::datastore::{Endpoint, TlsFiles};
use crate::{ConfigError, Parsed, PluginRef};

/// What to tell the operator besides errors.
pub type Warnings = Vec<String>;

/// Components that `--disable` knows (K3s' packaged components).
const COMPONENTS: &[&str] = &[
    "coredns",
    "servicelb",
    "traefik",
    "local-storage",
    "metrics-server",
    "runtimes",
];
/// Arguments of the kubelet that act here.
const KUBELET_ARGS: &[&str] = &[
    "max-pods",
    "cgroup-root",
    "root-dir",
    "container-log-max-size",
    "container-log-max-files",
    "eviction-hard",
    "eviction-minimum-reclaim",
    "eviction-pressure-transition-period",
    "image-gc-high-threshold",
    "image-gc-low-threshold",
    "pod-max-pids",
];

/// Everything `k3s server` needs to know.
#[derive(Debug)]
pub struct ServerSettings {
    /// `<data-dir>`.
    pub data_dir: PathBuf,
    /// Tracing filter directives.
    pub log_filter: String,
    /// `--log`: a file instead of standard error.
    pub log_file: Option<PathBuf>,
    /// Both places.
    pub also_log_to_stderr: bool,
    /// `--datastore-endpoint` with its TLS files.
    pub datastore: Endpoint,
    /// Where the API listens.
    pub bind_address: IpAddr,
    /// And on which port.
    pub https_port: u16,
    /// `--advertise-address`.
    pub advertise_address: Option<IpAddr>,
    /// `--advertise-port`.
    pub advertise_port: Option<u16>,
    /// `--tls-san`.
    pub tls_sans: Vec<String>,
    /// Pods' network.
    pub cluster_cidr: Ipv4Net,
    /// Services' network.
    pub service_cidr: Ipv4Net,
    /// NodePorts.
    pub node_ports: RangeInclusive<u16>,
    /// Cluster DNS.
    pub cluster_dns: IpAddr,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// `vxlan`, `host-gw`, or `none`: CNI plugins of the operator's.
    pub flannel_backend: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Its mode.
    pub kubeconfig_mode: u32,
    /// Its group.
    pub kubeconfig_group: Option<String>,
    /// `--token`.
    pub token: Option<Secret>,
    /// `--agent-token`.
    pub agent_token: Option<Secret>,
    /// `--plugin`.
    pub plugins: Vec<PluginRef>,
    /// `--disable`.
    pub disabled: Vec<String>,
    /// `--default-local-storage-path`: where local-path volumes are.
    pub default_local_storage_path: PathBuf,
    /// Leave out the scheduler.
    pub disable_scheduler: bool,
    /// Leave out the cloud controller.
    pub disable_cloud_controller: bool,
    /// Leave out the service proxy.
    pub disable_kube_proxy: bool,
    /// Leave out the controllers.
    pub disable_controllers: bool,
    /// Leave out the node.
    pub disable_agent: bool,
    /// `--node-name`, lower case.
    pub node_name: Option<String>,
    /// Append the node id.
    pub with_node_id: bool,
    /// `key=value`.
    pub node_labels: Vec<(String, String)>,
    /// `key=value:effect`.
    pub node_taints: Vec<String>,
    /// `--node-ip`.
    pub node_ips: Vec<IpAddr>,
    /// `--node-external-ip`.
    pub node_external_ips: Vec<IpAddr>,
    /// `--resolv-conf`.
    pub resolv_conf: Option<PathBuf>,
    /// `--private-registry`.
    pub registries: PathBuf,
    /// `--disable-default-registry-endpoint`: a registry that has mirrors is asked through them only.
    pub disable_default_registry_endpoint: bool,
    /// `--container-runtime-endpoint`: somebody else's runtime.
    pub container_runtime_endpoint: Option<String>,
    /// `--kubelet-arg`, those that act.
    pub kubelet_args: Vec<(String, String)>,
    /// The words of the command line and file, for `k3s.io/node-args`.
    pub args: Vec<String>,
}

impl ServerSettings {
    /// Checks and completes what was parsed.
    ///
    /// # Errors
    /// On values of a wrong form and combinations that cannot work.
    pub fn resolve(parsed: &Parsed) -> Result<(Self, Warnings), ConfigError> {
        let mut warnings = parsed.warnings.clone();
        let service_cidr = parsed.network("service-cidr", "10.43.0.0/16")?;
        let cluster_cidr = parsed.network("cluster-cidr", "10.42.0.0/16")?;
        if cluster_cidr.contains(&service_cidr) || service_cidr.contains(&cluster_cidr) {
            return Err(ConfigError::value(
                "service-cidr",
                &service_cidr.to_string(),
                format!("overlaps --cluster-cidr {cluster_cidr}"),
            ));
        }
        let settings = Self {
            data_dir: parsed
                .one("data-dir")
                .unwrap_or("/var/lib/rancher/k3s")
                .into(),
            log_filter: log_filter(parsed)?,
            log_file: parsed.one("log").map(Into::into),
            also_log_to_stderr: parsed.switch("alsologtostderr"),
            datastore: datastore(parsed)?,
            bind_address: parsed
                .address("bind-address")?
                .unwrap_or(IpAddr::from([0, 0, 0, 0])),
            https_port: port(parsed, "https-listen-port")?.unwrap_or(6443),
            advertise_address: parsed.address("advertise-address")?,
            advertise_port: port(parsed, "advertise-port")?,
            tls_sans: parsed.many("tls-san").to_vec(),
            cluster_cidr,
            service_cidr,
            node_ports: node_ports(parsed)?,
            cluster_dns: cluster_dns(parsed, service_cidr)?,
            cluster_domain: cluster_domain(parsed)?,
            flannel_backend: flannel_backend(parsed)?,
            kubeconfig: parsed
                .one("write-kubeconfig")
                .unwrap_or("/etc/rancher/k3s/k3s.yaml")
                .into(),
            kubeconfig_mode: kubeconfig_mode(parsed)?,
            kubeconfig_group: parsed
                .one("write-kubeconfig-group")
                .filter(|g| !g.is_empty())
                .map(Into::into),
            token: secret(parsed, "token", "token-file")?,
            agent_token: secret(parsed, "agent-token", "agent-token-file")?,
            plugins: PluginRef::parse_all(parsed.many("plugin"))?,
            disabled: disabled(parsed, &mut warnings)?,
            default_local_storage_path: local_storage_path(parsed)?,
            disable_scheduler: parsed.switch("disable-scheduler"),
            disable_cloud_controller: parsed.switch("disable-cloud-controller"),
            disable_kube_proxy: parsed.switch("disable-kube-proxy"),
            disable_controllers: parsed.switch("disable-controller-manager"),
            disable_agent: parsed.switch("disable-agent"),
            node_name: parsed
                .one("node-name")
                .filter(|n| !n.is_empty())
                .map(str::to_lowercase),
            with_node_id: parsed.switch("with-node-id"),
            node_labels: node_labels(parsed)?,
            node_taints: node_taints(parsed)?,
            node_ips: parsed.addresses("node-ip")?,
            node_external_ips: parsed.addresses("node-external-ip")?,
            resolv_conf: parsed
                .one("resolv-conf")
                .filter(|p| !p.is_empty())
                .map(Into::into),
            registries: parsed
                .one("private-registry")
                .unwrap_or("/etc/rancher/k3s/registries.yaml")
                .into(),
            disable_default_registry_endpoint: parsed.switch("disable-default-registry-endpoint"),
            container_runtime_endpoint: runtime_endpoint(parsed)?,
            kubelet_args: kubelet_args(parsed, &mut warnings)?,
            args: parsed.args.clone(),
        };
        snapshotter(parsed)?;
        Ok((settings, warnings))
    }
}

fn datastore(parsed: &Parsed) -> Result<Endpoint, ConfigError> {
    let file = |name| parsed.one(name).filter(|p| !p.is_empty()).map(Into::into);
    let files = TlsFiles {
        ca: file("datastore-cafile"),
        cert: file("datastore-certfile"),
        key: file("datastore-keyfile"),
    };
    Endpoint::parse(
        "datastore-endpoint",
        parsed.one("datastore-endpoint").unwrap_or_default(),
        &files,
    )
}

fn log_filter(parsed: &Parsed) -> Result<String, ConfigError> {
    let verbosity: u8 = parsed.parse_or("v", 0, "expected a number")?;
    Ok(match (parsed.switch("debug"), verbosity) {
        (false, 0) => "info",
        (_, 5..) => "trace,h2=info,hyper=info,rustls=info,wasmtime=info,cranelift=info",
        _ => "debug,h2=info,hyper=info,rustls=info,wasmtime=info,cranelift=info",
    }
    .into())
}

fn port(parsed: &Parsed, name: &str) -> Result<Option<u16>, ConfigError> {
    let parse = |t: &str| {
        t.parse()
            .ok()
            .filter(|p| *p > 0)
            .ok_or_else(|| ConfigError::value(name, t, "expected a port from 1 to 65535"))
    };
    parsed.one(name).map(parse).transpose()
}

fn node_ports(parsed: &Parsed) -> Result<RangeInclusive<u16>, ConfigError> {
    let text = parsed
        .one("service-node-port-range")
        .unwrap_or("30000-32767");
    let bad = || ConfigError::value("service-node-port-range", text, "expected FIRST-LAST");
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let (first, last): (u16, u16) = (
        first.parse().map_err(|_| bad())?,
        last.parse().map_err(|_| bad())?,
    );
    if first > 0 && first <= last {
        Ok(first..=last)
    } else {
        Err(bad())
    }
}

fn cluster_dns(parsed: &Parsed, services: Ipv4Net) -> Result<IpAddr, ConfigError> {
    let tenth = services.hosts().nth(9).map(IpAddr::V4);
    let dns = match (parsed.addresses("cluster-dns")?.first(), tenth) {
        (Some(given), _) => *given,
        (None, Some(tenth)) => tenth,
        (None, None) => {
            return Err(ConfigError::value(
                "service-cidr",
                &services.to_string(),
                "is too small",
            ));
        }
    };
    match dns {
        IpAddr::V4(v4) if services.contains(&v4) => Ok(dns),
        _ => Err(ConfigError::value(
            "cluster-dns",
            &dns.to_string(),
            format!("is outside --service-cidr {services}"),
        )),
    }
}

fn cluster_domain(parsed: &Parsed) -> Result<String, ConfigError> {
    let domain = parsed
        .one("cluster-domain")
        .unwrap_or("cluster.local")
        .trim_end_matches('.');
    let label_is_valid = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if domain.split('.').all(label_is_valid) {
        Ok(domain.to_owned())
    } else {
        Err(ConfigError::value(
            "cluster-domain",
            domain,
            "expected a DNS name in lower case",
        ))
    }
}

fn flannel_backend(parsed: &Parsed) -> Result<String, ConfigError> {
    match parsed.one("flannel-backend").unwrap_or("vxlan") {
        "none"
            if parsed
                .many("plugin")
                .iter()
                .any(|plugin| plugin.starts_with("cni=")) =>
        {
            Err(ConfigError::value(
                "flannel-backend",
                "none",
                "a network is given with --plugin cni as well",
            ))
        }
        backend @ ("vxlan" | "host-gw" | "none") => Ok(backend.into()),
        "wireguard-native" => Err(ConfigError::unsupported(
            "flannel-backend=wireguard-native",
            "pod traffic would not be encrypted; use vxlan or host-gw",
        )),
        other => Err(ConfigError::value(
            "flannel-backend",
            other,
            "expected vxlan, host-gw or none",
        )),
    }
}

fn runtime_endpoint(parsed: &Parsed) -> Result<Option<String>, ConfigError> {
    let Some(endpoint) = parsed
        .one("container-runtime-endpoint")
        .filter(|e| !e.is_empty())
    else {
        return Ok(None);
    };
    let path = endpoint
        .strip_prefix("unix://")
        .or_else(|| endpoint.strip_prefix("unix:"))
        .unwrap_or(endpoint);
    if path.starts_with('/') {
        Ok(Some(endpoint.to_owned()))
    } else {
        Err(ConfigError::value(
            "container-runtime-endpoint",
            endpoint,
            "expected unix:///PATH",
        ))
    }
}

fn kubeconfig_mode(parsed: &Parsed) -> Result<u32, ConfigError> {
    let text = parsed.one("write-kubeconfig-mode").unwrap_or("600");
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|m| *m <= 0o777);
    mode.ok_or_else(|| {
        ConfigError::value(
            "write-kubeconfig-mode",
            text,
            "expected an octal mode such as 644",
        )
    })
}

fn secret(parsed: &Parsed, name: &str, file_name: &str) -> Result<Option<Secret>, ConfigError> {
    if let Some(value) = parsed.one(name).filter(|v| !v.is_empty()) {
        return Ok(Some(Secret::new(value.to_owned())));
    }
    let Some(path) = parsed.one(file_name).filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    match text.trim() {
        "" => Err(ConfigError::value(file_name, path, "the file is empty")),
        token => Ok(Some(Secret::new(token.to_owned()))),
    }
}

fn disabled(parsed: &Parsed, warnings: &mut Warnings) -> Result<Vec<String>, ConfigError> {
    let names = parsed.many("disable");
    for name in names {
        if name.is_empty() || name.contains('/') {
            let wanted = format!(
                "expected one of {}, or the name of a manifest",
                COMPONENTS.join(", ")
            );
            return Err(ConfigError::value("disable", name, wanted));
        }
        if !COMPONENTS.contains(&name.as_str()) {
            warnings.push(format!(
                "--disable {name}: not a component; disables manifests of that name"
            ));
            continue;
        }
        if !matches!(
            name.as_str(),
            "coredns" | "local-storage" | "servicelb" | "traefik"
        ) {
            warnings.push(format!(
                "--disable {name} changes nothing: that component does not exist yet"
            ));
        }
    }
    Ok(names.to_vec())
}

/// Volumes are below it, so it must be a folder of its own.
fn local_storage_path(parsed: &Parsed) -> Result<PathBuf, ConfigError> {
    let Some(text) = parsed
        .one("default-local-storage-path")
        .filter(|path| !path.is_empty())
    else {
        let data_dir = parsed.one("data-dir").unwrap_or("/var/lib/rancher/k3s");
        // Volumes carry the path to every node that may mount them.
        return std::path::absolute(data_dir)
            .map(|dir| dir.join("storage"))
            .map_err(|source| ConfigError::Read {
                path: data_dir.into(),
                source,
            });
    };
    let path = PathBuf::from(text);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if plain && path.is_absolute() && path.parent().is_some() {
        Ok(path.components().collect())
    } else {
        let reason = "expected an absolute path without \"..\", and not / itself";
        Err(ConfigError::value(
            "default-local-storage-path",
            text,
            reason,
        ))
    }
}

fn node_labels(parsed: &Parsed) -> Result<Vec<(String, String)>, ConfigError> {
    let parse = |t: &String| match t.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(ConfigError::value("node-label", t, "expected KEY=VALUE")),
    };
    parsed.many("node-label").iter().map(parse).collect()
}

fn node_taints(parsed: &Parsed) -> Result<Vec<String>, ConfigError> {
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let check = |t: &String| match t.rsplit_once(':') {
        Some((key, effect)) if !key.is_empty() && effects.contains(&effect) => Ok(t.clone()),
        _ => Err(ConfigError::value(
            "node-taint",
            t,
            "expected KEY[=VALUE]:EFFECT, with an effect of NoSchedule, PreferNoSchedule or NoExecute",
        )),
    };
    parsed.many("node-taint").iter().map(check).collect()
}

fn kubelet_args(
    parsed: &Parsed,
    warnings: &mut Warnings,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut args = Vec::new();
    for text in parsed.many("kubelet-arg") {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let name = name.trim_start_matches('-');
        if name.ends_with(['+', '-']) {
            return Err(ConfigError::value(
                "kubelet-arg",
                text,
                "the arguments that act here take one value; use NAME=VALUE",
            ));
        }
        if KUBELET_ARGS.contains(&name) {
            args.push((name.to_owned(), value.to_owned()));
        } else {
            warnings.push(format!(
                "--kubelet-arg {name} changes nothing; those that act: {}",
                KUBELET_ARGS.join(", ")
            ));
        }
    }
    Ok(args)
}

fn snapshotter(parsed: &Parsed) -> Result<(), ConfigError> {
    match parsed.one("snapshotter") {
        None | Some("overlayfs") => Ok(()),
        Some(other) => Err(ConfigError::unsupported(
            "snapshotter",
            format!("{other}: only overlayfs exists"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(s.cluster_dns.to_string(), "10.43.0.10");
        assert_eq!(s.node_ports, 30000..=32767);
        assert_eq!(s.cluster_domain, "cluster.local");
    }

    #[test]
    fn bad_values_name_their_flag() {
        for (text, part) in [
            ("--https-listen-port 0", "--https-listen-port"),
            ("--cluster-cidr 10.42.0.1/16", "beyond its prefix"),
            ("--cluster-cidr 10.0.0.0/8", "overlaps"),
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
                "--container-runtime-endpoint tcp://127.0.0.1:1",
                "unix:///PATH",
            ),
            ("--snapshotter btrfs", "overlayfs"),
            ("--default-local-storage-path /", "absolute path"),
            ("--default-local-storage-path a/b", "absolute path"),
            ("--default-local-storage-path /a/../b", "absolute path"),
            ("--token-file /no/such", "/no/such"),
        ] {
            let error = resolve(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn kubelet_arguments_act_or_warn() {
        let (s, warnings) =
            resolve("--kubelet-arg max-pods=200 --kubelet-arg eviction-soft=x").unwrap();
        assert_eq!(s.kubelet_args, [("max-pods".to_owned(), "200".to_owned())]);
        assert_eq!(warnings.len(), 1);
    }
}
