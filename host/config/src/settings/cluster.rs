//! Settings that all nodes of a cluster must agree on. A server reads them from its flags and hands them to
//! nodes.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;

use super::Warnings;
use crate::command::Parsed;
use crate::component::Disabled;
use crate::error::{ConfigError, Refusal};
use crate::flags::client::DATA_DIR;
use crate::flags::components::{DEFAULT_LOCAL_STORAGE_PATH, DISABLE, DISABLE_KUBE_PROXY};
use crate::flags::networking::{
    CLUSTER_CIDR, CLUSTER_DNS, CLUSTER_DOMAIN, FLANNEL_BACKEND, SERVICE_CIDR,
};
use crate::flags::typed::TypedFlag;

/// Settings of the whole cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Pods' network.
    pub cluster_cidr: Ipv4Net,
    /// Services' network.
    pub service_cidr: Ipv4Net,
    /// Cluster DNS, inside the services' network.
    pub cluster_dns: Ipv4Addr,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// How pods of different nodes are connected.
    pub flannel_backend: FlannelBackend,
    /// `--disable`.
    pub disabled: Disabled,
    /// Leave out the service proxy.
    pub disable_kube_proxy: bool,
    /// `--default-local-storage-path`: where local-path volumes are, on every node.
    pub local_storage_path: PathBuf,
}

/// `--flannel-backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlannelBackend {
    /// VXLAN between nodes.
    Vxlan,
    /// Routes through the other nodes' addresses.
    HostGw,
    /// No network of K3s: CNI plugins of the operator's.
    None,
}

impl FlannelBackend {
    /// As flannel's configuration writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::HostGw => "host-gw",
            Self::None => "none",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "wireguard-native" => Err(Refusal::unsupported(
                "pod traffic would not be encrypted; use vxlan or host-gw",
            )),
            _ => [Self::Vxlan, Self::HostGw, Self::None]
                .into_iter()
                .find(|backend| backend.name() == text)
                .ok_or_else(|| Refusal::malformed("expected vxlan, host-gw or none")),
        }
    }
}

impl ClusterSettings {
    pub(super) fn resolve(parsed: &Parsed, warnings: &mut Warnings) -> Result<Self, ConfigError> {
        let cluster_cidr = parsed.get(&CLUSTER_CIDR)?;
        let service_cidr = parsed.get(&SERVICE_CIDR)?;
        if cluster_cidr.contains(&service_cidr) || service_cidr.contains(&cluster_cidr) {
            return Err(ConfigError::value(
                SERVICE_CIDR.flag().name,
                &service_cidr.to_string(),
                format!("overlaps --{} {cluster_cidr}", CLUSTER_CIDR.flag().name),
            ));
        }
        Ok(Self {
            cluster_cidr,
            service_cidr,
            cluster_dns: cluster_dns(parsed, service_cidr)?,
            cluster_domain: parsed.get(&CLUSTER_DOMAIN)?,
            flannel_backend: parsed.get(&FLANNEL_BACKEND)?,
            disabled: Disabled::new(parsed.get(&DISABLE)?, warnings),
            disable_kube_proxy: parsed.get(&DISABLE_KUBE_PROXY)?,
            local_storage_path: local_storage_path(parsed)?,
        })
    }

    /// The first address of the services' network, which the Service `kubernetes` has.
    #[must_use]
    pub fn kubernetes_service_ip(&self) -> Ipv4Addr {
        // A network without host addresses has no place for cluster DNS, so `resolve` refused it.
        self.service_cidr
            .hosts()
            .next()
            .unwrap_or(self.service_cidr.addr())
    }
}

/// The given address, else the tenth of the services' network, as in K3s.
fn cluster_dns(parsed: &Parsed, services: Ipv4Net) -> Result<Ipv4Addr, ConfigError> {
    let given = parsed.get(&CLUSTER_DNS)?;
    let Some(dns) = given.first() else {
        return services.hosts().nth(9).ok_or_else(|| {
            ConfigError::value(
                SERVICE_CIDR.flag().name,
                &services.to_string(),
                "is too small",
            )
        });
    };
    match dns {
        IpAddr::V4(dns) if services.contains(dns) => Ok(*dns),
        _ => Err(ConfigError::value(
            CLUSTER_DNS.flag().name,
            &dns.to_string(),
            format!("is outside --{} {services}", SERVICE_CIDR.flag().name),
        )),
    }
}

/// An absolute path, since volumes carry it to every node that may mount them.
fn local_storage_path(parsed: &Parsed) -> Result<PathBuf, ConfigError> {
    if let Some(path) = parsed.get(&DEFAULT_LOCAL_STORAGE_PATH)? {
        return Ok(path);
    }
    let data_dir = parsed.get(&DATA_DIR)?;
    match std::path::absolute(&data_dir) {
        Ok(dir) => Ok(dir.join("storage")),
        Err(source) => Err(ConfigError::Read {
            path: data_dir,
            source,
        }),
    }
}
