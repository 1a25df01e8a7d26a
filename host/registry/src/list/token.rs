//! Continue tokens: the revision of the first page and the last key examined. They are not secret
//! (upstream's are the same JSON), so nothing but the place of a key may depend on them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k3s_meta::Status;
use serde_json::{Value, json};

use crate::error::Result;

const VERSION: &str = "meta.k8s.io/v1";

/// Where the next page starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The state that all pages show; -1 for the newest, at the price of consistency.
    pub(super) revision: i64,
    /// The last key examined, relative to the list's prefix.
    pub(super) after: String,
}

impl Token {
    pub(super) fn encode(&self) -> String {
        let token =
            json!({"v": VERSION, "rv": self.revision, "start": format!("{}\0", self.after)});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid =
            |why: String| Status::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|e| invalid(e.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
        if token.get("v").and_then(Value::as_str) != Some(VERSION) {
            return Err(
                invalid("server does not recognize this encoded version".to_owned()).into(),
            );
        }
        let revision = token
            .get("rv")
            .and_then(Value::as_i64)
            .filter(|rv| *rv != 0);
        let revision = revision
            .ok_or_else(|| invalid("incorrect encoded start resourceVersion".to_owned()))?;
        let start = token
            .get("start")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let after = start.trim_end_matches('\0').to_owned();
        if after.is_empty() || after.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid("empty or malformed start key".to_owned()).into());
        }
        Ok(Self { revision, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_trip() {
        let token = Token {
            revision: 12,
            after: "default/a".to_owned(),
        };
        assert_eq!(Token::parse(&token.encode()).unwrap(), token);
    }

    #[test]
    fn malformed_tokens_are_bad_requests() {
        for bad in [
            "!",
            "e30",
            &URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":3,"start":"../x"}"#),
        ] {
            assert_eq!(Token::parse(bad).unwrap_err().status().code, 400, "{bad}");
        }
    }
}
