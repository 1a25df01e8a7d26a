//! The operator's settings of this plugin; names are those of Traefik's providers.

use serde::Deserialize;

/// The document given to `configure`; all fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Serve Services of type `ExternalName`. Whoever may write such a Service could otherwise reach
    /// whatever this host reaches, so it is off as in Traefik.
    pub(crate) allow_external_name_services: bool,
    /// Let routes use Middlewares, TraefikServices and Services of other namespaces.
    pub(crate) allow_cross_namespace: bool,
}

impl Config {
    /// Reads the document; empty means defaults.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        match json.trim_ascii() {
            b"" => Ok(Self::default()),
            json => serde_json::from_slice(json).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        assert_eq!(Config::read(b" "), Ok(Config::default()));
        assert!(
            Config::read(br#"{"allowCrossNamespace": true}"#)
                .unwrap()
                .allow_cross_namespace
        );
        assert!(
            Config::read(br#"{"dashboard": true}"#)
                .unwrap_err()
                .contains("dashboard")
        );
    }
}
