//! TLS set-ups for both ends, from PEM: ring only, TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.

use std::error::Error;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::PkiError;
use crate::leaf::KeyedCert;

/// Every certificate of a PEM bundle.
///
/// # Errors
/// When the text is not PEM or holds no certificate.
pub(crate) fn certs_from_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(tls)?;
    if certs.is_empty() {
        Err(PkiError::NoCertificate)
    } else {
        Ok(certs)
    }
}

/// A server that asks clients for a certificate of one of `client_ca_pem`'s authorities and lets
/// those without one in (they may have a token).
///
/// # Errors
/// When a certificate or key is malformed.
pub fn server_config(
    serving: &KeyedCert,
    client_ca_pem: &str,
) -> Result<Arc<ServerConfig>, PkiError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(client_ca_pem)?),
        provider.clone(),
    )
    .allow_unauthenticated()
    .build()
    .map_err(tls)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certs_from_pem(&serving.cert_pem)?, private_key(serving)?)
        .map_err(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client that trusts `server_ca_pem` and shows `client`. No ALPN is set: the HTTP client does.
///
/// # Errors
/// When a certificate or key is malformed.
pub fn client_config(server_ca_pem: &str, client: &KeyedCert) -> Result<ClientConfig, PkiError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots(server_ca_pem)?)
        .with_client_auth_cert(certs_from_pem(&client.cert_pem)?, private_key(client)?)
        .map_err(tls)
}

fn roots(pem: &str) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for cert in certs_from_pem(pem)? {
        roots.add(cert).map_err(tls)?;
    }
    Ok(roots)
}

fn private_key(cert: &KeyedCert) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(cert.key_pem.reveal().as_bytes()).map_err(tls)
}

fn tls(error: impl Error + Send + Sync + 'static) -> PkiError {
    PkiError::Tls(Box::new(error))
}
