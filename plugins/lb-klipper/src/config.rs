//! The operator's settings.

use serde::Deserialize;

use crate::model::Protocol;

/// Settings of the load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Ports of every node that something else has.
    pub(crate) reserved: Vec<Reserved>,
}

/// A port that no Service may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reserved {
    /// TCP unless said.
    #[serde(default)]
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// Who has it, as it should read in a message: `the API server`.
    pub(crate) by: String,
}

/// Reads settings; nothing at all means defaults.
pub(crate) fn parse(bytes: &[u8]) -> Result<Config, String> {
    if bytes.is_empty() {
        return Ok(Config::default());
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_strict() {
        assert_eq!(parse(b"").unwrap(), Config::default());
        let config = parse(br#"{"reserved": [{"port": 6443, "by": "the API server"}]}"#).unwrap();
        assert_eq!(config.reserved[0].protocol, Protocol::Tcp);
        assert!(
            parse(br#"{"reservd": []}"#)
                .unwrap_err()
                .contains("unknown field")
        );
        assert!(parse(br#"{"reserved": [{"port": 65536, "by": "x"}]}"#).is_err());
    }
}
