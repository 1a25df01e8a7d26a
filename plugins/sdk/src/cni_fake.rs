//! A host in memory, for unit tests of pod networks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::cni::{Host, ipam, net};

/// Keeps plans and leases. Its uplink is `eth0` with 192.168.1.1 and an
/// MTU of 1500.
#[derive(Debug, Default)]
pub struct FakeHost {
    /// The last plan of each owner.
    pub plans: RefCell<BTreeMap<String, net::Plan>>,
    /// Owner → address.
    pub leases: RefCell<BTreeMap<String, String>>,
    /// The range of the last allocation.
    pub range: RefCell<Option<ipam::Range>>,
    fail_at: Option<u32>,
    calls: Cell<u32>,
}

impl FakeHost {
    /// A host of which one call fails, counted from 1, as if the kernel or the disk did. A loop over it shows
    /// that a plugin recovers from a failure at any point.
    #[must_use]
    pub fn failing_at(call: u32) -> Self {
        Self {
            fail_at: Some(call),
            ..Self::default()
        }
    }

    /// Whether this call is the one that fails.
    fn fails(&self) -> bool {
        self.calls.set(self.calls.get() + 1);
        self.fail_at == Some(self.calls.get())
    }

    fn call_net(&self) -> Result<(), net::Error> {
        if self.fails() {
            return Err(net::Error::Failed("on purpose".to_owned()));
        }
        Ok(())
    }

    fn call_ipam(&self) -> Result<(), ipam::Error> {
        if self.fails() {
            return Err(ipam::Error::Unavailable("on purpose".to_owned()));
        }
        Ok(())
    }
}

impl Host for FakeHost {
    fn apply(&self, owner: &str, plan: &net::Plan) -> Result<u32, net::Error> {
        self.call_net()?;
        let mut plans = self.plans.borrow_mut();
        plans.insert(owner.to_owned(), plan.clone());
        Ok(1)
    }

    fn differences(&self, owner: &str, plan: &net::Plan) -> Result<Vec<String>, net::Error> {
        self.call_net()?;
        if self.plans.borrow().get(owner) == Some(plan) {
            return Ok(Vec::new());
        }
        Ok(vec![format!("the plan of {owner} differs")])
    }

    fn remove(&self, owner: &str) -> Result<(), net::Error> {
        self.call_net()?;
        self.plans.borrow_mut().remove(owner);
        Ok(())
    }

    fn owners(&self) -> Result<Vec<String>, net::Error> {
        self.call_net()?;
        Ok(self.plans.borrow().keys().cloned().collect())
    }

    fn find_uplink(&self) -> Result<net::Uplink, net::Error> {
        self.call_net()?;
        Ok(net::Uplink {
            link: "eth0".to_owned(),
            address: "192.168.1.1".to_owned(),
            mtu: 1500,
        })
    }

    /// Counts up from the address after the gateway.
    fn allocate(
        &self,
        _network: &str,
        range: &ipam::Range,
        owner: &str,
    ) -> Result<String, ipam::Error> {
        self.call_ipam()?;
        *self.range.borrow_mut() = Some(range.clone());
        let gateway: Ipv4Addr = range
            .gateway
            .parse()
            .map_err(|_| ipam::Error::Invalid(format!("{:?} is not an address", range.gateway)))?;
        let mut leases = self.leases.borrow_mut();
        let offset = u32::try_from(leases.len()).unwrap_or(u32::MAX);
        let next = Ipv4Addr::from(u32::from(gateway).saturating_add(offset).saturating_add(1));
        let lease = leases.entry(owner.to_owned());
        Ok(lease.or_insert_with(|| next.to_string()).clone())
    }

    fn release(&self, _network: &str, owner: &str) -> Result<(), ipam::Error> {
        self.call_ipam()?;
        self.leases.borrow_mut().remove(owner);
        Ok(())
    }

    fn leases(&self, _network: &str) -> Result<Vec<ipam::Lease>, ipam::Error> {
        self.call_ipam()?;
        let leases = self.leases.borrow();
        let lease = |(owner, address): (&String, &String)| ipam::Lease {
            address: address.clone(),
            owner: owner.clone(),
        };
        Ok(leases.iter().map(lease).collect())
    }
}
