//! The settings of the data plane.

use std::net::{IpAddr, SocketAddr};

use k3s_base::{Clock, Random};

/// A port that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// As routes name it.
    pub name: &'static str,
    /// TLS is spoken here.
    pub tls: bool,
    /// Where. Port 0 takes any.
    pub listen: SocketAddr,
}

/// Settings of the data plane.
#[derive(Clone, Debug)]
pub struct IngressConfig {
    /// `web` and `websecure`.
    pub entry_points: Vec<EntryPoint>,
    /// What `status.loadBalancer` of served Ingresses shows.
    pub addresses: Vec<IpAddr>,
    /// The Node that it runs on; also sent as X-Forwarded-Server.
    pub node_name: String,
    /// Time.
    pub clock: Clock,
    /// For ids and keys.
    pub random: Random,
}

impl EntryPoint {
    /// Traefik's two on a host, on all its addresses.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        let on = |port| SocketAddr::from(([0, 0, 0, 0], port));
        vec![
            Self {
                name: "web",
                tls: false,
                listen: on(80),
            },
            Self {
                name: "websecure",
                tls: true,
                listen: on(443),
            },
        ]
    }
}
