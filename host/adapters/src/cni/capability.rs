//! The `k3s:net` and `k3s:ipam` imports of a pod network component.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;
use k3s_base::error::chain;
use k3s_plugin_host::PluginState;
use k3s_podnetwork::{Ipam, IpamError, NodeNetwork, PlanError};
use k3s_wit_bindings::ipam::k3s::ipam::ipam;
use k3s_wit_bindings::net::k3s::net::net;
use wasmtime::component::{HasData, Linker};

/// What an instance is granted.
#[derive(Clone)]
pub struct Grant {
    pub(super) net: Arc<dyn NodeNetwork>,
    pub(super) ipam: Arc<Ipam>,
}

/// The capabilities on an instance's state.
pub(super) struct Capability<'a>(&'a mut PluginState<Grant>);

struct HasCapability;

impl HasData for HasCapability {
    type Data<'a> = Capability<'a>;
}

/// Offers both capabilities to a guest.
pub(super) fn add_to_linker(linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
    net::add_to_linker::<_, HasCapability>(linker, |state| Capability(state))?;
    ipam::add_to_linker::<_, HasCapability>(linker, |state| Capability(state))
}

impl Capability<'_> {
    /// The kernel's time is not the guest's.
    fn net<T>(
        &mut self,
        work: impl FnOnce(&dyn NodeNetwork) -> Result<T, PlanError>,
    ) -> Result<T, net::Error> {
        let host = self.0.data.net.clone();
        self.0.outside(|_| work(&*host)).map_err(net_error)
    }

    fn ipam<T>(
        &mut self,
        work: impl FnOnce(&Ipam) -> Result<T, IpamError>,
    ) -> Result<T, ipam::Error> {
        let ipam = self.0.data.ipam.clone();
        self.0.outside(|_| work(&ipam)).map_err(ipam_error)
    }
}

impl net::Host for Capability<'_> {
    fn apply(
        &mut self,
        owner: String,
        plan: net::Plan,
    ) -> wasmtime::Result<Result<u32, net::Error>> {
        Ok(self.net(|host| host.apply(&owner, &plan)))
    }

    fn differences(
        &mut self,
        owner: String,
        plan: net::Plan,
    ) -> wasmtime::Result<Result<Vec<String>, net::Error>> {
        Ok(self.net(|host| host.differences(&owner, &plan)))
    }

    fn remove(&mut self, owner: String) -> wasmtime::Result<Result<(), net::Error>> {
        Ok(self.net(|host| host.remove(&owner)))
    }

    fn owners(&mut self) -> wasmtime::Result<Result<Vec<String>, net::Error>> {
        Ok(self.net(|host| host.owners().map(|owners| owners.into_iter().collect())))
    }

    fn find_uplink(&mut self) -> wasmtime::Result<Result<net::Uplink, net::Error>> {
        let uplink = |host: &dyn NodeNetwork| {
            let found = host.uplink()?;
            Ok(net::Uplink {
                link: found.interface,
                address: found.address.to_string(),
                mtu: found.mtu,
            })
        };
        Ok(self.net(uplink))
    }
}

impl ipam::Host for Capability<'_> {
    fn allocate(
        &mut self,
        network: String,
        range: ipam::Range,
        owner: String,
    ) -> wasmtime::Result<Result<String, ipam::Error>> {
        let allocate = |ipam: &Ipam| {
            let (subnet, gateway) = read_range(&range)?;
            ipam.allocate(&network, subnet, gateway, &owner)
                .map(|address| address.to_string())
        };
        Ok(self.ipam(allocate))
    }

    fn release(
        &mut self,
        network: String,
        owner: String,
    ) -> wasmtime::Result<Result<(), ipam::Error>> {
        Ok(self.ipam(|ipam| ipam.release(&network, &owner)))
    }

    fn leases(
        &mut self,
        network: String,
    ) -> wasmtime::Result<Result<Vec<ipam::Lease>, ipam::Error>> {
        let lease = |(address, owner): (Ipv4Addr, String)| ipam::Lease {
            address: address.to_string(),
            owner,
        };
        Ok(self.ipam(|ipam| Ok(ipam.leases(&network)?.into_iter().map(lease).collect())))
    }
}

fn read_range(range: &ipam::Range) -> Result<(Ipv4Net, Ipv4Addr), IpamError> {
    let bad = || {
        IpamError::Invalid(format!(
            "{} with gateway {} is not an IPv4 range",
            range.subnet, range.gateway
        ))
    };
    let subnet: Ipv4Net = range.subnet.parse().map_err(|_| bad())?;
    let IpAddr::V4(gateway) = range.gateway.parse().map_err(|_| bad())? else {
        return Err(bad());
    };
    Ok((subnet.trunc(), gateway))
}

fn net_error(error: PlanError) -> net::Error {
    let text = chain(&error);
    match error {
        PlanError::Denied(why) => net::Error::Denied(why),
        PlanError::Invalid(why) => net::Error::Invalid(why),
        PlanError::Conflict(why) => net::Error::Conflict(why),
        PlanError::Net { .. } | PlanError::Nft(_) => net::Error::Failed(text),
    }
}

fn ipam_error(error: IpamError) -> ipam::Error {
    match error {
        IpamError::Exhausted(_) => ipam::Error::Exhausted,
        IpamError::Invalid(why) => ipam::Error::Invalid(why),
        disk @ IpamError::Disk { .. } => ipam::Error::Unavailable(chain(&disk)),
    }
}
