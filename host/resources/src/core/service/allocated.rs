//! The addresses and ports in use, and claims on them that are released unless they are committed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use k3s_registry::Reservation;
use parking_lot::Mutex;

/// The index of addresses and ports in use.
#[derive(Default)]
pub(super) struct Allocated(Mutex<Sets>);

/// By address and port: the service that has it, as `namespace/name`.
#[derive(Default)]
struct Sets {
    addresses: HashMap<IpAddr, Arc<str>>,
    ports: HashMap<u16, Arc<str>>,
}

impl Allocated {
    pub(super) fn load(
        &self,
        holder: &Arc<str>,
        addresses: impl IntoIterator<Item = IpAddr>,
        ports: impl IntoIterator<Item = u16>,
    ) {
        let mut sets = self.0.lock();
        let addresses = addresses.into_iter().map(|it| (it, holder.clone()));
        sets.addresses.extend(addresses);
        let ports = ports.into_iter().map(|it| (it, holder.clone()));
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
    holder: Arc<str>,
    /// A service of the same name has something that was to be claimed.
    has_twin: bool,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    freed_addresses: Vec<IpAddr>,
    freed_ports: Vec<u16>,
    committed: bool,
}

impl Claim {
    /// `holder` is the service's `namespace/name`.
    pub(super) fn new(allocated: Arc<Allocated>, holder: Arc<str>) -> Self {
        Self {
            allocated,
            holder,
            has_twin: false,
            addresses: Vec::new(),
            ports: Vec::new(),
            freed_addresses: Vec::new(),
            freed_ports: Vec::new(),
            committed: false,
        }
    }

    /// Claims an address; false when it is in use.
    pub(super) fn address(&mut self, address: IpAddr) -> bool {
        let mut sets = self.allocated.0.lock();
        let holder = take(&mut sets.addresses, address, &self.holder);
        drop(sets);
        let Some(holder) = holder else {
            self.addresses.push(address);
            return true;
        };
        self.has_twin |= holder == self.holder;
        false
    }

    /// Claims a port; false when it is in use.
    pub(super) fn port(&mut self, port: u16) -> bool {
        let mut sets = self.allocated.0.lock();
        let holder = take(&mut sets.ports, port, &self.holder);
        drop(sets);
        let Some(holder) = holder else {
            self.ports.push(port);
            return true;
        };
        self.has_twin |= holder == self.holder;
        false
    }

    /// Whether something is in use by a service of the same name, stored or about to be.
    pub(super) fn has_twin(&self) -> bool {
        self.has_twin
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

/// Takes what is free; returns who has it otherwise.
fn take<T: Eq + Hash>(
    held: &mut HashMap<T, Arc<str>>,
    wanted: T,
    holder: &Arc<str>,
) -> Option<Arc<str>> {
    match held.entry(wanted) {
        Entry::Occupied(held) => Some(held.get().clone()),
        Entry::Vacant(free) => {
            free.insert(holder.clone());
            None
        }
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
        let claim = |name: &str| Claim::new(allocated.clone(), name.into());
        let mut first = claim("n/a");
        assert!(first.address(address) && first.port(30_000));
        let mut other = claim("n/b");
        assert!(!other.address(address) && !other.has_twin());
        let mut twin = claim("n/a");
        assert!(!twin.address(address) && twin.has_twin());
        drop(first);
        let mut again = claim("n/c");
        assert!(again.address(address));
        Box::new(again).commit();
        assert!(!claim("n/a").address(address));
    }
}
