//! Kubeconfig files as K3s writes them: cluster, user and context are all named `default`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::leaf::KeyedCert;

/// What a kubeconfig says.
#[derive(Debug)]
pub struct Kubeconfig<'a> {
    /// `https://127.0.0.1:6443`.
    pub server: &'a str,
    /// The bundle the client trusts.
    pub ca_pem: &'a str,
    /// Who the client is.
    pub client: &'a KeyedCert,
}

impl Kubeconfig<'_> {
    /// The file's text. It holds a private key: write it 0600.
    #[must_use]
    pub fn render(&self) -> String {
        let ca = STANDARD.encode(self.ca_pem);
        let cert = STANDARD.encode(&self.client.cert_pem);
        let key = STANDARD.encode(self.client.key_pem.reveal());
        format!(
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: default\n\
             contexts:\n\
             - context:\n    cluster: default\n    user: default\n  name: default\n\
             current-context: default\n\
             kind: Config\n\
             users:\n\
             - name: default\n  user:\n    client-certificate-data: {cert}\n    client-key-data: {key}\n",
            server = self.server,
        )
    }
}
