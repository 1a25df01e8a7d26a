//! The operator's settings of a plugin, from the JSON document that the host passes to `configure`.

use serde::de::DeserializeOwned;

use crate::sentence::Sentence;

/// Settings of a plugin: any type with serde's `Deserialize` and a default for operators who set nothing.
/// Put `#[serde(deny_unknown_fields)]` on it: the contract demands that unknown fields are refused.
///
/// ```
/// use k3s_plugin_sdk::Settings;
///
/// #[derive(Debug, Default, PartialEq, k3s_plugin_sdk::serde::Deserialize)]
/// #[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
/// struct Config {
///     size: u32,
/// }
///
/// assert_eq!(Config::read(b""), Ok(Config::default()));
/// assert_eq!(Config::read(br#"{"size": 7}"#), Ok(Config { size: 7 }));
/// assert!(Config::read(br#"{"sise": 7}"#).is_err());
/// ```
pub trait Settings: Sized {
    /// Reads a document; an empty one means defaults.
    ///
    /// # Errors
    /// One sentence for the operator.
    fn read(document: &[u8]) -> Result<Self, Sentence>;
}

impl<T: DeserializeOwned + Default> Settings for T {
    fn read(document: &[u8]) -> Result<Self, Sentence> {
        if document.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        Ok(serde_json::from_slice(document)?)
    }
}

/// For plugins without settings of their own. They need no JSON, which is a quarter of a small component.
///
/// ```
/// use k3s_plugin_sdk::{NoSettings, Settings};
///
/// assert!(NoSettings::read(b"{}").is_ok());
/// assert!(NoSettings::read(br#"{"size": 7}"#).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSettings;

impl Settings for NoSettings {
    fn read(document: &[u8]) -> Result<Self, Sentence> {
        match document.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err("this plugin has no settings of its own".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Size {
        size: u32,
    }

    #[test]
    fn nothing_is_the_default_and_mistakes_are_named() {
        assert_eq!(Size::read(b" "), Ok(Size::default()));
        assert_eq!(Size::read(br#"{"size":7}"#), Ok(Size { size: 7 }));
        let error = Size::read(br#"{"sise":7}"#).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("sise")));
    }
}
