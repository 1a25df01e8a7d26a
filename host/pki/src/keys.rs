//! Private keys in the forms in which K3s, kubeadm and openssl write them: PKCS#8, SEC1 (`EC PRIVATE KEY`) and
//! PKCS#1 (`RSA PRIVATE KEY`). The certificate library reads PKCS#8 only, so the others are wrapped in it.

use std::path::Path;

use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, BERReader, DERWriterSeq, Tag};

use crate::error::PkiError;

const RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
const EC: &[u64] = &[1, 2, 840, 10_045, 2, 1];
const P256: &[u64] = &[1, 2, 840, 10_045, 3, 1, 7];
const P384: &[u64] = &[1, 3, 132, 0, 34];

/// The first private key of a file.
///
/// # Errors
/// As [`all`].
pub(crate) fn first(path: &Path, pem: &str) -> Result<KeyPair, PkiError> {
    let keys = all(path, pem)?;
    keys.into_iter().next().ok_or_else(|| none_in(path))
}

/// Every private key of a file, at least one. `path` is named in errors.
///
/// # Errors
/// When the file holds none, or one that is encrypted or of a kind that is not supported.
pub(crate) fn all(path: &Path, pem: &str) -> Result<Vec<KeyPair>, PkiError> {
    if pem.contains("ENCRYPTED") {
        let expected = "the private key is encrypted with a passphrase; store it without";
        return Err(PkiError::unexpected(path, expected));
    }
    let keys = PrivateKeyDer::pem_slice_iter(pem.as_bytes())
        .map(|key| parse(path, &key.map_err(|e| PkiError::malformed(path, e))?))
        .collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(none_in(path));
    }
    Ok(keys)
}

fn none_in(path: &Path) -> PkiError {
    let expected = "no private key in the file; expected PEM: PKCS#8, EC (SEC1) or RSA (PKCS#1)";
    PkiError::unexpected(path, expected)
}

fn parse(path: &Path, key: &PrivateKeyDer<'_>) -> Result<KeyPair, PkiError> {
    let unsupported = || {
        let expected = "expected a private key for EC P-256, EC P-384 or RSA of at least 2048 bits, with its public key";
        PkiError::unexpected(path, expected)
    };
    let pkcs8 = match key {
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        PrivateKeyDer::Pkcs1(key) => wrap(key.secret_pkcs1_der(), |algorithm| {
            write_oid(algorithm, RSA);
            algorithm.next().write_null();
        }),
        PrivateKeyDer::Sec1(key) => {
            let key = key.secret_sec1_der();
            let curve = yasna::parse_der(key, curve).map_err(|_| unsupported())?;
            wrap(key, |algorithm| {
                write_oid(algorithm, EC);
                algorithm.next().write_oid(&curve);
            })
        }
        _ => return Err(unsupported()),
    };
    let pkcs8 = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    KeyPair::try_from(&pkcs8).map_err(|_| unsupported())
}

/// `PrivateKeyInfo` (RFC 5208) around a key of the algorithm that `algorithm` writes.
fn wrap(key: &[u8], algorithm: impl FnOnce(&mut DERWriterSeq<'_>)) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|info| {
            info.next().write_u8(0);
            info.next().write_sequence(algorithm);
            info.next().write_bytes(key);
        });
    })
}

fn write_oid(sequence: &mut DERWriterSeq<'_>, oid: &[u64]) {
    sequence
        .next()
        .write_oid(&ObjectIdentifier::from_slice(oid));
}

/// The curve of an `ECPrivateKey` (RFC 5915); without its name, by the length of the secret number.
fn curve(reader: BERReader<'_, '_>) -> ASN1Result<ObjectIdentifier> {
    reader.read_sequence(|key| {
        key.next().read_u8()?;
        let secret = key.next().read_bytes()?;
        let named = key.read_optional(|r| r.read_tagged(Tag::context(0), |r| r.read_oid()))?;
        key.read_optional(|r| r.read_tagged_der())?;
        let by_length = if secret.len() > 32 { P384 } else { P256 };
        Ok(named.unwrap_or_else(|| ObjectIdentifier::from_slice(by_length)))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn openssl(line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", &format!("openssl {line}")])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn keys_of_every_form_are_read_as_the_same_key() {
        for (make, header) in [
            ("ecparam -name prime256v1 -genkey -noout", "EC PRIVATE"),
            ("ecparam -name prime256v1 -genkey", "EC PARAMETERS"),
            ("ecparam -name secp384r1 -genkey -noout", "EC PRIVATE"),
            ("genrsa -traditional 2048", "RSA PRIVATE"),
        ] {
            let pem = openssl(&format!("{make} 2>/dev/null"));
            assert!(pem.contains(header), "{pem}");
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("key");
            std::fs::write(&file, &pem).unwrap();
            let pkcs8 = openssl(&format!("pkcs8 -topk8 -nocrypt -in {}", file.display()));
            let public = openssl(&format!("pkey -pubout -in {}", file.display()));
            let key = first(&file, &pem).unwrap();
            let plain = |pem: &str| pem.replace(['\r', '\n'], "");
            assert_eq!(plain(&key.public_key_pem()), plain(&public), "{make}");
            let wrapped = first(&file, &pkcs8).unwrap();
            assert_eq!(key.public_key_raw(), wrapped.public_key_raw(), "{make}");
        }
    }

    #[test]
    fn unreadable_keys_name_the_file_and_the_reason() {
        let cases = [
            ("not a key".to_owned(), "no private key"),
            (openssl("genrsa -traditional 1024 2>/dev/null"), "2048"),
            (
                openssl("ecparam -name secp521r1 -genkey -noout"),
                "EC P-384",
            ),
            (
                openssl("genrsa -aes128 -passout pass:x 2048 2>/dev/null"),
                "passphrase",
            ),
        ];
        for (pem, said) in cases {
            let error = all(Path::new("/x/server-ca.key"), &pem).unwrap_err();
            let text = k3s_base::error::chain(&error).to_string();
            assert!(
                text.starts_with("/x/server-ca.key") && text.contains(said),
                "{text}"
            );
        }
    }
}
