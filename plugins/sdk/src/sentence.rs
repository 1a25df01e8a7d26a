//! Errors that are one sentence for a reader: the operator, or the author of an object. Readers see the
//! sentence, and nothing else depends on it; failures that the host acts on are variants of the contracts.

use std::fmt;

/// One sentence that says what is wrong.
///
/// ```
/// use k3s_plugin_sdk::Sentence;
///
/// fn port(text: &str) -> Result<u16, Sentence> {
///     let port = text.parse().map_err(|_| format!("{text:?} is not a port"))?;
///     if port == 0 {
///         return Err("port 0 cannot be used".into());
///     }
///     Ok(port)
/// }
///
/// assert_eq!(port("x").unwrap_err().to_string(), "\"x\" is not a port");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence(String);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Sentence {}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<serde_json::Error> for Sentence {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// For errors of contracts, whose variants hold text.
impl From<Sentence> for String {
    fn from(sentence: Sentence) -> Self {
        sentence.0
    }
}
