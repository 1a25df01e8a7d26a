//! Client certificates: the common name is the user, organisations are groups. The TLS layer has
//! verified the chain against the client authority.

use http::Extensions;
use k3s_meta::UserInfo;
use k3s_serve::{ConnectionSlot, PeerCertificates};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The identity of the connection, read once per connection.
pub(super) fn user(extensions: &Extensions) -> Option<UserInfo> {
    let peer = extensions.get::<PeerCertificates>()?;
    let leaf = peer.first()?;
    let cached = extensions
        .get::<ConnectionSlot>()
        .and_then(|slot| slot.get_or_init(|| read(leaf)));
    match cached {
        Some(user) => Option::clone(&user),
        None => read(leaf),
    }
}

/// Whom a certificate names.
pub(crate) struct Subject {
    /// The common name, never empty.
    pub(crate) name: String,
    /// The organisations.
    pub(crate) groups: Vec<String>,
}

/// The subject of a certificate; `None` for one that cannot be read or names no user.
pub(crate) fn subject(der: &[u8]) -> Option<Subject> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    // Of several, Go takes the last.
    let name = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let groups = subject
        .iter_organization()
        .filter_map(|value| value.as_str().ok())
        .map(str::to_owned)
        .collect();
    Some(Subject { name, groups })
}

fn read(der: &[u8]) -> Option<UserInfo> {
    let Subject { name, groups } = subject(der)?;
    let mut user = UserInfo::new(name, groups);
    user.extra.insert(
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("X509SHA256={}", hex(&certificate_digest(der)))],
    );
    Some(user)
}

fn certificate_digest(der: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(der).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
