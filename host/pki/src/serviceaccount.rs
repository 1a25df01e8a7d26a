//! Service account tokens: signing, verifying, and the key set document (JWKS).
//!
//! `service.key` may hold several private keys: all of them verify, `service.current.key` signs
//! (K3s' way of rotating the issuer).

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::PkiError;
use crate::files::{read_optional, write_private};

/// The `iss` of tokens that are kept in Secrets (upstream's `LegacyIssuer`).
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why a token was not accepted or not signed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not of this issuer: another authenticator may know it.
    #[error("not a service account token of this cluster")]
    Unknown,
    /// Of this issuer, but no longer valid.
    #[error("token has expired")]
    Expired,
    /// Of this issuer, but not valid yet.
    #[error("token is not valid yet")]
    NotYetValid,
    /// The signer failed.
    #[error("cannot sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// The keys of the service account issuer.
pub struct ServiceAccountKeys {
    issuer: String,
    signing: EncodingKey,
    signing_id: String,
    verifying: Vec<VerifyingKey>,
}

struct VerifyingKey {
    id: String,
    key: DecodingKey,
    x: String,
    y: String,
}

impl std::fmt::Debug for ServiceAccountKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountKeys")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl ServiceAccountKeys {
    /// Loads `service.key` and `service.current.key` below `dir`, making both where neither exists.
    ///
    /// # Errors
    /// When a file is not a PKCS#8 P-256 key.
    pub fn ensure(dir: &Path, issuer: &str) -> Result<Self, PkiError> {
        let (all_path, current_path) = (dir.join("service.key"), dir.join("service.current.key"));
        let all = match read_optional(&all_path)? {
            Some(pem) => pem,
            None => generate_key(&all_path)?,
        };
        let keys = split_pem(&all);
        let current = match (read_optional(&current_path)?, keys.first()) {
            (Some(pem), _) => pem,
            (None, Some(first)) => {
                write_private(&current_path, first.as_bytes())?;
                first.clone()
            }
            (None, None) => {
                return Err(PkiError::unexpected(
                    &all_path,
                    "no private key in the file",
                ));
            }
        };
        let load = |pem: &String| VerifyingKey::load(&all_path, pem);
        let verifying = keys.iter().map(load).collect::<Result<_, _>>()?;
        let signing = EncodingKey::from_ec_pem(current.as_bytes())
            .map_err(|e| PkiError::malformed(&current_path, e))?;
        Ok(Self {
            issuer: issuer.to_owned(),
            signing,
            signing_id: VerifyingKey::load(&current_path, &current)?.id,
            verifying,
        })
    }

    /// The `iss` of every token: `https://kubernetes.default.svc.<domain>`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs `claims` (a JSON object); sets `iss`.
    ///
    /// # Errors
    /// When the signer fails.
    pub fn sign(&self, claims: &Value) -> Result<String, TokenError> {
        self.sign_as(&self.issuer, claims)
    }

    /// Signs the claims of a token that is kept in a Secret; `iss` becomes [`LEGACY_ISSUER`].
    ///
    /// # Errors
    /// When the signer fails.
    pub fn sign_legacy(&self, claims: &Value) -> Result<String, TokenError> {
        self.sign_as(LEGACY_ISSUER, claims)
    }

    fn sign_as(&self, issuer: &str, claims: &Value) -> Result<String, TokenError> {
        let mut claims = claims.clone();
        if let Some(map) = claims.as_object_mut() {
            map.insert("iss".into(), issuer.into());
        }
        let header = Header {
            alg: Algorithm::ES256,
            kid: Some(self.signing_id.clone()),
            typ: None,
            ..Header::default()
        };
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(TokenError::Sign)
    }

    /// Checks signature, issuer, `exp` and `nbf` against `now_s` (seconds since 1970) and returns the
    /// claims. Audiences and bound objects are the caller's to check, and so is what follows from `iss`:
    /// it is either [`Self::issuer`] or [`LEGACY_ISSUER`].
    ///
    /// # Errors
    /// [`TokenError::Unknown`] when it is not a token of this issuer.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Value, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Unknown)?;
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let fits = |k: &&VerifyingKey| header.kid.as_ref().is_none_or(|id| *id == k.id);
        let claims = self
            .verifying
            .iter()
            .filter(fits)
            .find_map(|k| jsonwebtoken::decode::<Value>(token, &k.key, &rules).ok())
            .map(|data| data.claims)
            .ok_or(TokenError::Unknown)?;
        let issuer = claims.get("iss").and_then(Value::as_str);
        if issuer != Some(&self.issuer) && issuer != Some(LEGACY_ISSUER) {
            return Err(TokenError::Unknown);
        }
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
        if seconds("exp").is_some_and(|exp| now_s >= exp) {
            return Err(TokenError::Expired);
        }
        if seconds("nbf").is_some_and(|nbf| now_s < nbf) {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }

    /// The document at `/openid/v1/jwks`.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let key = |k: &VerifyingKey| json!({"use": "sig", "kty": "EC", "kid": k.id, "crv": "P-256", "alg": "ES256", "x": k.x, "y": k.y});
        json!({ "keys": self.verifying.iter().map(key).collect::<Vec<_>>() })
    }
}

