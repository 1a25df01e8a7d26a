//! Kernel modules and settings, as K3s prepares them.

use std::path::Path;
use std::process::Stdio;

use k3s_base::error::chain;
use k3s_sys::process::command;
use tracing::{debug, warn};

/// Modules that pods, services and the pod network need; built-in ones load without effect.
const MODULES: &[&str] = &[
    "overlay",
    "br_netfilter",
    "nf_conntrack",
    "nf_tables",
    "nft_masq",
    "nft_nat",
    "vxlan",
];

/// Settings: `/proc/sys` path and value. The conntrack ones as kube-proxy sets them.
const SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    // A pod's answer to its neighbour on a bridge has to be translated back too.
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    (
        "net/netfilter/nf_conntrack_tcp_timeout_established",
        "86400",
    ),
    ("net/netfilter/nf_conntrack_tcp_timeout_close_wait", "3600"),
];

/// Loads modules where `modprobe` exists, and writes the settings. Failures are only
/// logged: the part that needs a setting reports it with a better message than this could.
pub(crate) fn prepare() {
    let wanted: Vec<&str> = MODULES.iter().copied().filter(|m| !is_loaded(m)).collect();
    if !wanted.is_empty() && has_modules() {
        for module in wanted {
            let status = command("modprobe")
                .arg("-q")
                .arg(module)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            debug!(module, ?status, "modprobe");
        }
    }
    for (path, value) in SETTINGS {
        let file = Path::new("/proc/sys").join(path);
        let same = std::fs::read_to_string(&file).is_ok_and(|now| now.trim() == *value);
        if !same
            && file.exists()
            && let Err(error) = std::fs::write(&file, value)
        {
            warn!(setting = path, error = chain(&error), "cannot set");
        }
    }
}

fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// A kernel without loadable modules has everything built in or not at all.
fn has_modules() -> bool {
    Path::new("/proc/modules").exists()
}
