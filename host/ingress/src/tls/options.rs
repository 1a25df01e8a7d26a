//! Server settings for handshakes: versions, ciphers, protocols, client certificates.

use std::sync::Arc;

use arc_swap::ArcSwap;
use k3s_serve::trust::{self, AnyServerCertificate};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, default_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certs::{Certificates, Resolver};
use crate::error::TlsError;
use crate::model::{ClientAuth, TlsOptions, TlsVersion};

/// Traefik's defaults: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, no client certificates.
pub(crate) fn default_config(
    certificates: Arc<ArcSwap<Certificates>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Combination)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver {
            certificates,
            strict: false,
        }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// As a TLSOption asks for. `authorities` are the client authorities it names.
pub(crate) fn config(
    options: &TlsOptions,
    authorities: RootCertStore,
    certificates: Arc<ArcSwap<Certificates>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider(&options.cipher_suites)?);
    let versions = versions(options)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(TlsError::Combination)?;
    let verifier = |optional: bool| {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(authorities.clone()),
            provider.clone(),
        );
        let verifier = if optional {
            verifier.allow_unauthenticated()
        } else {
            verifier
        };
        verifier.build().map_err(TlsError::ClientAuthorities)
    };
    let builder = match options.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::VerifyIfGiven => builder.with_client_cert_verifier(verifier(true)?),
        ClientAuth::RequireAndVerify => builder.with_client_cert_verifier(verifier(false)?),
        // An unverified certificate proves nothing.
        ClientAuth::Request | ClientAuth::Require => {
            return Err(TlsError::UnverifiedClients);
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Resolver {
        certificates,
        strict: options.sni_strict,
    }));
    config.alpn_protocols = match options.alpn.is_empty() {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => options
            .alpn
            .iter()
            .map(|name| name.clone().into_bytes())
            .collect(),
    };
    Ok(Arc::new(config))
}

fn provider(suites: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = default_provider();
    if suites.is_empty() {
        return Ok(provider);
    }
    // TLS 1.3's suites cannot be configured, as in Go: they always stay.
    let mut chosen: Vec<_> = ALL_CIPHER_SUITES
        .iter()
        .filter(|suite| suite.tls13().is_some())
        .copied()
        .collect();
    for name in suites {
        // The library writes `TLS13_` where IANA writes `TLS_`.
        let is = |suite: &&rustls::SupportedCipherSuite| {
            suite
                .suite()
                .as_str()
                .is_some_and(|own| own == name || own.replacen("TLS13_", "TLS_", 1) == *name)
        };
        let found = ALL_CIPHER_SUITES
            .iter()
            .find(is)
            .ok_or_else(|| TlsError::CipherSuite(name.clone()))?;
        if found.tls13().is_none() {
            chosen.push(*found);
        }
    }
    provider.cipher_suites = chosen;
    Ok(provider)
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    use rustls::version::{TLS12, TLS13};
    match (options.min_version, options.max_version) {
        (TlsVersion::Tls12, TlsVersion::Tls13) => Ok(vec![&TLS13, &TLS12]),
        (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(vec![&TLS13]),
        (TlsVersion::Tls12, TlsVersion::Tls12) => Ok(vec![&TLS12]),
        (TlsVersion::Tls13, TlsVersion::Tls12) => Err(TlsError::Versions),
    }
}

/// The TLS settings towards servers: `roots` replace the machine's authorities, `identity` is the client
/// certificate, `skip_verify` accepts any server certificate.
pub(crate) fn client(
    roots: Option<RootCertStore>,
    identity: Option<Arc<CertifiedKey>>,
    skip_verify: bool,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Combination)?;
    let builder = if skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServerCertificate))
    } else {
        builder.with_root_certificates(roots.unwrap_or_else(trust::system_roots))
    };
    Ok(match identity {
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    })
}
