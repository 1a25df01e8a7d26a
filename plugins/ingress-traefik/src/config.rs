//! The operator's settings of this plugin; names are those of Traefik's providers.

use serde::Deserialize;

/// The document given to `configure`; all fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Serve Services of type `ExternalName`. Off as in Traefik, because an author of such a Service could
    /// reach whatever this host reaches.
    pub allow_external_name_services: bool,
    /// Let routes use Middlewares, TraefikServices and Services of other namespaces.
    pub allow_cross_namespace: bool,
}

#[cfg(test)]
mod tests {
    use k3s_plugin_sdk::{Sentence, Settings as _};

    use super::*;

    fn read(text: &[u8]) -> Result<Config, Sentence> {
        Config::read(text)
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert_eq!(read(b" "), Ok(Config::default()));
        assert!(
            read(br#"{"allowCrossNamespace": true}"#)
                .unwrap()
                .allow_cross_namespace
        );
        assert!(
            read(br#"{"dashboard": true}"#)
                .unwrap_err()
                .to_string()
                .contains("dashboard")
        );
    }
}
