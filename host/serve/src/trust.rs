//! Which servers a client of this process trusts: those that the machine's authorities vouch for, or, where a
//! setting says so, any.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

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

/// Accepts a server whose certificate an authority has issued, or which is itself among the listed ones,
/// as Go does: a self-signed certificate that says it is an authority may be a server's own.
#[derive(Debug)]
pub struct IssuedOrListed {
    issued: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl IssuedOrListed {
    /// Trusts `roots`, and the `listed` certificates both as authorities and as servers' own.
    ///
    /// # Errors
    /// When a listed certificate cannot be read, or nothing is trusted.
    pub fn new(
        mut roots: RootCertStore,
        listed: Vec<CertificateDer<'static>>,
    ) -> Result<Self, UnusableRoots> {
        for certificate in &listed {
            roots.add(certificate.clone())?;
        }
        let provider = Arc::new(default_provider());
        let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            issued: issued.build()?,
            listed,
        })
    }
}

/// Certificates that nothing can be verified with.
#[derive(Debug, thiserror::Error)]
pub enum UnusableRoots {
    /// One cannot be read.
    #[error(transparent)]
    Certificate(#[from] rustls::Error),
    /// There is none.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
}

impl ServerCertVerifier for IssuedOrListed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.issued.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let is_listed = || {
            self.listed
                .iter()
                .any(|certificate| certificate == end_entity)
        };
        match verified {
            Err(_) if is_listed() => verify_itself(end_entity, server_name, now),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

/// What is left to verify of a trusted certificate: its time and its names.
fn verify_itself(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let malformed = |_| rustls::Error::from(CertificateError::BadEncoding);
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(malformed)?;
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    let certificate = ParsedCertificate::try_from(certificate)?;
    rustls::client::verify_server_name(&certificate, server_name)?;
    Ok(ServerCertVerified::assertion())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    const NAME: &str = "registry.example";

    /// What `openssl req -x509` makes: self-signed, and an authority.
    fn self_signed(expired: bool) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if expired { 2021 } else { 2040 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn verify(
        listed: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &'static str,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = IssuedOrListed::new(RootCertStore::empty(), vec![listed.clone()]).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        verifier.verify_server_cert(shown, &[], &name, &[], now)
    }

    #[test]
    fn a_listed_authority_may_be_the_servers_own_certificate() {
        let listed = self_signed(false);
        verify(&listed, &listed, NAME).unwrap();
        assert!(verify(&listed, &listed, "other.example").is_err());
        assert!(verify(&listed, &self_signed(false), NAME).is_err());
        let expired = self_signed(true);
        assert_eq!(
            verify(&expired, &expired, NAME).unwrap_err(),
            CertificateError::Expired.into()
        );
    }
}
