//! Places for connections: so many on a listener, and so many of them for one client, so that neither the
//! process's file descriptors nor a listener can be taken by whoever opens connections and holds them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The listeners that share the process's file descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The API server and supervisor.
    ApiServer,
    /// The kubelet.
    Kubelet,
    /// One entry point of the ingress; a connection there may need a second descriptor, to a server.
    IngressPort,
    /// Cluster DNS over TCP.
    Dns,
}

/// How many connections a listener holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Of all clients. Above this nothing is accepted until one closes: the kernel's backlog holds new clients
    /// back.
    pub total: usize,
    /// Of one client: an IPv4 address, or a /64 network of IPv6. Above this a connection is closed at once.
    pub per_client: usize,
}

impl Listener {
    /// Its part of `descriptors`, the most that the process may have open. All parts together, two ingress
    /// ports with their connections to servers included, leave a quarter for files, watches and clients.
    #[must_use]
    pub fn capacity(self, descriptors: u64) -> Capacity {
        let (percent, most) = match self {
            Self::ApiServer => (25, 10_000),
            Self::Kubelet => (5, 10_000),
            Self::IngressPort => (10, 20_000),
            Self::Dns => (2, 256),
        };
        let part = usize::try_from(descriptors / 100 * percent).unwrap_or(usize::MAX);
        let total = part.clamp(8, most);
        Capacity {
            total,
            per_client: total.div_ceil(4),
        }
    }

    /// Its part of what this process may have open.
    #[must_use]
    pub fn own_capacity(self) -> Capacity {
        self.capacity(k3s_sys::process::max_open_files())
    }
}

/// The places of one listener. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Places {
    room: Arc<Semaphore>,
    per_client: usize,
    clients: Arc<Mutex<HashMap<IpAddr, Held>>>,
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    _room: OwnedSemaphorePermit,
    client: IpAddr,
    clients: Arc<Mutex<HashMap<IpAddr, Held>>>,
}

/// Places that one client holds.
#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// The log has been told that it asks for more than its share.
    reported: bool,
}

impl Places {
    /// As many places as `capacity` says.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self {
            room: Arc::new(Semaphore::new(capacity.total.min(Semaphore::MAX_PERMITS))),
            per_client: capacity.per_client,
            clients: Arc::default(),
        }
    }

    /// Waits for a place and a connection. Those of clients that hold their share already, and of those that
    /// `admits` refuses, are closed and not returned.
    ///
    /// # Errors
    /// When accepting fails; the caller pauses before it tries again, since the cause may be a lack of
    /// descriptors.
    pub async fn accept(
        &self,
        listener: &TcpListener,
        admits: impl Fn(IpAddr) -> bool,
    ) -> io::Result<(TcpStream, SocketAddr, Place)> {
        let room = self.room.clone().acquire_owned().await;
        let room = room.map_err(io::Error::other)?;
        loop {
            let (stream, client) = listener.accept().await?;
            let address = client.ip().to_canonical();
            if admits(address) && self.hold(key(address)) {
                let place = Place {
                    _room: room,
                    client: key(address),
                    clients: self.clients.clone(),
                };
                return Ok((stream, client, place));
            }
            drop(stream);
        }
    }

    /// Counts a place for a client; false when it has its share.
    fn hold(&self, client: IpAddr) -> bool {
        let mut clients = self.clients.lock();
        let held = clients.entry(client).or_default();
        if held.count < self.per_client {
            held.count += 1;
            return true;
        }
        if !held.reported {
            held.reported = true;
            let share = self.per_client;
            tracing::warn!(%client, share, "a client holds its share of connections; more of it are closed");
        }
        false
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock();
        if let Entry::Occupied(mut held) = clients.entry(self.client) {
            held.get_mut().count -= 1;
            if held.get().count == 0 {
                held.remove();
            }
        }
    }
}

/// What counts as one client: a host of IPv6 has a /64 network of addresses to choose from.
fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_descriptors_leave_a_quarter_for_the_rest() {
        for descriptors in [1024, 20_000, 1 << 20] {
            let part = |listener: Listener| listener.capacity(descriptors).total as u64;
            let sum = part(Listener::ApiServer)
                + part(Listener::Kubelet)
                + 4 * part(Listener::IngressPort)
                + part(Listener::Dns);
            assert!(sum <= descriptors / 4 * 3, "{sum} of {descriptors}");
        }
        assert_eq!(
            Listener::ApiServer.capacity(20_000),
            Capacity {
                total: 5000,
                per_client: 1250
            }
        );
    }

    #[test]
    fn a_host_counts_as_one_client_whatever_its_addresses() {
        let of = |text: &str| key(text.parse::<IpAddr>().unwrap().to_canonical());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
