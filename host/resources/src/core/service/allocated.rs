//! The addresses and ports in use, and claims on them that are released unless they are committed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use k3s_registry::Reservation;
use parking_lot::Mutex;

/// The index of addresses and ports in use.
#[derive(Default)]
pub(super) struct Allocated(Mutex<Sets>);

#[derive(Default)]
struct Sets {
    addresses: HashSet<IpAddr>,
    ports: HashSet<u16>,
}

impl Allocated {
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
    allocated: Arc<Allocated>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    freed_addresses: Vec<IpAddr>,
    freed_ports: Vec<u16>,
    committed: bool,
}

impl Claim {
    pub(super) fn new(allocated: Arc<Allocated>) -> Self {
        Self {
            allocated,
            addresses: Vec::new(),
            ports: Vec::new(),
            freed_addresses: Vec::new(),
            freed_ports: Vec::new(),
            committed: false,
        }
    }

    /// Claims an address; false when it is in use.
    pub(super) fn address(&mut self, address: IpAddr) -> bool {
        let free = self.allocated.0.lock().addresses.insert(address);
        if free {
            self.addresses.push(address);
        }
        free
    }

    /// Claims a port; false when it is in use.
    pub(super) fn port(&mut self, port: u16) -> bool {
        let free = self.allocated.0.lock().ports.insert(port);
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
        self.allocated
            .release(self.freed_addresses.drain(..), self.freed_ports.drain(..));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.committed {
            self.allocated
                .release(self.addresses.drain(..), self.ports.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_not_committed_goes_back() {
        let allocated = Arc::new(Allocated::default());
        let address: IpAddr = "10.43.0.9".parse().unwrap();
        let mut claim = Claim::new(allocated.clone());
        assert!(claim.address(address) && claim.port(30_000));
        assert!(!Claim::new(allocated.clone()).address(address));
        drop(claim);
        let mut again = Claim::new(allocated.clone());
        assert!(again.address(address));
        Box::new(again).commit();
        assert!(!Claim::new(allocated).address(address));
    }
}
