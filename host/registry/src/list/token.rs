//! Continue tokens: the revision of the first page and the last key examined. They are not secret
//! (upstream's are the same JSON), so nothing but the place of a key may depend on them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k3s_meta::base64::{Alphabet, illegal_byte};
use k3s_meta::{Status, json_syntax, tree};
use serde_json::{Value, json};

use crate::error::Result;

const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The state that all pages show; -1 for the newest, at the price of consistency.
    pub(super) revision: i64,
    /// The last key examined, relative to the list's prefix.
    pub(super) after: String,
}

/// Why a token is none of this server's. Worded as upstream's `storage.DecodeContinue`.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("continue key is not valid: illegal base64 data at input byte {0}")]
    Base64(usize),
    #[error("continue key is not valid: {0}")]
    Json(String),
    #[error("continue key is not valid: server does not recognize this encoded version {0}")]
    Version(String),
    #[error(
        "continue key is not valid: incorrect encoded start resourceVersion (version {VERSION})"
    )]
    Revision,
    #[error("continue key is not valid: encoded start key empty (version {VERSION})")]
    NoStart,
    #[error("continue key is not valid: {0}")]
    Start(String),
}

impl ContinueToken {
    pub(super) fn encode(&self) -> String {
        let token =
            json!({"v": VERSION, "rv": self.revision, "start": format!("{}\0", self.after)});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// Reads what the page before gave.
    ///
    /// # Errors
    /// 400 in upstream's words.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text)
            .map_err(|why| Status::bad_request(format!("invalid continue token: {why}")).into())
    }

    fn read(text: &str) -> std::result::Result<Self, TokenError> {
        if let Some(at) = illegal_byte(text.as_bytes(), Alphabet::Url) {
            return Err(TokenError::Base64(at));
        }
        // Line breaks are no mistake to upstream's decoder; no token has any.
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| TokenError::Json(error.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| {
            TokenError::Json(json_syntax::mistake(&bytes).unwrap_or_else(|| error.to_string()))
        })?;
        let version = tree::text(&token, "v");
        if version != VERSION {
            return Err(TokenError::Version(version.to_owned()));
        }
        let revision = tree::int(&token, "rv").filter(|revision| *revision != 0);
        let revision = revision.ok_or(TokenError::Revision)?;
        let start = tree::text(&token, "start");
        if start.is_empty() {
            return Err(TokenError::NoStart);
        }
        let after = start.trim_end_matches('\0').to_owned();
        if after.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(TokenError::Start(start.to_owned()));
        }
        Ok(Self { revision, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_trip() {
        let token = ContinueToken {
            revision: 12,
            after: "default/a".to_owned(),
        };
        assert_eq!(ContinueToken::parse(&token.encode()).unwrap(), token);
    }

    #[test]
    fn malformed_tokens_are_worded_as_upstream_words_them() {
        let encoded = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for (bad, want) in [
            ("x".to_owned(), "illegal base64 data at input byte 0"),
            ("ab!".to_owned(), "illegal base64 data at input byte 2"),
            (encoded("{"), "unexpected end of JSON input"),
            (
                encoded("{}"),
                "server does not recognize this encoded version ",
            ),
            (
                encoded(r#"{"v":"meta.k8s.io/v1"}"#),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (
                encoded(r#"{"v":"meta.k8s.io/v1","rv":3}"#),
                "encoded start key empty (version meta.k8s.io/v1)",
            ),
            (
                encoded(r#"{"v":"meta.k8s.io/v1","rv":3,"start":"../x"}"#),
                "../x",
            ),
        ] {
            let error = ContinueToken::parse(&bad).unwrap_err();
            let want = format!("invalid continue token: continue key is not valid: {want}");
            assert_eq!(
                (error.status().code, error.to_string()),
                (400, want),
                "{bad}"
            );
        }
    }
}