/// Makes the first private key of the issuer.
fn generate_key(path: &Path) -> Result<String, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| PkiError::Issue {
        name: "service account issuer".into(),
        source,
    })?;
    let pem = key.serialize_pem();
    write_private(path, pem.as_bytes())?;
    Ok(pem)
}

impl VerifyingKey {
    /// `path` is named in errors.
    fn load(path: &Path, pem: &str) -> Result<Self, PkiError> {
        let pair = KeyPair::from_pem(pem).map_err(|e| PkiError::malformed(path, e))?;
        let point = pair.public_key_raw();
        let (Some(x), Some(y), 65) = (point.get(1..33), point.get(33..65), point.len()) else {
            return Err(PkiError::unexpected(path, "expected an EC P-256 key"));
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let key =
            DecodingKey::from_ec_components(&x, &y).map_err(|e| PkiError::malformed(path, e))?;
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(Sha256::digest(point)),
            key,
            x,
            y,
        })
    }
}

/// The single keys of a file that holds several, one after another.
fn split_pem(text: &str) -> Vec<String> {
    text.split_inclusive(PEM_END)
        .filter(|part| part.contains("BEGIN"))
        .map(|part| format!("{}\n", part.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

    #[test]
    fn tokens_verify_until_they_expire() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        let token = keys
            .sign(&json!({"sub": "system:serviceaccount:a:b", "exp": 100, "nbf": 10}))
            .unwrap();
        assert_eq!(
            keys.verify(&token, 50).unwrap()["sub"],
            "system:serviceaccount:a:b"
        );
        assert!(matches!(keys.verify(&token, 100), Err(TokenError::Expired)));
        assert!(matches!(
            keys.verify(&token, 9),
            Err(TokenError::NotYetValid)
        ));
        let again = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        assert!(again.verify(&token, 50).is_ok());
    }

    #[test]
    fn the_issuer_says_which_kind_of_token_it_is_and_no_claim_changes_that() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        let claims = json!({"iss": "somebody", "sub": "x"});
        for (token, issuer) in [
            (keys.sign(&claims), ISSUER),
            (keys.sign_legacy(&claims), LEGACY_ISSUER),
        ] {
            assert_eq!(keys.verify(&token.unwrap(), 0).unwrap()["iss"], issuer);
        }
        let foreign = keys.sign_as("somebody", &claims).unwrap();
        assert!(matches!(keys.verify(&foreign, 0), Err(TokenError::Unknown)));
    }

    #[test]
    fn an_older_key_in_the_file_still_verifies() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = ServiceAccountKeys::ensure(old.path(), ISSUER)
            .unwrap()
            .sign(&json!({"sub": "x"}))
            .unwrap();
        let fresh = ServiceAccountKeys::ensure(new.path(), ISSUER).unwrap();
        assert!(matches!(fresh.verify(&token, 0), Err(TokenError::Unknown)));
        let joined = std::fs::read_to_string(new.path().join("service.key")).unwrap()
            + &std::fs::read_to_string(old.path().join("service.key")).unwrap();
        std::fs::write(new.path().join("service.key"), joined).unwrap();
        let both = ServiceAccountKeys::ensure(new.path(), ISSUER).unwrap();
        assert!(both.verify(&token, 0).is_ok());
        assert_eq!(both.jwks()["keys"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_changed_token_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        let token = keys.sign(&json!({"sub": "x"})).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{ISSUER}","sub":"admin"}}"#));
        parts[1] = &forged;
        assert!(matches!(
            keys.verify(&parts.join("."), 0),
            Err(TokenError::Unknown)
        ));
    }
}
