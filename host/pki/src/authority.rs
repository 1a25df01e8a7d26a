//! Certificate authorities: made once, valid for ten years, never replaced automatically.

use std::path::Path;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use crate::error::PkiError;
use crate::files::{read_optional, write_private, write_public};
use crate::leaf::{LeafSpec, day_offset};

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
                Self::from_pem(&cert, &key).map_err(|e| PkiError::malformed(cert_path, e))
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

    fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        Ok(Self {
            cert_pem: cert_pem.to_owned(),
            issuer: Issuer::from_ca_cert_pem(cert_pem, key)?,
        })
    }

    /// The bundle that clients trust.
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
