//! The port through which pods get their addresses; CNI plugins implement it elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use k3s_base::error::Sentence;
use k3s_meta::quantity::Quantity;

/// A pod's sandbox as the network sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxNetwork {
    /// Sandbox ID: the CNI container ID.
    pub id: String,
    /// The held network namespace. At [`PodNetwork::del`] it may be gone already.
    pub netns_path: PathBuf,
    /// Pod namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// Pod UID.
    pub uid: String,
    /// hostPorts.
    pub port_mappings: Vec<PortMapping>,
    /// Pod annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Bits a second that a pod may receive and send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// `kubernetes.io/ingress-bandwidth`.
    pub ingress: Option<u64>,
    /// `kubernetes.io/egress-bandwidth`.
    pub egress: Option<u64>,
}

/// Bounds of these limits (`k8s.io/kubernetes/pkg/util/bandwidth`).
const BANDWIDTHS: std::ops::RangeInclusive<i64> = 1_000..=1_000_000_000_000_000;

impl SandboxNetwork {
    /// The pod's bandwidth annotations.
    ///
    /// # Errors
    /// When one of them is not a quantity between 1k and 1P.
    pub fn bandwidth(&self) -> Result<Bandwidth, Sentence> {
        let rate = |direction: &str| -> Result<Option<u64>, Sentence> {
            let name = format!("kubernetes.io/{direction}-bandwidth");
            let Some(text) = self.annotations.get(&name) else {
                return Ok(None);
            };
            let rate = Quantity::parse(text)
                .map_err(|e| Sentence::from(format!("annotation {name}: {e}")))?
                .value();
            let fits = BANDWIDTHS
                .contains(&rate)
                .then_some(rate)
                .and_then(|rate| u64::try_from(rate).ok());
            fits.map(Some).ok_or_else(|| {
                format!("annotation {name}: {text} is not between 1k and 1P bits per second").into()
            })
        };
        Ok(Bandwidth {
            ingress: rate("ingress")?,
            egress: rate("egress")?,
        })
    }
}

/// A port of the node that leads to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// Transport.
    pub protocol: Protocol,
    /// Port in the pod.
    pub container_port: u16,
    /// Port of the node.
    pub host_port: u16,
    /// Address of the node; none = each.
    pub host_ip: Option<IpAddr>,
}

/// Transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// The addresses a pod got, the primary one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodIps(pub Vec<IpAddr>);

/// The network failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NetworkError {
    /// The network's own error, with its causes.
    pub message: String,
    /// True when the same call may succeed later.
    pub retryable: bool,
}

/// Connects pods. Calls for different pods run side by side; those for one pod follow each other.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Connects the namespace. Called once per sandbox; after a failure [`PodNetwork::del`]
    /// follows.
    async fn add(&self, sandbox: &SandboxNetwork) -> Result<PodIps, NetworkError>;
    /// Undoes `add`, also a half-done or forgotten one. Success when there is nothing to undo.
    async fn del(&self, sandbox: &SandboxNetwork) -> Result<(), NetworkError>;
    /// Whether the network can connect pods: `NetworkReady` of the runtime's status.
    async fn check(&self) -> Result<(), NetworkError>;
    /// Frees what belongs to no sandbox in `valid_ids`. Called once after a start.
    async fn gc(&self, valid_ids: &[String]) -> Result<(), NetworkError>;
}

/// No network but loopback: for tests, and for nodes whose pods all use the host's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn add(&self, _: &SandboxNetwork) -> Result<PodIps, NetworkError> {
        Ok(PodIps::default())
    }

    async fn del(&self, _: &SandboxNetwork) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn check(&self) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn gc(&self, _: &[String]) -> Result<(), NetworkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_comes_from_annotations() {
        let pod = |text: &str| SandboxNetwork {
            annotations: BTreeMap::from([(
                "kubernetes.io/egress-bandwidth".to_owned(),
                text.to_owned(),
            )]),
            ..SandboxNetwork::default()
        };
        assert_eq!(
            pod("10M").bandwidth().unwrap(),
            Bandwidth {
                ingress: None,
                egress: Some(10_000_000)
            }
        );
        assert!(
            pod("1")
                .bandwidth()
                .unwrap_err()
                .to_string()
                .contains("between 1k and 1P")
        );
        assert!(
            pod("fast")
                .bandwidth()
                .unwrap_err()
                .to_string()
                .starts_with("annotation kubernetes.io/egress-bandwidth")
        );
        assert_eq!(
            SandboxNetwork::default().bandwidth().unwrap(),
            Bandwidth::default()
        );
    }
}
