//! A server without sockets over a small zone, which a test can send messages of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use k3s_base::{Clock, Random};
use parking_lot::RwLock;

use crate::answer::Domain;
use crate::error::DnsError;
use crate::metrics::DnsMetrics;
use crate::server::{Access, Server};
use crate::upstream::{Transport, Upstream};
use crate::zone::{Endpoint, Entry, Port, ServiceKind, Zone};

/// Knows the Services `web` (with an address), `db` (headless) and `out` (another name) of the namespace `shop`, and
/// the node `node-1`. Answers this machine only, and forwards nothing.
pub struct SampleServer(Server);

impl SampleServer {
    /// Makes one.
    ///
    /// # Errors
    /// Does not happen: the domain is a domain.
    pub fn new() -> Result<Self, DnsError> {
        let service_ip = Ipv4Addr::new(10, 43, 0, 10);
        let (clock, random) = (Clock::system(), Random::from_os());
        Ok(Self(Server {
            zone: Arc::new(RwLock::new(zone())),
            domain: Domain::new("cluster.local", service_ip, 1)?,
            upstream: Upstream::new(PathBuf::new(), Vec::new(), 0, clock, random),
            access: Access::new(Vec::new(), IpAddr::V4(Ipv4Addr::LOCALHOST)),
            metrics: DnsMetrics::default(),
            synced: AtomicBool::new(true),
            turn: AtomicUsize::new(0),
        }))
    }

    /// What is sent back at once to a message that came as a datagram, or in a connection. None where nothing is, or
    /// where another server has to be asked.
    #[must_use]
    pub fn answer(&self, message: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let transport = if over_tcp {
            Transport::Tcp
        } else {
            Transport::Udp
        };
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.0.begin(message, from, transport).ok().flatten()
    }
}

fn zone() -> Zone {
    let port = |name: &str, protocol, number| Port {
        name: name.to_owned(),
        protocol,
        number,
    };
    let ports: Arc<[Port]> = vec![port("peer", "tcp", 7000)].into();
    let endpoint = |last: u8| Endpoint {
        address: [10, 42, 0, last].into(),
        hostname: (last == 1).then(|| "db-0".to_owned()),
        ports: ports.clone(),
    };
    let web = Entry {
        cluster_ips: vec![[10, 43, 0, 80].into()],
        ports: vec![port("http", "tcp", 80)],
        ..Entry::default()
    };
    let db = Entry {
        kind: ServiceKind::Headless,
        // More than fit into a datagram.
        endpoints: (1..=200).map(endpoint).collect(),
        ..Entry::default()
    };
    let out = Entry {
        kind: ServiceKind::External("web.shop.svc.cluster.local".to_owned()),
        ..Entry::default()
    };
    let mut zone = Zone::default();
    zone.set_namespace("shop", true);
    for (key, entry) in [("shop/web", web), ("shop/db", db), ("shop/out", out)] {
        zone.set_service(&key.into(), Some(entry));
    }
    zone.set_node("node-1", vec![[192, 168, 1, 7].into()]);
    zone
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, Query, ResponseCode};
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    #[test]
    fn a_refusal_fits_a_datagram_however_many_questions_there_were() {
        let mut message = Message::query();
        let name = Name::from_ascii(format!("{}.example.org.", "a".repeat(60))).unwrap();
        for _ in 0..50 {
            message.add_query(Query::query(name.clone(), RecordType::A));
        }
        let server = SampleServer::new().unwrap();
        let answer = server.answer(&message.to_vec().unwrap(), false).unwrap();
        assert!(answer.len() <= 512, "{}", answer.len());
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    }
}
