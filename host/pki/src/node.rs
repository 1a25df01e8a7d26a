//! The identity of one node: its kubelet's serving and client certificates, and whom it trusts, in the
//! layout of K3s (`<data-dir>/agent`). A server issues it for the node in its own process; an agent
//! gets the same from its server.

use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;

use crate::error::PkiError;
use crate::files::{ensure_dir, write_public};
use crate::identity::ServerIdentity;
use crate::leaf::{KeyedCert, LeafSpec};

/// What a node's identity depends on.
#[derive(Debug)]
pub struct NodeIdentityOptions<'a> {
    /// `<data-dir>` of the node.
    pub data_dir: &'a Path,
    /// Name of the Node object.
    pub name: &'a str,
    /// Addresses at which the kubelet is reached.
    pub addresses: &'a [IpAddr],
}

/// The identity of one node.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// Port 10250.
    pub kubelet_serving: KeyedCert,
    /// `system:node:NAME` in `system:nodes`.
    pub kubelet_client: KeyedCert,
    /// Authorities of the API server's certificate, PEM.
    pub server_ca_pem: String,
    /// Authorities of the kubelet's clients, PEM.
    pub client_ca_pem: String,
}

impl ServerIdentity {
    /// Issues what is missing of a node's identity below `<data-dir>/agent`, and loads all of it.
    ///
    /// # Errors
    /// When a file is malformed or cannot be written.
    pub fn issue_node(
        &self,
        options: &NodeIdentityOptions<'_>,
        now: Timestamp,
    ) -> Result<NodeIdentity, PkiError> {
        let agent = options.data_dir.join("agent");
        ensure_dir(&agent, 0o755)?;
        let authorities = [
            ("server-ca.crt", &self.server_ca),
            ("client-ca.crt", &self.client_ca),
        ];
        for (file, authority) in authorities {
            write_public(&agent.join(file), authority.cert_pem().as_bytes())?;
        }
        let serving = serving_spec(options);
        let user = format!("system:node:{}", options.name);
        let client = LeafSpec::client(&user, Some("system:nodes"));
        Ok(NodeIdentity {
            kubelet_serving: KeyedCert::ensure(
                &agent,
                "serving-kubelet",
                &self.server_ca,
                &serving,
                now,
            )?,
            kubelet_client: KeyedCert::ensure(
                &agent,
                "client-kubelet",
                &self.client_ca,
                &client,
                now,
            )?,
            server_ca_pem: self.server_ca.cert_pem().to_owned(),
            client_ca_pem: self.client_ca.cert_pem().to_owned(),
        })
    }
}

fn serving_spec(options: &NodeIdentityOptions<'_>) -> LeafSpec {
    let mut addresses: Vec<IpAddr> = vec![[127, 0, 0, 1].into()];
    addresses.extend(options.addresses);
    LeafSpec {
        common_name: options.name.to_owned(),
        organization: None,
        dns_names: vec![options.name.to_owned(), "localhost".into()],
        addresses,
        serves: true,
    }
}
