//! `--plugin KIND=REF[,digest=sha256:…]`: which component serves as which battery.

use std::path::PathBuf;

use crate::ConfigError;

const KINDS: &[&str] = &["datastore", "cni", "ingress", "storage"];
const LATER_KINDS: &[&str] = &["load-balancer"];

/// One battery that the operator replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// `datastore`, `cni`, `ingress` or `storage`.
    pub kind: String,
    /// The component file.
    pub path: PathBuf,
    /// The digest the file must have, 64 lower-case hex digits of SHA-256.
    pub digest: Option<String>,
}

impl PluginRef {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = |reason: &str| ConfigError::value("plugin", text, reason);
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (kind, reference) = first.split_once('=').ok_or_else(|| bad("expected KIND=FILE[,digest=sha256:HEX]"))?;
        if LATER_KINDS.contains(&kind) {
            return Err(bad("this kind of plugin does not exist yet; kinds: datastore, cni, ingress, storage"));
        }
        if !KINDS.contains(&kind) {
            return Err(bad("unknown kind of plugin; kinds: datastore, cni, ingress, storage"));
        }
        if reference.starts_with("oci://") {
            return Err(bad("plugins from a registry are not supported yet; give a file"));
        }
        if reference.is_empty() {
            return Err(bad("expected a file after the equals sign"));
        }
        let mut digest = None;
        for option in parts {
            match option.split_once('=') {
                Some(("digest", value)) => {
                    digest = Some(parse_digest(value).ok_or_else(|| bad("digest must be sha256: and 64 hex digits"))?)
                }
                _ => return Err(bad(&format!("unknown option {option:?}; known: digest"))),
            }
        }
        Ok(Self { kind: kind.into(), path: reference.into(), digest })
    }
}

fn parse_digest(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:")?.to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_parse() {
        let digest = "a".repeat(64);
        let got = PluginRef::parse(&format!("cni=/x/calico.wasm,digest=sha256:{digest}")).unwrap();
        assert_eq!(got, PluginRef { kind: "cni".into(), path: "/x/calico.wasm".into(), digest: Some(digest) });
    }

    #[test]
    fn bad_references_say_why() {
        for (text, part) in [
            ("cni", "expected KIND=FILE"),
            ("dns=/x", "unknown kind"),
            ("storage=/x", "does not exist yet"),
            ("cni=oci://h/r", "registry"),
            ("cni=/x,digest=md5:1", "64 hex digits"),
            ("cni=/x,color=red", "unknown option"),
        ] {
            let error = PluginRef::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
