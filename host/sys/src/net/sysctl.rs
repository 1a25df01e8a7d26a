//! Kernel settings under `/proc/sys/net`, from a list.
//!
//! A plugin's plan may name a setting; the list restricts it to those that a pod network needs. Settings belong to the calling thread's network namespace; use
//! [`super::netns::run_in`] for another one.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{NetError, link};

/// Settings that may be set, whole.
const GLOBAL: &[&str] = &[
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.vs.conntrack",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
];
/// Settings of an interface that may be set: (family, name).
const PER_LINK: &[(&str, &str)] = &[
    ("ipv4", "route_localnet"),
    ("ipv4", "rp_filter"),
    ("ipv4", "forwarding"),
    ("ipv4", "proxy_arp"),
    ("ipv4", "arp_notify"),
    ("ipv6", "disable_ipv6"),
    ("ipv6", "accept_ra"),
    ("ipv6", "accept_dad"),
    ("ipv6", "forwarding"),
];

/// Reads a setting; None if this kernel does not have it.
pub fn get(key: &str) -> Result<Option<String>, NetError> {
    match fs::read_to_string(path_of(key)?) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NetError::Sysctl {
            key: key.to_owned(),
            source,
        }),
    }
}

/// Sets a setting unless it has the value already (it may be readable only inside a container).
/// False if nothing had to be done.
pub fn set(key: &str, value: &str) -> Result<bool, NetError> {
    if get(key)?.as_deref() == Some(value) {
        return Ok(false);
    }
    fs::write(path_of(key)?, value)
        .map(|()| true)
        .map_err(|source| NetError::Sysctl {
            key: key.to_owned(),
            source,
        })
}

/// Sets what a new namespace takes over from the machine's first one (`net.core.devconf_inherit_init_net`) to the
/// kernel's defaults: there a server may have run, which switches forwarding on.
pub(super) fn reset_inherited() -> Result<(), NetError> {
    set("net.ipv4.ip_forward", "0")?;
    for link in ["all", "default", "lo"] {
        for (_, setting) in PER_LINK.iter().filter(|(family, _)| *family == "ipv4") {
            set(&format!("net.ipv4.conf.{link}.{setting}"), "0")?;
        }
    }
    Ok(())
}

/// The file of a listed key. Interface names may contain dots, so only the first three parts and the
/// last are split off.
fn path_of(key: &str) -> Result<PathBuf, NetError> {
    let denied = || NetError::SysctlDenied(key.to_owned());
    if GLOBAL.contains(&key) {
        return Ok(PathBuf::from("/proc/sys").join(key.replace('.', "/")));
    }
    let (family, rest) = key
        .strip_prefix("net.")
        .and_then(|k| k.split_once(".conf."))
        .ok_or_else(denied)?;
    let (name, setting) = rest.rsplit_once('.').ok_or_else(denied)?;
    if !PER_LINK.contains(&(family, setting)) || link::check_name(name).is_err() {
        return Err(denied());
    }
    Ok(PathBuf::from(format!(
        "/proc/sys/net/{family}/conf/{name}/{setting}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_keys_have_a_file() {
        let path = |key| path_of(key).map(|p| p.display().to_string());
        assert_eq!(
            path("net.ipv4.ip_forward").unwrap(),
            "/proc/sys/net/ipv4/ip_forward"
        );
        assert_eq!(
            path("net.ipv4.conf.flannel.1.rp_filter").unwrap(),
            "/proc/sys/net/ipv4/conf/flannel.1/rp_filter"
        );
        for bad in [
            "kernel.core_pattern",
            "net.ipv4.tcp_mem",
            "net.ipv4.conf.../../x.rp_filter",
            "net.ipv4.conf.rp_filter",
        ] {
            assert!(
                matches!(path_of(bad), Err(NetError::SysctlDenied(_))),
                "{bad}"
            );
        }
    }
}
