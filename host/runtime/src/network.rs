//! The port through which pods get their addresses; CNI plugins implement it elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;

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
    /// What happened.
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
    /// Whether the network can take pods: what `NetworkReady` of the runtime's status says.
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
