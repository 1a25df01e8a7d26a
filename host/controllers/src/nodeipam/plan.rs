//! Pure: the first free part of a network.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::ControllerError;

/// A cluster network and the size of a node's part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) cidr: IpNet,
    pub(super) mask: u8,
}

impl Network {
    /// The first part that overlaps nothing taken.
    pub(super) fn free(&self, taken: &[IpNet]) -> Result<IpNet, ControllerError> {
        let full = || ControllerError::NetworkFull {
            network: self.cidr,
            prefix_len: self.mask,
        };
        // Parts of the usual size are looked up; others (from an earlier mask) are compared.
        let mut same: HashSet<IpAddr> = HashSet::new();
        let mut odd: Vec<&IpNet> = Vec::new();
        for other in taken {
            if !overlap(&self.cidr, other) {
                continue;
            }
            if other.prefix_len() == self.mask {
                same.insert(other.network());
            } else {
                odd.push(other);
            }
        }
        let is_free = |part: &IpNet| {
            let is_taken = same.contains(&part.network());
            !is_taken && !odd.iter().any(|other| overlap(part, other))
        };
        let mut parts = self.cidr.subnets(self.mask).map_err(|_| full())?;
        parts.find(is_free).ok_or_else(full)
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn parts_are_given_in_order_and_never_twice() {
        let network = Network {
            cidr: "10.42.0.0/16".parse().unwrap(),
            mask: 24,
        };
        assert_eq!(network.free(&[]).unwrap().to_string(), "10.42.0.0/24");
        assert_eq!(
            network
                .free(&nets(&["10.42.0.0/24", "10.42.2.0/24"]))
                .unwrap()
                .to_string(),
            "10.42.1.0/24"
        );
        assert_eq!(
            network.free(&nets(&["10.42.0.0/23"])).unwrap().to_string(),
            "10.42.2.0/24"
        );
        assert!(network.free(&nets(&["10.42.0.0/16"])).is_err());
        let small = Network {
            cidr: "10.42.0.0/24".parse().unwrap(),
            mask: 24,
        };
        assert!(small.free(&nets(&["10.42.0.0/24"])).is_err());
    }
}
