//! Certificates by the names in them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use k3s_base::{Clock, Random};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{CertificateError, GenerateError};

/// How long the default certificate is good for (Traefik: a year).
const DEFAULT_DAYS: i64 = 365;

/// A certificate and the names it is for.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) names: Vec<String>,
    pub(crate) key: Arc<CertifiedKey>,
}

/// What is served now.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Names, and `.suffix` of wildcards.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl Certificates {
    /// The first certificate of a name is served for it.
    pub(crate) fn new<'a>(
        all: impl Iterator<Item = &'a Certificate>,
        default: Arc<CertifiedKey>,
    ) -> Self {
        let mut by_name = HashMap::new();
        for certificate in all {
            for name in &certificate.names {
                let name = name.strip_prefix('*').unwrap_or(name).to_owned();
                by_name
                    .entry(name)
                    .or_insert_with(|| certificate.key.clone());
            }
        }
        Self { by_name, default }
    }

    /// The certificate of a server name: its own, then one of its domain.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let suffix = name.find('.').and_then(|dot| name.get(dot..));
        self.by_name.get(name).or_else(|| self.by_name.get(suffix?))
    }
}

/// Picks certificates for handshakes.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) certificates: Arc<ArcSwap<Certificates>>,
    /// Clients without a fitting name are refused rather than shown the default certificate.
    pub(crate) strict: bool,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let found = hello
            .server_name()
            .and_then(|name| certificates.find(&name.to_ascii_lowercase()).cloned());
        found.or_else(|| (!self.strict).then(|| certificates.default.clone()))
    }
}

/// Reads a Secret's `tls.crt` and `tls.key`.
pub(crate) fn parse(chain_pem: &[u8], key_pem: &[u8]) -> Result<Certificate, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<_, _>>()
        .map_err(CertificateError::Pem)?;
    let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
    let names = names_of(leaf)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| CertificateError::NoKey)?;
    let key =
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::OtherKey,
            other => CertificateError::Unusable(other),
        })?;
    Ok(Certificate {
        names,
        key: Arc::new(key),
    })
}

/// The DNS names of a certificate, lower case; its common name where it has none.
fn names_of(leaf: &CertificateDer<'_>) -> Result<Vec<String>, CertificateError> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(CertificateError::X509)?;
    let extension = parsed.subject_alternative_name().ok().flatten();
    let of_dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    let names: Vec<_> = extension
        .iter()
        .flat_map(|e| &e.value.general_names)
        .filter_map(of_dns)
        .collect();
    if !names.is_empty() {
        return Ok(names);
    }
    let common = parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    Ok(common.map(str::to_ascii_lowercase).collect())
}

/// The certificate for server names that no other certificate covers, with Traefik's names in it.
pub(crate) fn self_signed(
    clock: &Clock,
    random: &Random,
) -> Result<Arc<CertifiedKey>, GenerateError> {
    let (one, two) = (random.name_suffix(32), random.name_suffix(32));
    let mut params = CertificateParams::new(vec![format!("{one}.{two}.traefik.default")])?;
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, "TRAEFIK DEFAULT CERT");
    let now = time::OffsetDateTime::from_unix_timestamp(clock.now().as_second())?;
    params.not_before = now;
    params.not_after = now + time::Duration::days(DEFAULT_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(GenerateError::Key)?;
    let key = CertifiedKey::from_der(vec![certificate.der().clone()], der, &default_provider())?;
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn names_find_their_certificate() {
        let default = self_signed(&Clock::system(), &Random::seeded(1)).unwrap();
        let parsed = |names: &[&str]| {
            let (chain, key) = pair(names);
            parse(chain.as_bytes(), key.as_bytes()).unwrap()
        };
        let (one, wild) = (
            parsed(&["A.example.com", "b.org"]),
            parsed(&["*.example.com"]),
        );
        let all = Certificates::new([&one, &wild].into_iter(), default);
        let is = |name: &str, wanted: &Certificate| {
            all.find(name).is_some_and(|k| Arc::ptr_eq(k, &wanted.key))
        };
        assert!(is("a.example.com", &one) && is("b.org", &one) && is("x.example.com", &wild));
        assert!(all.find("x.y.example.com").is_none() && all.find("example.com").is_none());
    }

    #[test]
    fn broken_pairs_say_what_is_wrong_and_nothing_of_the_key() {
        let ((chain, key), (_, other)) = (pair(&["a"]), pair(&["b"]));
        let error = |chain: &str, key: &str| {
            parse(chain.as_bytes(), key.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(error("", &key).contains("no certificate"));
        assert!(error(&chain, "").contains("no private key"));
        assert!(error(&chain, &other).contains("not the key of"));
    }
}
