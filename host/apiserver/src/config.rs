//! What an API server is made of.

use std::net::IpAddr;
use std::sync::Arc;

use k3s_base::Secret;
use k3s_lifecycle::Tasks;
use k3s_meta::UserInfo;
use k3s_observe::Metrics;
use k3s_pki::ServiceAccountKeys;
use k3s_registry::Registry;
use rustls::ClientConfig;

use crate::health::HealthCheck;
use crate::kubelet::KubeletDialer;

/// Everything handed in.
pub struct ApiServerConfig {
    /// The registry over an open store.
    pub registry: Registry,
    /// Where the server's tasks are tracked.
    pub tasks: Tasks,
    /// Where the server's metrics are shown.
    pub metrics: Metrics,
    /// What `/version` says.
    pub version: VersionInfo,
    /// Signs and verifies service account tokens.
    pub service_accounts: Arc<ServiceAccountKeys>,
    /// Audiences that tokens for this API may carry, the default one first
    /// (`https://kubernetes.default.svc.cluster.local`, `k3s`).
    pub audiences: Vec<String>,
    /// Tokens with a fixed identity.
    pub static_tokens: Vec<StaticToken>,
    /// How kubelets are reached.
    pub kubelet_dialer: Arc<dyn KubeletDialer>,
    /// The TLS identity shown to kubelets, and the authority expected from them.
    pub kubelet_tls: Arc<ClientConfig>,
    /// The address of the `kubernetes` service's endpoint.
    pub advertise_address: IpAddr,
    /// Its port.
    pub advertise_port: u16,
    /// The cluster address of the `kubernetes` service.
    pub service_address: IpAddr,
    /// `--service-cidr`, shown as the `kubernetes` ServiceCIDR.
    pub service_cidrs: Vec<String>,
    /// Cluster roles of the default policy that this cluster has no use for: neither they nor their
    /// bindings are made, and those of an earlier start are removed.
    pub without_roles: Vec<String>,
    /// Checks of other components, shown under `/readyz` and `/livez`.
    pub health_checks: Vec<HealthCheck>,
}

/// A token with a fixed identity.
pub struct StaticToken {
    /// What the client sends.
    pub token: Secret,
    /// Who it is.
    pub user: UserInfo,
}

/// `version.Info`.
#[derive(Clone, Debug)]
pub struct VersionInfo {
    /// `v1.36.0+k3s1`
    pub git_version: String,
    /// The commit it was built from.
    pub git_commit: String,
    /// RFC 3339.
    pub build_date: String,
}

impl VersionInfo {
    /// Major and minor, as clients compare them.
    pub(crate) fn numbers(&self) -> (&str, &str) {
        let mut parts = self
            .git_version
            .trim_start_matches('v')
            .split(['.', '+', '-']);
        (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        )
    }
}
