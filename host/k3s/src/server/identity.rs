//! The node's name and addresses, and the identities that depend on them.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k3s_config::ServerSettings;
use k3s_pki::{ServerIdentity, ServerIdentityOptions};
use k3s_sys::fs::write_atomic;
use k3s_sys::net::Net;

use super::{Shared, kubeconfig};

const NODE_ID: &str = "/etc/rancher/node/id";
const NODE_PASSWORD: &str = "/etc/rancher/node/password";

/// Who this machine is.
#[derive(Clone, Debug)]
pub(crate) struct NodeIdentity {
    pub(crate) name: String,
    /// The primary one first.
    pub(crate) addresses: Vec<IpAddr>,
}

impl NodeIdentity {
    /// From the flags, else from the machine: its host name, and the address of its default route.
    pub(crate) fn find(settings: &ServerSettings) -> Result<Self> {
        let mut name = match &settings.node.node_name {
            Some(name) => name.clone(),
            None => nix::unistd::gethostname()
                .context("read the host name")?
                .to_string_lossy()
                .to_lowercase(),
        };
        if settings.node.with_node_id {
            name = format!("{name}-{}", hex_file(Path::new(NODE_ID), 4)?);
        }
        if !name.split('.').all(is_label) {
            bail!("node name {name:?} is not a lowercase RFC 1123 subdomain; set --node-name");
        }
        let addresses = match settings.node.node_ips.as_slice() {
            [] => {
                vec![
                    Net::current()?
                        .default_route()
                        .context("find the node's address (set --node-ip)")?
                        .address
                        .into(),
                ]
            }
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

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Certificates, tokens and keys, made where missing.
pub(crate) fn ensure(shared: &Shared, node: &NodeIdentity) -> Result<ServerIdentity> {
    let settings = &shared.settings;
    hex_file(Path::new(NODE_PASSWORD), 16)?;
    let parsed = settings
        .tls_sans
        .iter()
        .map(|san| san.parse::<IpAddr>().map_err(|_| san.clone()));
    let (mut addresses, mut names) = (node.addresses.clone(), Vec::new());
    for san in parsed {
        match san {
            Ok(address) => addresses.push(address),
            Err(name) => names.push(name),
        }
    }
    addresses.push(settings.cluster.kubernetes_service_ip().into());
    addresses.extend(settings.advertise_address);
    addresses.extend(&settings.node.external_ips);
    if !settings.bind_address.is_unspecified() {
        addresses.push(settings.bind_address);
    }
    let url = kubeconfig::server_url(settings);
    let options = ServerIdentityOptions {
        data_dir: &settings.data_dir,
        token: settings.token.as_ref(),
        agent_token: settings.agent_token.as_ref(),
        extra_dns_names: names,
        addresses,
        cluster_domain: &settings.cluster.cluster_domain,
        node_name: &node.name,
        node_addresses: node.addresses.clone(),
        server_url: &url,
    };
    ServerIdentity::ensure(&options, &shared.random, shared.clock.now())
        .context("prepare certificates and tokens")
}

/// A file of `bytes` random bytes in hex, made 0600 where missing.
fn hex_file(path: &Path, bytes: usize) -> Result<String> {
    let describe = || path.display().to_string();
    if let Ok(text) = std::fs::read_to_string(path) {
        let text = text.trim().to_owned();
        let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        return if is_hex {
            Ok(text)
        } else {
            bail!("{}: expected hex digits", path.display())
        };
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(describe)?;
    }
    let mut random = vec![0; bytes];
    k3s_base::Random::from_os().fill(&mut random);
    let text = hex::encode(random);
    write_atomic(path, format!("{text}\n").as_bytes(), 0o600).with_context(describe)?;
    Ok(text)
}
