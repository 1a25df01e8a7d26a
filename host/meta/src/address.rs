//! Addresses that belong to no pod and no node: whoever writes one into an object would have a server reach
//! for itself, or for a neighbour of its own that trusts it.

use std::net::IpAddr;

/// Why an address can be no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `0.0.0.0`, `::`.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`: the metadata services of clouds, too.
    LinkLocal,
    /// Groups instead of hosts.
    Multicast,
}

/// What is special about an address; `None` for one that a pod or a node can have. IPv4 addresses in their
/// IPv6 form count as what they are.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if address.is_unspecified() {
        Some(Special::Unspecified)
    } else if address.is_loopback() {
        Some(Special::Loopback)
    } else if is_link_local {
        Some(Special::LinkLocal)
    } else if address.is_multicast() {
        Some(Special::Multicast)
    } else {
        None
    }
}

/// The address that a text stands for, zeros before its IPv4 numbers included (Go's `ParseIPSloppy`).
#[must_use]
pub fn parse_loosely(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| without_zeros(text))
}

/// The address that a text stands for once the zeros before its IPv4 numbers are left out.
fn without_zeros(text: &str) -> Option<IpAddr> {
    let (head, tail) = match text.rsplit_once(':') {
        Some((head, tail)) => (Some(head), tail),
        None => (None, text),
    };
    let octets: Vec<&str> = tail
        .split('.')
        .map(|octet| match octet.trim_start_matches('0') {
            "" if !octet.is_empty() => "0",
            octet => octet,
        })
        .collect();
    let tail = octets.join(".");
    let plain = match head {
        Some(head) => format!("{head}:{tail}"),
        None => tail,
    };
    plain.parse().ok()
}

/// Whether bits of an address are set behind the first `bits`.
pub(crate) fn has_bits_behind(address: IpAddr, bits: u32) -> bool {
    match address {
        IpAddr::V4(v4) => u32::from(v4) & u32::MAX.checked_shr(bits).unwrap_or(0) != 0,
        IpAddr::V6(v6) => u128::from(v6) & u128::MAX.checked_shr(bits).unwrap_or(0) != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_special_in_every_form() {
        for (text, want) in [
            ("127.0.0.1", Some(Special::Loopback)),
            ("127.8.8.8", Some(Special::Loopback)),
            ("::1", Some(Special::Loopback)),
            ("::ffff:127.0.0.1", Some(Special::Loopback)),
            ("::ffff:7f00:1", Some(Special::Loopback)),
            ("0.0.0.0", Some(Special::Unspecified)),
            ("::", Some(Special::Unspecified)),
            ("::ffff:0.0.0.0", Some(Special::Unspecified)),
            ("169.254.169.254", Some(Special::LinkLocal)),
            ("::ffff:169.254.169.254", Some(Special::LinkLocal)),
            ("fe80::1", Some(Special::LinkLocal)),
            ("224.0.0.1", Some(Special::Multicast)),
            ("::ffff:224.0.0.1", Some(Special::Multicast)),
            ("ff02::1", Some(Special::Multicast)),
            ("10.42.0.5", None),
            ("::ffff:10.42.0.5", None),
            ("2001:db8::1", None),
        ] {
            assert_eq!(special(text.parse().unwrap()), want, "{text}");
        }
    }
}
