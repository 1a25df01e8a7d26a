//! Join tokens: `K10<hash of the authority>::<user>:<password>` (k3s `pkg/clientaccess/token.go`).

use k3s_base::{Random, Secret};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::PkiError;
use crate::tls::certs_from_pem;

const PREFIX: &str = "K10";

/// The secret of a cluster, given or generated, and the forms in which machines receive it.
#[derive(Clone, Debug)]
pub struct ServerToken {
    password: Secret,
}

impl ServerToken {
    /// 16 random bytes as hex, as K3s makes it.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self {
            password: Secret::new(hex::encode(random.bytes::<16>())),
        }
    }

    /// Reads a short token (`<password>`) or a full one, whose CA hash must be that of `ca_pem`.
    ///
    /// # Errors
    /// When the form is wrong or the hash is another cluster's.
    pub fn parse(text: &str, ca_pem: &str) -> Result<Self, PkiError> {
        match split(text)? {
            (Some(hash), _) if hash != ca_hash(ca_pem) => Err(PkiError::TokenAuthority),
            (_, password) => Self::short(password),
        }
    }

    /// Reads a token whose authority is not compared: it is not known yet, or the token is in this server's own
    /// file, which gets the hash of the authority that is there now.
    ///
    /// # Errors
    /// When the form is wrong.
    pub(crate) fn unpinned(text: &str) -> Result<Self, PkiError> {
        let (_, password) = split(text)?;
        Self::short(password)
    }

    fn short(password: &str) -> Result<Self, PkiError> {
        if password.is_empty()
            || password.contains(char::is_whitespace)
            || password.contains([',', ':'])
        {
            return Err(PkiError::TokenCharacters);
        }
        Ok(Self {
            password: Secret::new(password.to_owned()),
        })
    }

    /// The bare password.
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// `K10<hash>::<user>:<password>`.
    #[must_use]
    pub fn full(&self, ca_pem: &str, user: &str) -> Secret {
        Secret::new(format!(
            "{PREFIX}{}::{user}:{}",
            ca_hash(ca_pem),
            self.password.reveal()
        ))
    }
}

/// The hash of the authority, if the token has one, and the password.
fn split(text: &str) -> Result<(Option<&str>, &str), PkiError> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return Ok((None, text));
    };
    let (hash, credentials) = rest.split_once("::").ok_or(PkiError::TokenFormat)?;
    let (_user, password) = credentials.split_once(':').ok_or(PkiError::TokenFormat)?;
    Ok((Some(hash), password))
}

/// As K3s hashes the bundle that `/cacerts` serves, hex: of a single certificate the bytes of the PEM text; of a
/// chain its root in DER, so that authorities below the same root can change.
fn ca_hash(ca_pem: &str) -> String {
    let chain = certs_from_pem(ca_pem).unwrap_or_default();
    let root = root_of(&chain);
    let hashed = root.map_or(ca_pem.as_bytes(), |root| root.as_ref());
    hex::encode(Sha256::digest(hashed))
}

/// The root that the first certificate leads to by the others' signatures.
fn root_of<'a>(chain: &'a [CertificateDer<'static>]) -> Option<&'a CertificateDer<'static>> {
    let parse = |der: &'a CertificateDer<'static>| {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        Some((der, parsed))
    };
    let all: Vec<_> = chain.iter().map(parse).collect::<Option<_>>()?;
    let ((_, own), others) = all.split_first()?;
    let mut current = own;
    // Each turn goes one authority up, and none is its own ancestor.
    for _ in others {
        let signers = || {
            others
                .iter()
                .filter(|(_, other)| is_signed_by(current, other))
        };
        if let Some((der, _)) = signers().find(|(_, signer)| is_root(signer)) {
            return Some(der);
        }
        current = signers().map(|(_, signer)| signer).next()?;
    }
    None
}

fn is_signed_by(cert: &X509Certificate<'_>, signer: &X509Certificate<'_>) -> bool {
    cert.issuer().as_raw() == signer.subject().as_raw()
        && cert.verify_signature(Some(signer.public_key())).is_ok()
}

/// As K3s tells roots: without the identifier of another key that signed it.
fn is_root(cert: &X509Certificate<'_>) -> bool {
    let (mut own, mut signer) = (None, None);
    for extension in cert.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                signer = id.key_identifier.as_ref().map(|id| id.0);
            }
            _ => {}
        }
    }
    signer.is_none() || signer == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_tokens_round_trip_and_pin_the_ca() {
        let token = ServerToken::generate(&Random::seeded(1));
        assert_eq!(ca_hash("PEM A"), hex::encode(Sha256::digest("PEM A")));
        let full = token.full("PEM A", "server");
        let again = ServerToken::parse(full.reveal(), "PEM A").unwrap();
        assert_eq!(again.password(), token.password());
        let error = ServerToken::parse(full.reveal(), "PEM B").unwrap_err();
        assert!(error.to_string().contains("CA hash"), "{error}");
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for bad in ["", "K10abc", "K10abc::nopassword", "a b", "a,b", "a:b"] {
            assert!(ServerToken::parse(bad, "PEM").is_err(), "{bad:?}");
        }
    }
}
