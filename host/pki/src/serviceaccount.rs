//! Service account tokens: signing, verifying, and the key set document (JWKS).
//!
//! `service.key` may hold several private keys: the first signs, and all of them verify (K3s' way of rotating
//! the issuer). K3s makes RSA keys, this server EC keys; both kinds work, also mixed.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
};
use ring::rsa::PublicKeyComponents;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::PkiError;
use crate::files::{read_optional, write_private};
use crate::keys;

/// The `iss` of tokens that are kept in Secrets (upstream's `LegacyIssuer`).
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

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
    /// How tokens that are signed name their algorithm and key.
    header: Header,
    verifying: Vec<VerifyingKey>,
}

struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
    /// As RFC 7517 shows a public key.
    document: Value,
}

impl std::fmt::Debug for ServiceAccountKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountKeys")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl ServiceAccountKeys {
    /// Loads `service.key` below `dir`, which is made where missing, and writes its first key to
    /// `service.current.key`.
    ///
    /// # Errors
    /// When the file holds a key that is neither EC (P-256, P-384) nor RSA, or writing fails.
    pub fn ensure(dir: &Path, issuer: &str) -> Result<Self, PkiError> {
        let (all_path, current_path) = (dir.join("service.key"), dir.join("service.current.key"));
        let pem = match read_optional(&all_path)? {
            Some(pem) => pem,
            None => generate_key(&all_path)?,
        };
        let keys = keys::all(&all_path, &pem)?;
        let load = |key: &KeyPair| VerifyingKey::load(&all_path, key);
        let verifying = keys.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let (Some(signing), Some(first)) = (keys.first(), verifying.first()) else {
            return Err(PkiError::unexpected(
                &all_path,
                "no private key in the file",
            ));
        };
        let header = Header {
            alg: first.algorithm,
            kid: Some(key_id(signing)),
            typ: None,
            ..Header::default()
        };
        let current = signing.serialize_pem();
        if read_optional(&current_path)?.as_ref() != Some(&current) {
            write_private(&current_path, current.as_bytes())?;
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            signing: encoding_key(&all_path, signing, first.algorithm)?,
            header,
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
        jsonwebtoken::encode(&self.header, &claims, &self.signing).map_err(TokenError::Sign)
    }

    /// Checks signature, issuer, `exp` and `nbf` against `now_s` (seconds since 1970) and returns the
    /// claims. Audiences and bound objects are the caller's to check, and so is what follows from `iss`:
    /// it is either [`Self::issuer`] or [`LEGACY_ISSUER`].
    ///
    /// # Errors
    /// [`TokenError::Unknown`] when it is not a token of this issuer.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Value, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Unknown)?;
        // The few keys are tried without regard to the token's key id, which older servers made otherwise.
        let claims = self
            .verifying
            .iter()
            .filter(|key| key.algorithm == header.alg)
            .find_map(|key| key.claims(token))
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
        let keys: Vec<&Value> = self.verifying.iter().map(|key| &key.document).collect();
        json!({ "keys": keys })
    }

    /// The algorithms of the keys by their JOSE names, sorted: for the discovery document.
    #[must_use]
    pub fn algorithms(&self) -> Vec<&str> {
        let documents = self.verifying.iter().map(|key| &key.document);
        let mut names: Vec<&str> = documents
            .filter_map(|key| key.get("alg")?.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
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

/// As upstream names keys: the hash of the public key's DER form (`keyIDFromPublicKey`).
fn key_id(pair: &KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()))
}

fn encoding_key(
    path: &Path,
    pair: &KeyPair,
    algorithm: Algorithm,
) -> Result<EncodingKey, PkiError> {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())
            .map_err(|e| PkiError::malformed(path, e)),
        _ => Ok(EncodingKey::from_ec_der(pair.serialized_der())),
    }
}

impl VerifyingKey {
    /// `path` is named in errors.
    fn load(path: &Path, pair: &KeyPair) -> Result<Self, PkiError> {
        if pair.is_compatible(&PKCS_ECDSA_P256_SHA256) {
            Self::elliptic(path, pair, Algorithm::ES256, ("P-256", "ES256"))
        } else if pair.is_compatible(&PKCS_ECDSA_P384_SHA384) {
            Self::elliptic(path, pair, Algorithm::ES384, ("P-384", "ES384"))
        } else if pair.is_compatible(&PKCS_RSA_SHA256) {
            Self::rsa(path, pair)
        } else {
            let expected = "expected a private key for EC P-256, EC P-384 or RSA";
            Err(PkiError::unexpected(path, expected))
        }
    }

