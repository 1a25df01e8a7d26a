//! Reaching kubelets: the one way to logs, exec and stats, also on the server's own node.

mod dialer;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_meta::{Status, UserInfo, tree};
use k3s_registry::{Error, Registry, Result};
use k3s_serve::{BoxIo, PeerCertificates, ServeError, connect};
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use serde_json::Value;

use crate::authn::certificate;
use crate::authz::node::node_of;
pub use dialer::{DirectDialer, KubeletDialer, KubeletTarget};

/// Where a kubelet listens unless its node says otherwise.
const DEFAULT_PORT: u16 = 10250;
/// A kubelet that has not answered by then counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `--kubelet-preferred-address-types` of K3s.
const ADDRESS_TYPES: [&str; 3] = ["InternalIP", "ExternalIP", "Hostname"];

/// Opens connections to kubelets.
pub(crate) struct Kubelets {
    dialer: Arc<dyn KubeletDialer>,
    tls: Arc<ClientConfig>,
    registry: Registry,
}

impl Kubelets {
    pub(crate) fn new(
        dialer: Arc<dyn KubeletDialer>,
        tls: Arc<ClientConfig>,
        registry: Registry,
    ) -> Self {
        Self {
            dialer,
            tls,
            registry,
        }
    }

    /// A TLS connection to the kubelet of `node`, and the authority to address it by.
    ///
    /// # Errors
    /// When the node is unknown or its kubelet cannot be reached.
    pub(crate) async fn open(&self, node: &str) -> Result<(BoxIo, String)> {
        let nodes = self.registry.resource("", "v1", "nodes")?;
        let target = target(node, &self.registry.get(nodes, "", node)?.to_value()?)?;
        let authority = match target.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", target.port),
            _ => format!("{}:{}", target.host, target.port),
        };
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, self.dial(&target)).await;
        let io = dialled.unwrap_or_else(|_elapsed| {
            let authority = authority.clone();
            Err(DialError::Timeout { authority })
        });
        let unreachable = |error: DialError| {
            let text = format!("error dialing backend: {}", chain(&error));
            Error::from(Status::internal(&text))
        };
        Ok((io.map_err(unreachable)?, authority))
    }

    async fn dial(&self, target: &KubeletTarget) -> std::result::Result<BoxIo, DialError> {
        let io = self.dialer.dial(target).await.map_err(DialError::Connect)?;
        let name = ServerName::try_from(target.host.clone()).map_err(DialError::Name)?;
        let tls = self.tls.clone();
        let (io, peer) = connect::tls_with_peer(io, name, tls)
            .await
            .map_err(DialError::Tls)?;
        if !is_kubelet_of(&target.node, &peer) {
            let node = target.node.clone();
            return Err(DialError::OtherServer { node });
        }
        Ok(io)
    }
}

/// Whether the server that was reached is the node's kubelet. Its authority signs certificates of other servers
/// too, this one's among them, and where a node is said to be is up to whoever writes its status
/// (CVE-2022-3294).
fn is_kubelet_of(node: &str, peer: &PeerCertificates) -> bool {
    let Some(subject) = peer.first().and_then(|leaf| certificate::subject(leaf)) else {
        return false;
    };
    // As this distribution issues them, and as the signer `kubernetes.io/kubelet-serving` does.
    let by_name = subject.name == node && subject.name != API_SERVER;
    let by_user = node_of(&UserInfo::new(subject.name, subject.groups)) == Some(node);
    by_name || by_user
}

/// The common name of the certificate with which API servers serve, which no node shares.
const API_SERVER: &str = "kube-apiserver";

/// Why a kubelet was not reached.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Connect(io::Error),
    /// The node's address is neither a name nor an IP address.
    #[error(transparent)]
    Name(InvalidDnsNameError),
    #[error(transparent)]
    Tls(ServeError),
    #[error(
        "the server at the node's address does not show a serving certificate of node {node:?}"
    )]
    OtherServer { node: String },
    /// In the words of Go's dialer, which scripts know.
    #[error("dial tcp {authority}: i/o timeout")]
    Timeout { authority: String },
}

fn target(name: &str, node: &Value) -> Result<KubeletTarget> {
    let addresses = tree::list(node, "status.addresses");
    let host = ADDRESS_TYPES.iter().find_map(|kind| {
        let found = addresses
            .iter()
            .find(|address| tree::text(address, "type") == *kind)?;
        Some(tree::text(found, "address").to_owned())
    });
    let Some(host) = host else {
        return Err(Status::internal(&format!(
            "no preferred addresses found for node {name:?}; known addresses: []"
        ))
        .into());
    };
    let port = tree::int(node, "status.daemonEndpoints.kubeletEndpoint.Port");
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .unwrap_or(DEFAULT_PORT);
    Ok(KubeletTarget {
        node: name.to_owned(),
        host,
        port,
    })
}
