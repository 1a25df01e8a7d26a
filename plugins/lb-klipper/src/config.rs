//! The operator's settings.

use serde::Deserialize;

use crate::model::Protocol;

/// Settings of the load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Ports of every node on which something else listens.
    pub(crate) reserved: Vec<Reserved>,
}

/// A port that no Service gets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reserved {
    /// TCP by default.
    #[serde(default)]
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// What listens there, as messages name it: `the API server`.
    pub(crate) by: String,
}

#[cfg(test)]
mod tests {
    use k3s_plugin_sdk::{Sentence, Settings as _};

    use super::*;

    fn parse(text: &[u8]) -> Result<Config, Sentence> {
        Config::read(text)
    }

    #[test]
    fn settings_are_strict() {
        assert_eq!(parse(b"").unwrap(), Config::default());
        let config = parse(br#"{"reserved": [{"port": 6443, "by": "the API server"}]}"#).unwrap();
        assert_eq!(config.reserved[0].protocol, Protocol::Tcp);
        assert!(
            parse(br#"{"reservd": []}"#)
                .unwrap_err()
                .to_string()
                .contains("unknown field")
        );
        assert!(parse(br#"{"reserved": [{"port": 65536, "by": "x"}]}"#).is_err());
    }
}
