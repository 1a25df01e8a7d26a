//! Everything a server must have on disk before it can serve: authorities, leaves, tokens, the
//! password file and the kubeconfigs, each made if missing and kept otherwise.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k3s_base::{Random, Secret};

use crate::authority::CertAuthority;
use crate::error::PkiError;
use crate::files::{ensure_dir, write_private};
use crate::join_tokens::GivenTokens;
use crate::kubeconfig::Kubeconfig;
use crate::leaf::{KeyedCert, LeafSpec};
use crate::passwd::PasswordFile;
use crate::serviceaccount::ServiceAccountKeys;
use crate::token::ServerToken;

/// What the identities depend on.
#[derive(Debug)]
pub struct ServerIdentityOptions<'a> {
    /// `<data-dir>`.
    pub data_dir: &'a Path,
    /// `--token`: short or full; random if absent and none is on disk.
    pub token: Option<&'a Secret>,
    /// `--agent-token`.
    pub agent_token: Option<&'a Secret>,
    /// Names the API is reached by, beyond the standard ones (`--tls-san`).
    pub extra_dns_names: Vec<String>,
    /// Addresses the API is reached at: service address, node addresses, `--tls-san`.
    pub addresses: Vec<IpAddr>,
    /// `cluster.local`.
    pub cluster_domain: &'a str,
    /// The machine's name, which the API is also reached by.
    pub node_name: &'a str,
    /// `https://127.0.0.1:6443`.
    pub server_url: &'a str,
}

/// The identities of one server.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Signs serving certificates; its certificate is what `/cacerts` serves.
    pub server_ca: CertAuthority,
    /// Signs client certificates.
    pub client_ca: CertAuthority,
    /// Signs front-proxy clients (aggregation).
    pub request_header_ca: CertAuthority,
    /// Port 6443.
    pub serving: KeyedCert,
    /// `system:admin` in `system:masters`.
    pub admin: KeyedCert,
    /// The API server as client of kubelets.
    pub apiserver_client: KeyedCert,
    /// Signs and verifies service account tokens.
    pub service_accounts: Arc<ServiceAccountKeys>,
    /// Users `server` and `node` of the supervisor.
    pub passwords: PasswordFile,
    /// The join token.
    pub token: ServerToken,
}

impl ServerIdentity {
    /// Makes what is missing below `<data-dir>` and loads everything.
    ///
    /// # Errors
    /// When a file is malformed, a given token is another cluster's, or writing fails.
    pub fn ensure(
        options: &ServerIdentityOptions<'_>,
        random: &Random,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let server = options.data_dir.join("server");
        let (tls, cred) = (server.join("tls"), server.join("cred"));
        for dir in [&server, &tls, &cred] {
            ensure_dir(dir, 0o700)?;
        }
        let server_ca = CertAuthority::ensure(&tls, "server-ca", now)?;
        let client_ca = CertAuthority::ensure(&tls, "client-ca", now)?;
        let request_header_ca = CertAuthority::ensure(&tls, "request-header-ca", now)?;
        let clients = Clients::ensure(&tls, &client_ca, &request_header_ca, now)?;
        let spec = apiserver_spec(options);
        let serving = KeyedCert::ensure(&tls, "serving-kube-apiserver", &server_ca, &spec, now)?;
        let issuer = format!("https://kubernetes.default.svc.{}", options.cluster_domain);
        let service_accounts = Arc::new(ServiceAccountKeys::ensure(&tls, &issuer)?);
        let given = GivenTokens {
            server: options.token,
            agent: options.agent_token,
        };
        let (token, passwords) = given.ensure(&server, server_ca.cert_pem(), random)?;
        let identity = Self {
            server_ca,
            client_ca,
            request_header_ca,
            serving,
            admin: clients.admin,
            apiserver_client: clients.apiserver,
            service_accounts,
            passwords,
            token,
        };
        identity.write_admin_kubeconfig(&cred.join("admin.kubeconfig"), options.server_url)?;
        Ok(identity)
    }

    /// Writes a kubeconfig for `system:admin`, 0600.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_admin_kubeconfig(&self, path: &Path, server_url: &str) -> Result<(), PkiError> {
        let config = Kubeconfig {
            server: server_url,
            ca_pem: self.server_ca.cert_pem(),
            client: &self.admin,
        };
        write_private(path, config.render().as_bytes())
    }
}

/// The client certificates of this process.
struct Clients {
    admin: KeyedCert,
    apiserver: KeyedCert,
}

impl Clients {
    /// Issues what is missing, those for other programs included.
    fn ensure(
        tls: &Path,
        client_ca: &CertAuthority,
        request_header_ca: &CertAuthority,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let client = |name: &str, cn: &str, org: Option<&str>| {
            KeyedCert::ensure(tls, name, client_ca, &LeafSpec::client(cn, org), now)
        };
        for (name, cn, org) in OTHER_CLIENTS {
            client(name, cn, *org)?;
        }
        let proxy = LeafSpec::client("system:auth-proxy", None);
        KeyedCert::ensure(tls, "client-auth-proxy", request_header_ca, &proxy, now)?;
        let masters = Some("system:masters");
        Ok(Self {
            admin: client("client-admin", "system:admin", masters)?,
            // K3s puts it into `system:masters`. Here it is bound to `system:kubelet-api-admin` and
            // has no other right: it is shown to whatever listens where a node is said to be.
            apiserver: client("client-kube-apiserver", "system:apiserver", None)?,
        })
    }
}