    fn elliptic(
        path: &Path,
        pair: &KeyPair,
        algorithm: Algorithm,
        (curve, name): (&str, &str),
    ) -> Result<Self, PkiError> {
        // An uncompressed point: a byte that says so, and two numbers of the same length.
        let point = pair.public_key_raw().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let key =
            DecodingKey::from_ec_components(&x, &y).map_err(|e| PkiError::malformed(path, e))?;
        let document = json!({"use": "sig", "kty": "EC", "kid": key_id(pair), "crv": curve, "alg": name, "x": x, "y": y});
        Ok(Self {
            algorithm,
            key,
            document,
        })
    }

    fn rsa(path: &Path, pair: &KeyPair) -> Result<Self, PkiError> {
        let pair_of_ring = ring::rsa::KeyPair::from_pkcs8(pair.serialized_der())
            .map_err(|e| PkiError::malformed(path, e))?;
        let public = PublicKeyComponents::<Vec<u8>>::from(pair_of_ring.public_key());
        let (n, e) = (
            URL_SAFE_NO_PAD.encode(&public.n),
            URL_SAFE_NO_PAD.encode(&public.e),
        );
        let document = json!({"use": "sig", "kty": "RSA", "kid": key_id(pair), "alg": "RS256", "n": n, "e": e});
        Ok(Self {
            algorithm: Algorithm::RS256,
            key: DecodingKey::from_rsa_raw_components(&public.n, &public.e),
            document,
        })
    }

    /// The claims of a token with a valid signature of this key.
    fn claims(&self, token: &str) -> Option<Value> {
        let mut rules = Validation::new(self.algorithm);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let data = jsonwebtoken::decode::<Value>(token, &self.key, &rules).ok()?;
        Some(data.claims)
    }
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
    fn the_first_key_of_the_file_signs_and_older_ones_of_another_kind_still_verify() {
        let dir = tempfile::tempdir().unwrap();
        let service_key = dir.path().join("service.key");
        let before = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        assert_eq!(before.algorithms(), ["ES256"]);
        let old = before.sign(&json!({"sub": "x"})).unwrap();

        // As K3s' documentation rotates the issuer: a new RSA key before the old ones.
        let rsa = std::process::Command::new("openssl")
            .args(["genrsa", "-traditional", "2048"])
            .output()
            .unwrap();
        let rsa = String::from_utf8(rsa.stdout).unwrap();
        let both = rsa.clone() + &std::fs::read_to_string(&service_key).unwrap();
        std::fs::write(&service_key, &both).unwrap();
        let keys = ServiceAccountKeys::ensure(dir.path(), ISSUER).unwrap();
        let new = keys.sign(&json!({"sub": "y"})).unwrap();
        let header = jsonwebtoken::decode_header(&new).unwrap();
        assert_eq!(header.alg, Algorithm::RS256);
        assert_eq!(keys.verify(&old, 0).unwrap()["sub"], "x");
        assert_eq!(keys.verify(&new, 0).unwrap()["sub"], "y");
        assert!(matches!(before.verify(&new, 0), Err(TokenError::Unknown)));
        assert_eq!(keys.algorithms(), ["ES256", "RS256"]);

        let jwks = keys.jwks();
        let published = &jwks["keys"][0];
        assert_eq!(
            (&published["kty"], &published["alg"], &published["e"]),
            (&json!("RSA"), &json!("RS256"), &json!("AQAB"))
        );
        assert_eq!(published["kid"].as_str(), header.kid.as_deref());
        let jwk = serde_json::from_value(published.clone()).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let reader = DecodingKey::from_jwk(&jwk).unwrap();
        jsonwebtoken::decode::<Value>(&new, &reader, &rules).unwrap();

        let current = std::fs::read_to_string(dir.path().join("service.current.key")).unwrap();
        let (current, rsa) = (
            keys::first(&service_key, &current).unwrap(),
            keys::first(&service_key, &rsa).unwrap(),
        );
        assert_eq!(current.public_key_raw(), rsa.public_key_raw());
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
