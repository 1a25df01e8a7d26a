//! Server settings for handshakes: versions, ciphers, protocols, client certificates.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, default_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certs::{Certificates, Resolver};
use crate::model::{ClientAuth, TlsOptions, TlsVersion};
use crate::upstream::roots;

/// Traefik's defaults: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, no client certificates.
pub(crate) fn default_config(
    certificates: Arc<ArcSwap<Certificates>>,
) -> Result<Arc<ServerConfig>, String> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
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
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(&options.cipher_suites)?);
    let versions = versions(options)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
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
        verifier
            .build()
            .map_err(|error| format!("client authorities: {error}"))
    };
    let builder = match options.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::VerifyIfGiven => builder.with_client_cert_verifier(verifier(true)?),
        ClientAuth::RequireAndVerify => builder.with_client_cert_verifier(verifier(false)?),
        // A certificate that nobody verifies proves nothing.
        ClientAuth::Request | ClientAuth::Require => {
            return Err("client certificates that are not verified are not supported".to_owned());
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

fn provider(suites: &[String]) -> Result<CryptoProvider, String> {
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
            .ok_or_else(|| format!("cipher suite {name} is not supported"))?;
        if found.tls13().is_none() {
            chosen.push(*found);
        }
    }
    provider.cipher_suites = chosen;
    Ok(provider)
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    use rustls::version::{TLS12, TLS13};
    match (options.min_version, options.max_version) {
        (TlsVersion::Tls12, TlsVersion::Tls13) => Ok(vec![&TLS13, &TLS12]),
        (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(vec![&TLS13]),
        (TlsVersion::Tls12, TlsVersion::Tls12) => Ok(vec![&TLS12]),
        (TlsVersion::Tls13, TlsVersion::Tls12) => {
            Err("the lowest version is above the highest".to_owned())
        }
    }
}

/// How servers are spoken to: `roots` are whom to trust instead of the machine's authorities, `shown` the
/// client certificate. `skip_verify` trusts whoever answers.
pub(crate) fn client(
    roots: Option<RootCertStore>,
    shown: Option<Arc<CertifiedKey>>,
    skip_verify: bool,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(roots.unwrap_or_else(roots::of_the_system))
    };
    Ok(match shown {
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    })
}

/// `insecureSkipVerify`: encrypts, and proves nothing.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
