//! Leaf certificates: what one should say, and whether the one on disk still says it.

use std::net::IpAddr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use k3s_base::Secret;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::CertAuthority;
use crate::error::PkiError;
use crate::files::{read_optional, write_private, write_public};
use crate::keys;
use crate::tls::certs_from_pem;

/// A leaf nearer to its end than this is re-issued at start (K3s: 120 days of 365).
const RENEW_BEFORE_DAYS: i64 = 120;
const LEAF_DAYS: i64 = 365;

/// What a leaf certificate says.
#[derive(Clone, Debug, Default)]
pub struct LeafSpec {
    /// Common name: the user name, for client certificates.
    pub common_name: String,
    /// Organisation: the group, for client certificates.
    pub organization: Option<String>,
    /// DNS names it may serve.
    pub dns_names: Vec<String>,
    /// Addresses it may serve.
    pub addresses: Vec<IpAddr>,
    /// For servers as well as clients.
    pub serves: bool,
}

impl LeafSpec {
    /// A client certificate.
    #[must_use]
    pub fn client(common_name: &str, organization: Option<&str>) -> Self {
        Self {
            common_name: common_name.into(),
            organization: organization.map(Into::into),
            ..Self::default()
        }
    }

    pub(crate) fn params(&self, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.dns_names.clone())?;
        params
            .subject_alt_names
            .extend(self.addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name.remove(DnType::CommonName);
        if let Some(organization) = &self.organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization.as_str());
        }
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name.as_str());
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![if self.serves {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        params.use_authority_key_identifier_extension = true;
        params.not_before = day_offset(now, 0);
        params.not_after = day_offset(now, LEAF_DAYS);
        Ok(params)
    }

    fn matches(&self, cert: &X509Certificate<'_>) -> bool {
        let subject = cert.subject();
        let first = |mut found: Vec<&str>| found.pop().map(str::to_owned);
        let cn = first(
            subject
                .iter_common_name()
                .filter_map(|a| a.as_str().ok())
                .collect(),
        );
        let org = first(
            subject
                .iter_organization()
                .filter_map(|a| a.as_str().ok())
                .collect(),
        );
        cn.as_deref() == Some(self.common_name.as_str())
            && org == self.organization
            && self.names_are_in(cert)
    }

    fn names_are_in(&self, cert: &X509Certificate<'_>) -> bool {
        let Ok(extension) = cert.subject_alternative_name() else {
            return false;
        };
        let names = extension
            .map(|e| e.value.general_names.as_slice())
            .unwrap_or_default();
        let has_dns = |name: &String| {
            names
                .iter()
                .any(|n| matches!(n, GeneralName::DNSName(d) if *d == name.as_str()))
        };
        let has_ip = |ip: &IpAddr| {
            let octets = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            names
                .iter()
                .any(|n| matches!(n, GeneralName::IPAddress(bytes) if *bytes == octets.as_slice()))
        };
        self.dns_names.iter().all(has_dns) && self.addresses.iter().all(has_ip)
    }
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct KeyedCert {
    /// Leaf, then its authority.
    pub cert_pem: String,
    /// PKCS#8, or as it was on disk.
    pub key_pem: Secret,
}

impl KeyedCert {
    /// Loads `<dir>/<name>.crt` and `.key`, and reissues the pair where it is missing, near its end
    /// or differs from `spec`.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn ensure(
        dir: &Path,
        name: &str,
        ca: &CertAuthority,
        spec: &LeafSpec,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let (cert_path, key_path) = (
            dir.join(format!("{name}.crt")),
            dir.join(format!("{name}.key")),
        );
        let key = match read_optional(&key_path)? {
            Some(key_pem) => {
                let key = keys::first(&key_path, &key_pem)?;
                if let Some(cert_pem) = read_optional(&cert_path)?
                    && is_current(&cert_pem, &key, ca, spec, now)
                {
                    return Ok(Self {
                        cert_pem,
                        key_pem: Secret::new(key_pem),
                    });
                }
                key
            }
            None => Self::new_key(&spec.common_name)?,
        };
        let issued = Self {
            cert_pem: ca.issue(spec, &key, now)?,
            key_pem: Secret::new(key.serialize_pem()),
        };
        write_private(&key_path, issued.key_pem.reveal().as_bytes())?;
        write_public(&cert_path, issued.cert_pem.as_bytes())?;
        Ok(issued)
    }

    fn new_key(name: &str) -> Result<KeyPair, PkiError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| PkiError::Issue {
            name: name.to_owned(),
            source,
        })
    }
}

