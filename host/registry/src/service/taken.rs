//! What is in use, and claims on it that vanish unless they are committed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Reservation;

/// The index of addresses and ports in use.
#[derive(Default)]
pub(super) struct Taken(Mutex<Sets>);

#[derive(Default)]
struct Sets {
    addresses: HashSet<IpAddr>,
    ports: HashSet<u16>,
}

impl Taken {
    pub(super) fn load(&self, addresses: HashSet<IpAddr>, ports: HashSet<u16>) {
        let mut sets = self.0.lock();
        sets.addresses.extend(addresses);
        sets.ports.extend(ports);
    }

    pub(super) fn release(
        &self,
        addresses: impl IntoIterator<Item = IpAddr>,
        ports: impl IntoIterator<Item = u16>,
    ) {
        let mut sets = self.0.lock();
        for address in addresses {
            sets.addresses.remove(&address);
        }
        for port in ports {
            sets.ports.remove(&port);
        }
    }
}

/// What one write has claimed so far.
pub(super) struct Claim {
    taken: Arc<Taken>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    freed_addresses: Vec<IpAddr>,
    freed_ports: Vec<u16>,
    committed: bool,
}

impl Claim {
    pub(super) fn new(taken: Arc<Taken>) -> Self {
        Self {
            taken,
            addresses: Vec::new(),
            ports: Vec::new(),
            freed_addresses: Vec::new(),
            freed_ports: Vec::new(),
            committed: false,
        }
    }

    /// Claims an address; false when it is in use.
    pub(super) fn address(&mut self, address: IpAddr) -> bool {
        let free = self.taken.0.lock().addresses.insert(address);
        if free {
            self.addresses.push(address);
        }
        free
    }

    /// Claims a port; false when it is in use.
    pub(super) fn port(&mut self, port: u16) -> bool {
        let free = self.taken.0.lock().ports.insert(port);
        if free {
            self.ports.push(port);
        }
        free
    }

    /// What the old object holds and the new one does not.
    pub(super) fn release_on_commit(
        &mut self,
        addresses: impl IntoIterator<Item = IpAddr>,
        ports: impl IntoIterator<Item = u16>,
    ) {
        self.freed_addresses.extend(addresses);
        self.freed_ports.extend(ports);
    }
}

impl Reservation for Claim {
    fn commit(mut self: Box<Self>) {
        self.committed = true;
        self.taken
            .release(self.freed_addresses.drain(..), self.freed_ports.drain(..));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.committed {
            self.taken
                .release(self.addresses.drain(..), self.ports.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_not_committed_goes_back() {
        let taken = Arc::new(Taken::default());
        let address: IpAddr = "10.43.0.9".parse().unwrap();
        let mut claim = Claim::new(taken.clone());
        assert!(claim.address(address) && claim.port(30_000));
        assert!(!Claim::new(taken.clone()).address(address));
        drop(claim);
        let mut again = Claim::new(taken.clone());
        assert!(again.address(address));
        Box::new(again).commit();
        assert!(!Claim::new(taken).address(address));
    }
}
