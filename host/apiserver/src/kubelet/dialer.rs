//! The transport to a kubelet: a TCP connection, or later a tunnel that the node opened.

use std::io;

use async_trait::async_trait;
use k3s_meta::address::special;
use k3s_serve::BoxIo;
use tokio::net::{TcpStream, lookup_host};

/// Which kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletTarget {
    /// The node's name.
    pub node: String,
    /// The node's preferred address.
    pub host: String,
    /// The kubelet's port.
    pub port: u16,
}

/// Opens byte streams to kubelets; TLS runs on top of them.
#[async_trait]
pub trait KubeletDialer: Send + Sync {
    /// A connection to the target.
    ///
    /// # Errors
    /// When it cannot be reached.
    async fn dial(&self, target: &KubeletTarget) -> io::Result<BoxIo>;
}

/// Dials the node's address over TCP.
///
/// Who may write the status of a node decides where this server connects to. So addresses of this machine
/// and its neighbours in the cloud are refused, after names were resolved, unless the node is this server's own.
#[derive(Clone, Debug)]
pub struct DirectDialer {
    own_node: String,
}

impl DirectDialer {
    /// For a server whose own node, if it has one, has this name.
    pub fn new(own_node: impl Into<String>) -> Self {
        Self {
            own_node: own_node.into(),
        }
    }
}

#[async_trait]
impl KubeletDialer for DirectDialer {
    async fn dial(&self, target: &KubeletTarget) -> io::Result<BoxIo> {
        let mut addresses: Vec<_> = lookup_host((target.host.as_str(), target.port))
            .await?
            .collect();
        if target.node != self.own_node {
            addresses.retain(|address| special(address.ip()).is_none());
        }
        if addresses.is_empty() {
            let refused = io::ErrorKind::PermissionDenied;
            return Err(io::Error::new(refused, "address not allowed"));
        }
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
