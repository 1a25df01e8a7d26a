//! Certificate requests (PKCS#10) and issued certificates in PEM (`ParseCSR`, `CheckSignature`, `validateCertificate`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// Smallest RSA keys whose signatures can be verified here.
const MIN_RSA_BITS: usize = 2048;

/// Why a request is none, in upstream's words as far as they are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    #[error("asn1: structure error: malformed certificate request")]
    Der,
    #[error("crypto/rsa: verification error")]
    RsaSignature,
    #[error("x509: ECDSA verification failure")]
    EcSignature,
    #[error("x509: Ed25519 verification failure")]
    Signature,
}

/// Checks that the first block of `pem` is a request that its own key has signed. Signatures of algorithms that are not
/// known here are left to the signer.
pub(super) fn check(pem: &[u8]) -> Result<(), RequestError> {
    let der = first_block(&String::from_utf8_lossy(pem)).ok_or(RequestError::Pem)?;
    let parsed = X509CertificationRequest::from_der(&der).ok();
    let (_, request) = parsed
        .filter(|(rest, _)| rest.is_empty())
        .ok_or(RequestError::Der)?;
    let key = request.certification_request_info.subject_pki.parsed();
    match (request.verify_signature(), key) {
        (Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm), _) => Ok(()),
        (Err(_), Ok(PublicKey::RSA(key))) if key.key_size() < MIN_RSA_BITS => Ok(()),
        (Err(_), Ok(PublicKey::RSA(_))) => Err(RequestError::RsaSignature),
        (Err(_), Ok(PublicKey::EC(_))) => Err(RequestError::EcSignature),
        (Err(_), _) => Err(RequestError::Signature),
    }
}

/// What the first block of PEM holds, if it is a request. Text around it is passed over.
fn first_block(pem: &str) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN ";
    let begin = pem.find(BEGIN)?;
    let block = pem
        .get(begin..)?
        .strip_prefix("-----BEGIN CERTIFICATE REQUEST-----")?;
    let end = block.find("-----END CERTIFICATE REQUEST-----")?;
    let mut text = block.get(..end)?.to_owned();
    text.retain(|c| !c.is_ascii_whitespace());
    STANDARD.decode(text).ok()
}

/// Why issued PEM is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificatesError {
    #[error("only CERTIFICATE PEM blocks are allowed, found {0:?}")]
    Other(String),
    #[error("no PEM block headers are permitted")]
    Headers,
    #[error("must contain at least one CERTIFICATE PEM block")]
    None,
}

/// Checks that `pem` holds certificates and no other blocks, or nothing at all.
pub(super) fn check_certificates(pem: &[u8]) -> Result<(), CertificatesError> {
    let text = String::from_utf8_lossy(pem);
    let mut blocks = 0_usize;
    let mut within = false;
    for line in text.lines().map(str::trim_end) {
        let begins = line.strip_prefix("-----BEGIN ");
        let begins = begins.and_then(|rest| rest.strip_suffix("-----"));
        match begins {
            Some("CERTIFICATE") => {
                blocks = blocks.saturating_add(1);
                within = true;
            }
            Some(other) => return Err(CertificatesError::Other(other.to_owned())),
            None if line.starts_with("-----END ") => within = false,
            None if within && line.contains(':') => return Err(CertificatesError::Headers),
            None => {}
        }
    }
    if blocks == 0 && !pem.is_empty() {
        return Err(CertificatesError::None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `CN=a`, made for this test.
    const GOOD: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIHHMG4CAQAwDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BLZ6SQvNpzyop9UGzdsUAmyUsrsh2RP2ISpfN9Oj0JQ4gKDcNOqpQP/eatZFNbcl
IN0dXHGtcD/EIafYAnV0q/ygADAKBggqhkjOPQQDAgNJADBGAiEA9Qjn5wRIHWOW
5jyCzCfbumo/BF5aALmYOXY9XWLcyf0CIQC3zQggr3DbHhCPUeWYx+M6Hl/Vn7eT
rW7f8nPs60Pl0w==
-----END CERTIFICATE REQUEST-----
";

    #[test]
    fn a_request_is_signed_by_its_own_key() {
        assert_eq!(check(GOOD.as_bytes()), Ok(()));
        assert_eq!(check(format!("subject: a\n{GOOD}").as_bytes()), Ok(()));
        // The name is `b` now, which the key has not signed.
        let forged = GOOD.replace("AwwBYTBZ", "AwwBYjBZ");
        assert_eq!(check(forged.as_bytes()), Err(RequestError::EcSignature));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let new = GOOD.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        for pem in ["", "x", new.as_str()] {
            assert_eq!(check(pem.as_bytes()), Err(RequestError::Pem), "{pem}");
        }
        let empty =
            "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n";
        assert_eq!(check(empty.as_bytes()), Err(RequestError::Der));
    }

    #[test]
    fn issued_blocks_are_certificates() {
        let block = |kind: &str, body: &str| {
            format!("-----BEGIN {kind}-----\n{body}MIIB\n-----END {kind}-----\n")
        };
        let good = block("CERTIFICATE", "");
        for (pem, outcome) in [
            (String::new(), Ok(())),
            (format!("a: b\n{good}{good}"), Ok(())),
            ("x".to_owned(), Err(CertificatesError::None)),
            (
                format!("{good}{}", block("KEY", "")),
                Err(CertificatesError::Other("KEY".into())),
            ),
            (
                block("CERTIFICATE", "A: b\n\n"),
                Err(CertificatesError::Headers),
            ),
        ] {
            assert_eq!(check_certificates(pem.as_bytes()), outcome, "{pem}");
        }
    }
}
