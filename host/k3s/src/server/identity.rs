//! Certificates, tokens and keys of this server, and of the node in its process.

use std::net::IpAddr;

use anyhow::{Context, Result};
use k3s_config::ServerSettings;
use k3s_pki::{NodeIdentity, NodeIdentityOptions, ServerIdentity, ServerIdentityOptions};

use super::context::ServerContext;
use super::kubeconfig;
use crate::ambient::Ambient;
use crate::node::local::LocalNode;

/// The server's identity, made where missing.
pub(crate) fn ensure(
    settings: &ServerSettings,
    local: &LocalNode,
    ambient: &Ambient,
) -> Result<ServerIdentity> {
    let (addresses, names) = alternative_names(settings, local);
    let url = kubeconfig::server_url(settings);
    let options = ServerIdentityOptions {
        data_dir: &settings.data_dir,
        token: settings.token.as_ref(),
        agent_token: settings.agent_token.as_ref(),
        extra_dns_names: names,
        addresses,
        cluster_domain: &settings.cluster.cluster_domain,
        node_name: &local.name,
        server_url: &url,
    };
    ServerIdentity::ensure(&options, &ambient.random, ambient.clock.now())
        .context("prepare certificates and tokens")
}

/// The identity of the node in this process, issued where missing.
pub(crate) fn issue_node(server: &ServerContext, ambient: &Ambient) -> Result<NodeIdentity> {
    let options = NodeIdentityOptions {
        data_dir: &server.settings.node.data_dir,
        name: &server.local.name,
        addresses: &server.local.addresses,
    };
    server
        .identity
        .issue_node(&options, ambient.clock.now())
        .context("prepare the node's certificates")
}

/// Addresses and names that the API is reached by, beyond the standard ones.
fn alternative_names(settings: &ServerSettings, local: &LocalNode) -> (Vec<IpAddr>, Vec<String>) {
    let (mut addresses, mut names) = (local.addresses.clone(), Vec::new());
    for san in &settings.tls_sans {
        match san.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(san.clone()),
        }
    }
    addresses.push(settings.cluster.kubernetes_service_ip().into());
    addresses.extend(settings.advertise_address);
    addresses.extend(&settings.node.external_ips);
    if !settings.bind_address.is_unspecified() {
        addresses.push(settings.bind_address);
    }
    (addresses, names)
}
