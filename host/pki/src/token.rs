//! Join tokens: `K10<sha256 of the CA bundle>::<user>:<password>` (k3s `pkg/clientaccess/token.go`).

use k3s_base::{Random, Secret};
use sha2::{Digest, Sha256};

use crate::error::PkiError;

const PREFIX: &str = "K10";

/// The secret of a cluster, given or generated, and the forms in which machines receive it.
#[derive(Clone, Debug)]
pub struct ServerToken {
    password: Secret,
}

impl ServerToken {
    /// 16 random bytes as hex, as K3s makes it.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self {
            password: Secret::new(hex::encode(random.bytes::<16>())),
        }
    }

    /// Reads a short token (`<password>`) or a full one, whose CA hash must be that of `ca_pem`.
    ///
    /// # Errors
    /// When the form is wrong or the hash is another cluster's.
    pub fn parse(text: &str, ca_pem: &str) -> Result<Self, PkiError> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Self::short(text);
        };
        let (hash, credentials) = rest.split_once("::").ok_or(PkiError::TokenFormat)?;
        let (_user, password) = credentials.split_once(':').ok_or(PkiError::TokenFormat)?;
        if hash != ca_hash(ca_pem) {
            return Err(PkiError::TokenAuthority);
        }
        Self::short(password)
    }

    fn short(password: &str) -> Result<Self, PkiError> {
        if password.is_empty()
            || password.contains(char::is_whitespace)
            || password.contains([',', ':'])
        {
            return Err(PkiError::TokenCharacters);
        }
        Ok(Self {
            password: Secret::new(password.to_owned()),
        })
    }

    /// The bare password.
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// `K10<hash>::<user>:<password>`.
    #[must_use]
    pub fn full(&self, ca_pem: &str, user: &str) -> Secret {
        Secret::new(format!(
            "{PREFIX}{}::{user}:{}",
            ca_hash(ca_pem),
            self.password.reveal()
        ))
    }
}

/// SHA-256 of the bundle as `/cacerts` serves it, hex.
#[must_use]
fn ca_hash(ca_pem: &str) -> String {
    hex::encode(Sha256::digest(ca_pem.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_tokens_round_trip_and_pin_the_ca() {
        let token = ServerToken::generate(&Random::seeded(1));
        let full = token.full("PEM A", "server");
        let again = ServerToken::parse(full.reveal(), "PEM A").unwrap();
        assert_eq!(again.password(), token.password());
        let error = ServerToken::parse(full.reveal(), "PEM B").unwrap_err();
        assert!(error.to_string().contains("CA hash"), "{error}");
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for bad in ["", "K10abc", "K10abc::nopassword", "a b", "a,b", "a:b"] {
            assert!(ServerToken::parse(bad, "PEM").is_err(), "{bad:?}");
        }
    }
}
