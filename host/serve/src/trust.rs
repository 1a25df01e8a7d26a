//! Which servers a client of this process trusts: those that the machine's authorities vouch for, or, where a
//! setting says so, any.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where distributions keep the authorities that they trust (Go's `crypto/x509/root_linux.go`).
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The machine's authorities; none where there is no bundle, so that no server is trusted.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut bundles = BUNDLES.iter();
    let bundle = bundles.find_map(|path| std::fs::read(path).ok());
    roots_from_pem(&bundle.unwrap_or_default())
}

/// The authorities of a bundle. Bundles hold certificates that rustls refuses; the others still count.
#[must_use]
pub fn roots_from_pem(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem);
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    roots
}

/// Accepts whatever certificate a server shows, as `insecureSkipVerify` of a transport or a registry asks for,
/// and as probes do. The connection is encrypted and proves nothing. Signatures are not verified either: by a
/// key that no authority vouches for they would prove nothing, and the verifier refuses certificates (of
/// version 1) that Go takes.
#[derive(Debug)]
pub struct AnyServerCertificate;

impl ServerCertVerifier for AnyServerCertificate {
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
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