/// Client certificates that K3s also leaves in `tls/`: (file, common name, organisation).
const OTHER_CLIENTS: &[(&str, &str, Option<&str>)] = &[
    (
        "client-supervisor",
        "system:k3s-supervisor",
        Some("system:masters"),
    ),
    ("client-controller", "system:kube-controller-manager", None),
    ("client-scheduler", "system:kube-scheduler", None),
    ("client-kube-proxy", "system:kube-proxy", None),
    ("client-k3s-controller", "system:k3s-controller", None),
    (
        "client-k3s-cloud-controller",
        "k3s-cloud-controller-manager",
        None,
    ),
];

fn apiserver_spec(options: &ServerIdentityOptions<'_>) -> LeafSpec {
    let mut dns_names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
    ]
    .map(str::to_owned)
    .to_vec();
    dns_names.push(format!("kubernetes.default.svc.{}", options.cluster_domain));
    dns_names.push(options.node_name.to_owned());
    dns_names.extend(options.extra_dns_names.iter().cloned());
    let mut addresses: Vec<IpAddr> =
        vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
    addresses.extend(&options.addresses);
    addresses.sort_unstable();
    addresses.dedup();
    LeafSpec {
        common_name: "kube-apiserver".into(),
        organization: None,
        dns_names,
        addresses,
        serves: true,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::node::NodeIdentityOptions;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use crate::tls::{certs_from_pem, client_config, server_config};

    fn options(dir: &Path) -> ServerIdentityOptions<'_> {
        ServerIdentityOptions {
            data_dir: dir,
            token: None,
            agent_token: None,
            extra_dns_names: vec![],
            addresses: vec!["10.43.0.1".parse().unwrap()],
            cluster_domain: "cluster.local",
            node_name: "n1",
            server_url: "https://127.0.0.1:6443",
        }
    }

    #[test]
    fn a_second_start_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (random, now) = (Random::from_os(), Timestamp::now());
        let first = ServerIdentity::ensure(&options(dir.path()), &random, now).unwrap();
        let second = ServerIdentity::ensure(&options(dir.path()), &random, now).unwrap();
        assert_eq!(first.serving.cert_pem, second.serving.cert_pem);
        assert_eq!(first.token.password(), second.token.password());
        let mode = |p: &str| {
            std::fs::metadata(dir.path().join(p))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        for path in [
            "server/token",
            "server/cred/passwd",
            "server/tls/server-ca.key",
            "server/cred/admin.kubeconfig",
        ] {
            assert_eq!(mode(path), 0o600, "{path}");
        }
        assert_eq!(mode("server/tls"), 0o700);
        server_config(&first.serving, first.client_ca.cert_pem()).unwrap();
        client_config(first.server_ca.cert_pem(), &first.admin).unwrap();
    }

    #[test]
    fn the_client_of_kubelets_is_in_no_group() {
        let dir = tempfile::tempdir().unwrap();
        let (random, now) = (Random::from_os(), Timestamp::now());
        let identity = ServerIdentity::ensure(&options(dir.path()), &random, now).unwrap();
        let groups = |client: &KeyedCert| {
            let chain = certs_from_pem(&client.cert_pem).unwrap();
            let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
            let groups = leaf.subject().iter_organization();
            groups
                .map(|it| it.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(groups(&identity.admin), ["system:masters"]);
        assert!(groups(&identity.apiserver_client).is_empty());
    }

    #[test]
    fn another_token_than_the_one_on_disk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (random, now) = (Random::from_os(), Timestamp::now());
        ServerIdentity::ensure(&options(dir.path()), &random, now).unwrap();
        let other = Secret::new("other".to_owned());
        let with_token = ServerIdentityOptions {
            token: Some(&other),
            ..options(dir.path())
        };
        let error = ServerIdentity::ensure(&with_token, &random, now).unwrap_err();
        assert!(error.to_string().contains("rotate"), "{error}");
    }
    #[test]
    fn a_node_s_identity_is_kept_below_its_own_folder() {
        let (server_dir, node_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (random, now) = (Random::from_os(), Timestamp::now());
        let server = ServerIdentity::ensure(&options(server_dir.path()), &random, now).unwrap();
        let node = NodeIdentityOptions {
            data_dir: node_dir.path(),
            name: "n2",
            addresses: &["192.0.2.2".parse().unwrap()],
        };
        let first = server.issue_node(&node, now).unwrap();
        let second = server.issue_node(&node, now).unwrap();
        assert_eq!(
            first.kubelet_client.cert_pem,
            second.kubelet_client.cert_pem
        );
        client_config(&first.server_ca_pem, &first.kubelet_client).unwrap();
        server_config(&first.kubelet_serving, &first.client_ca_pem).unwrap();
        assert!(!server_dir.path().join("agent").exists());
        assert!(node_dir.path().join("agent/client-ca.crt").exists());
    }
}
