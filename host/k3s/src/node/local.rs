//! The machine as a node: its name, its addresses, and the files in which K3s keeps both apart from
//! those of other nodes.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k3s_base::Random;
use k3s_config::NodeSettings;
use k3s_sys::fs::write_atomic;
use k3s_sys::net::Net;

const NODE_ID: &str = "/etc/rancher/node/id";
const NODE_PASSWORD: &str = "/etc/rancher/node/password";

/// Name and addresses of this machine's node.
#[derive(Clone, Debug)]
pub(crate) struct LocalNode {
    pub(crate) name: String,
    /// The primary one first.
    pub(crate) addresses: Vec<IpAddr>,
}

impl LocalNode {
    /// From the flags, else from the machine: its host name, and the address of its default route.
    pub(crate) fn find(settings: &NodeSettings, random: &Random) -> Result<Self> {
        let mut name = match &settings.node_name {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        if settings.with_node_id {
            let id = ensure_hex_file(Path::new(NODE_ID), 4, random)?;
            name = format!("{name}-{id}");
        }
        if !name.split('.').all(is_dns_label) {
            bail!("node name {name:?} is not a lowercase RFC 1123 subdomain; set --node-name");
        }
        let addresses = match settings.node_ips.as_slice() {
            [] => vec![default_address()?],
            given => given.to_vec(),
        };
        Ok(Self { name, addresses })
    }

    /// The primary address.
    pub(crate) fn address(&self) -> IpAddr {
        self.addresses
            .first()
            .copied()
            .unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }
}

/// Makes the password with which this machine proves to be the node of its name, where missing.
pub(crate) fn ensure_password(random: &Random) -> Result<()> {
    ensure_hex_file(Path::new(NODE_PASSWORD), 16, random).map(drop)
}

fn host_name() -> Result<String> {
    let name = nix::unistd::gethostname().context("read the host name")?;
    Ok(name.to_string_lossy().to_lowercase())
}

fn default_address() -> Result<IpAddr> {
    let route = Net::current()?
        .default_route()
        .context("find the node's address (set --node-ip)")?;
    Ok(route.address.into())
}

fn is_dns_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let dash_at_edge = label.starts_with('-') || label.ends_with('-');
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !dash_at_edge
}

/// The hex digits in a file, which is made with `bytes` random bytes, 0600, where missing.
fn ensure_hex_file(path: &Path, bytes: usize, random: &Random) -> Result<String> {
    let describe = || path.display().to_string();
    if let Ok(text) = std::fs::read_to_string(path) {
        let text = text.trim().to_owned();
        let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            bail!("{}: expected hex digits", path.display());
        }
        return Ok(text);
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(describe)?;
    }
    let mut id = vec![0; bytes];
    random.fill(&mut id);
    let text = hex::encode(id);
    write_atomic(path, format!("{text}\n").as_bytes(), 0o600).with_context(describe)?;
    Ok(text)
}
