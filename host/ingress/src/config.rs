//! The settings of the data plane.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_serve::{Capacity, Listener, QuietLimits};

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

/// What the connections of one entry point are bounded by.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// How many there are.
    pub capacity: Capacity,
    /// How long they may be without a request.
    pub quiet: QuietLimits,
    /// How long one that is quiet for too long may take to finish what it has begun.
    pub drain: Duration,
    /// How long clients wait after a start for the first routes. From then on they are answered with what there
    /// is, and be it nothing: a plugin that fails must not leave connections without an answer.
    pub first_routes: Duration,
}

/// Settings of the data plane.
#[derive(Clone, Debug)]
pub struct IngressConfig {
    /// `web` and `websecure`.
    pub entry_points: Vec<EntryPoint>,
    /// Of each entry point.
    pub limits: ConnectionLimits,
    /// Which addresses of servers are dialled: [`may_dial`], or more where tests have their servers.
    pub may_dial: fn(IpAddr) -> bool,
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

impl ConnectionLimits {
    /// The entry point's part of the process's file descriptors, and Traefik's `readTimeout` and `idleTimeout`.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            capacity: Listener::IngressPort.own_capacity(),
            quiet: QuietLimits {
                first: Duration::from_secs(60),
                idle: Duration::from_secs(180),
            },
            drain: Duration::from_secs(5),
            first_routes: Duration::from_secs(5),
        }
    }
}

/// Whether an address may be that of a server: it does not mean this machine, nor its links.
#[must_use]
pub fn may_dial(address: IpAddr) -> bool {
    k3s_meta::address::special(address).is_none()
}