fn is_current(
    cert_pem: &str,
    key: &KeyPair,
    ca: &CertAuthority,
    spec: &LeafSpec,
    now: Timestamp,
) -> bool {
    let (Ok(chain), Ok(roots)) = (certs_from_pem(cert_pem), certs_from_pem(ca.cert_pem())) else {
        return false;
    };
    let (Some(leaf), Some(root)) = (chain.first(), roots.first()) else {
        return false;
    };
    let (Ok((_, leaf)), Ok((_, root))) = (
        X509Certificate::from_der(leaf),
        X509Certificate::from_der(root),
    ) else {
        return false;
    };
    let renew_at = now.as_second().saturating_add(RENEW_BEFORE_DAYS * 86_400);
    leaf.validity().not_after.timestamp() > renew_at
        && leaf.verify_signature(Some(root.public_key())).is_ok()
        && leaf.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
        && spec.matches(&leaf)
}

/// `now` plus whole days, in the certificate library's time type; a minute early at the start, so
/// that a client whose clock is a little behind accepts it.
pub(crate) fn day_offset(now: Timestamp, days: i64) -> time::OffsetDateTime {
    let shifted = now
        .checked_add(SignedDuration::from_secs(days * 86_400 - 60))
        .unwrap_or(now);
    time::OffsetDateTime::from_unix_timestamp(shifted.as_second())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (tempfile::TempDir, CertAuthority, Timestamp) {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let ca = CertAuthority::ensure(dir.path(), "client-ca", now).unwrap();
        (dir, ca, now)
    }

    #[test]
    fn a_leaf_is_kept_until_it_is_near_its_end() {
        let (dir, ca, now) = setup();
        let spec = LeafSpec::client("system:admin", Some("system:masters"));
        let first = KeyedCert::ensure(dir.path(), "client-admin", &ca, &spec, now).unwrap();
        let later = now
            .checked_add(SignedDuration::from_hours(24 * 200))
            .unwrap();
        let kept = KeyedCert::ensure(dir.path(), "client-admin", &ca, &spec, later).unwrap();
        assert_eq!(first.cert_pem, kept.cert_pem);
        let near_end = now
            .checked_add(SignedDuration::from_hours(24 * 250))
            .unwrap();
        let renewed = KeyedCert::ensure(dir.path(), "client-admin", &ca, &spec, near_end).unwrap();
        assert_ne!(first.cert_pem, renewed.cert_pem);
        assert_eq!(first.key_pem, renewed.key_pem);
    }

    #[test]
    fn a_leaf_is_reissued_when_its_names_change() {
        let (dir, ca, now) = setup();
        let mut spec = LeafSpec {
            common_name: "kube-apiserver".into(),
            serves: true,
            ..LeafSpec::default()
        };
        spec.dns_names.push("kubernetes".into());
        let first = KeyedCert::ensure(dir.path(), "serving", &ca, &spec, now).unwrap();
        spec.addresses.push("10.43.0.1".parse().unwrap());
        let second = KeyedCert::ensure(dir.path(), "serving", &ca, &spec, now).unwrap();
        assert_ne!(first.cert_pem, second.cert_pem);
        let third = KeyedCert::ensure(dir.path(), "serving", &ca, &spec, now).unwrap();
        assert_eq!(second.cert_pem, third.cert_pem);
    }

    #[test]
    fn half_an_authority_is_refused_and_nothing_is_written() {
        let (dir, _, now) = setup();
        std::fs::remove_file(dir.path().join("client-ca.key")).unwrap();
        let error = CertAuthority::ensure(dir.path(), "client-ca", now).unwrap_err();
        assert!(
            error.to_string().contains("client-ca.key: missing"),
            "{error}"
        );
        assert!(!dir.path().join("client-ca.key").exists());
    }
}
