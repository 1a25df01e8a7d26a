//! The transport to a kubelet: a TCP connection, or later a tunnel that the node opened.

use std::io;

use async_trait::async_trait;
use k3s_serve::BoxIo;
use tokio::net::TcpStream;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectDialer;

#[async_trait]
impl KubeletDialer for DirectDialer {
    async fn dial(&self, target: &KubeletTarget) -> io::Result<BoxIo> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
