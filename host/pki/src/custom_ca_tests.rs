//! Authorities that the operator made before the first start, with the commands of K3s'
//! `contrib/util/generate-custom-ca-certs.sh`: RSA root and intermediate, EC authorities below them as SEC1 keys,
//! and an RSA key for the service account issuer.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use k3s_base::Random;
use k3s_base::error::chain;
use rustls::{ClientConnection, Connection, ServerConnection};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::identity::{ServerIdentity, ServerIdentityOptions};
use crate::tls::{client_config, server_config};

const SCRIPT: &str = r#"
set -e
cat > ca.conf <<EOF
[req]
distinguished_name = name
[name]
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign
EOF
openssl genrsa -traditional -out service.key 2048
openssl genrsa -traditional -out root-ca.key 2048
openssl req -x509 -new -nodes -sha256 -days 7300 -subj /CN=k3s-root-ca@1 -key root-ca.key -out root-ca.pem -config ca.conf -extensions v3_ca
openssl genrsa -traditional -out intermediate-ca.key 2048
openssl req -new -nodes -subj /CN=k3s-intermediate-ca@1 -key intermediate-ca.key -config ca.conf |
  openssl x509 -req -days 3700 -CA root-ca.pem -CAkey root-ca.key -CAcreateserial -extfile ca.conf -extensions v3_ca -out intermediate-ca.pem
for TYPE in client server request-header; do
  openssl ecparam -name prime256v1 -genkey -noout -out $TYPE-ca.key
  openssl req -new -nodes -subj /CN=k3s-$TYPE-ca@1 -key $TYPE-ca.key -config ca.conf |
    openssl x509 -req -days 3700 -CA intermediate-ca.pem -CAkey intermediate-ca.key -CAcreateserial -extfile ca.conf -extensions v3_ca -out $TYPE-ca.pem
  cat $TYPE-ca.pem intermediate-ca.pem root-ca.pem > $TYPE-ca.crt
done
"#;

fn ensure(data_dir: &Path) -> Result<ServerIdentity, crate::PkiError> {
    let options = ServerIdentityOptions {
        data_dir,
        token: None,
        agent_token: None,
        extra_dns_names: vec![],
        addresses: vec![],
        cluster_domain: "cluster.local",
        node_name: "n1",
        server_url: "https://127.0.0.1:6443",
    };
    ServerIdentity::ensure(&options, &Random::from_os(), Timestamp::now())
}

fn made_by_the_script() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("server/tls");
    std::fs::create_dir_all(&tls).unwrap();
    let output = Command::new("sh")
        .args(["-c", SCRIPT])
        .current_dir(&tls)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    dir
}

/// A handshake in memory: a client that trusts `root_pem` only calls this server.
fn handshake(identity: &ServerIdentity, root_pem: &str) {
    let server = server_config(&identity.serving, identity.client_ca.cert_pem()).unwrap();
    let client = client_config(root_pem, &identity.admin).unwrap();
    let name = "kubernetes.default".try_into().unwrap();
    let mut client = Connection::from(ClientConnection::new(Arc::new(client), name).unwrap());
    let mut server = Connection::from(ServerConnection::new(server).unwrap());
    while client.is_handshaking() || server.is_handshaking() {
        transfer(&mut client, &mut server);
        transfer(&mut server, &mut client);
    }
    assert!(server.peer_certificates().is_some());
}

fn transfer(from: &mut Connection, to: &mut Connection) {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets().unwrap();
    }
}

#[test]
fn authorities_made_by_k3s_script_are_used_and_lead_to_their_root() {
    let dir = made_by_the_script();
    let tls = dir.path().join("server/tls");
    let read = |name: &str| std::fs::read_to_string(tls.join(name)).unwrap();
    let identity = ensure(dir.path()).unwrap();
    assert_eq!(identity.server_ca.cert_pem(), read("server-ca.crt"));
    assert_eq!(identity.service_accounts.algorithms(), ["RS256"]);
    handshake(&identity, &read("root-ca.pem"));

    // What K3s' agents compute of `/cacerts`: the hash of the root in DER.
    let root = CertificateDer::from_pem_slice(read("root-ca.pem").as_bytes()).unwrap();
    let token = std::fs::read_to_string(dir.path().join("server/token")).unwrap();
    let hash = hex::encode(Sha256::digest(&root));
    assert!(token.starts_with(&format!("K10{hash}::server:")), "{token}");

    let again = ensure(dir.path()).unwrap();
    assert_eq!(identity.serving.cert_pem, again.serving.cert_pem);
}

#[test]
fn a_key_that_does_not_fit_is_named_and_nothing_is_written() {
    let dir = made_by_the_script();
    let tls = dir.path().join("server/tls");
    let error = |key: &str, text: &str| {
        std::fs::write(tls.join(key), text).unwrap();
        chain(&ensure(dir.path()).unwrap_err())
    };
    let other = std::fs::read_to_string(tls.join("client-ca.key")).unwrap();
    let text = error("server-ca.key", &other);
    assert!(
        text.contains("server-ca.crt: the first certificate does not belong"),
        "{text}"
    );
    let text = error("server-ca.key", "");
    assert!(
        text.contains("server-ca.key: no private key in the file"),
        "{text}"
    );
    assert!(!tls.join("serving-kube-apiserver.crt").exists());
}
