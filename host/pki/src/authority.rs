//! Certificate authorities: made once, valid for ten years, never replaced automatically.

use std::path::Path;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::PkiError;
use crate::files::{read_optional, write_private, write_public};
use crate::keys;
use crate::leaf::{LeafSpec, day_offset};
use crate::tls::certs_from_pem;

/// K3s' lifetime of an authority.
const CA_DAYS: i64 = 3650;

/// One certificate authority, loaded with its key.
#[derive(Debug)]
pub struct CertAuthority {
    cert_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertAuthority {
    /// Loads `<dir>/<name>.crt` and `.key`; makes both when neither exists.
    ///
    /// # Errors
    /// When one of the two files is missing, unreadable or not a CA.
    pub fn ensure(dir: &Path, name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let (cert_path, key_path) = (
            dir.join(format!("{name}.crt")),
            dir.join(format!("{name}.key")),
        );
        match (read_optional(&cert_path)?, read_optional(&key_path)?) {
            (Some(cert), Some(key)) => {
                let key = keys::first(&key_path, &key)?;
                Self::load(&cert_path, &cert, key)
            }
            (None, None) => {
                let (authority, key_pem) =
                    Self::generate(&format!("k3s-{name}@{}", now.as_second()), now)?;
                write_private(&key_path, key_pem.as_bytes())?;
                write_public(&cert_path, authority.cert_pem.as_bytes())?;
                Ok(authority)
            }
            (None, Some(_)) => Err(PkiError::Incomplete {
                path: cert_path,
                other: "private key",
            }),
            (Some(_), None) => Err(PkiError::Incomplete {
                path: key_path,
                other: "certificate",
            }),
        }
    }

    fn generate(common_name: &str, now: Timestamp) -> Result<(Self, String), PkiError> {
        let issue = |source| PkiError::Issue {
            name: common_name.to_owned(),
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.not_before = day_offset(now, 0);
        params.not_after = day_offset(now, CA_DAYS);
        let cert = params.self_signed(&key).map_err(issue)?;
        let key_pem = key.serialize_pem();
        Ok((
            Self {
                cert_pem: cert.pem(),
                issuer: Issuer::new(params, key),
            },
            key_pem,
        ))
    }

    /// `cert_pem` may go on with the authorities that signed this one.
    fn load(path: &Path, cert_pem: &str, key: KeyPair) -> Result<Self, PkiError> {
        let malformed = |source| PkiError::malformed(path, source);
        let certs = certs_from_pem(cert_pem).map_err(malformed)?;
        let own = certs
            .first()
            .ok_or_else(|| malformed(PkiError::NoCertificate))?;
        let (_, parsed) =
            X509Certificate::from_der(own).map_err(|e| PkiError::malformed(path, e))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            let expected = "the first certificate does not belong to the private key beside it";
            return Err(PkiError::unexpected(path, expected));
        }
        if !parsed.is_ca() {
            let expected = "the first certificate is not of an authority (CA:TRUE)";
            return Err(PkiError::unexpected(path, expected));
        }
        let issuer =
            Issuer::from_ca_cert_der(own, key).map_err(|e| PkiError::malformed(path, e))?;
        Ok(Self {
            cert_pem: cert_pem.to_owned(),
            issuer,
        })
    }

    /// The bundle that clients trust: this authority, then those that signed it.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Issues a certificate for `key`; the PEM holds the leaf, then this authority.
    ///
    /// # Errors
    /// When the names in `spec` cannot be written into a certificate.
    pub fn issue(
        &self,
        spec: &LeafSpec,
        key: &KeyPair,
        now: Timestamp,
    ) -> Result<String, PkiError> {
        let issue = |source| PkiError::Issue {
            name: spec.common_name.clone(),
            source,
        };
        let cert = spec
            .params(now)
            .map_err(issue)?
            .signed_by(key, &self.issuer)
            .map_err(issue)?;
        Ok(format!("{}{}", cert.pem(), self.cert_pem))
    }
}
