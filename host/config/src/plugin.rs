//! `--plugin KIND=REF[,digest=sha256:…][,config=FILE][,grant=NAME]…`: which component serves as which
//! battery. Only the form is checked here, not whether the component exists.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::{ConfigError, Refusal};
use crate::flags::components::PLUGIN;
use crate::flags::typed::TypedFlag;

/// Kinds of plugins, as in `KIND=REF`.
const KINDS: &[&str] = &["datastore", "cni", "ingress", "load-balancer", "storage"];

/// What an operator can grant beyond the capabilities that come with the kind.
const GRANTS: &[&str] = &["wasi"];

const FORM: &str = "expected KIND=REF[,digest=sha256:HEX][,config=FILE][,grant=NAME]";
/// Plugins never come from a registry by tag: what runs with these capabilities must be pinned.
const PINNED: &str =
    "a plugin from a registry must be named by digest: oci://HOST/REPOSITORY@sha256:HEX";

/// One battery that the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// `datastore`, `cni`, `ingress`, `load-balancer` or `storage`.
    pub kind: &'static str,
    /// Where the component comes from.
    pub source: PluginSource,
    /// The digest that the component must have, 64 lower-case hex digits of SHA-256.
    pub digest: Option<String>,
    /// The plugin's own configuration, a JSON file.
    pub config: Option<PathBuf>,
    /// Capabilities beyond those of the kind: `wasi`.
    pub grants: BTreeSet<&'static str>,
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// In the executable, by its short name: `sqlite`, `flannel`.
    Bundled(String),
    /// A file: anything with a slash or a dot in it.
    File(PathBuf),
    /// `host/repository@sha256:…`, the digest being that of the manifest.
    Registry(String),
}

impl std::fmt::Display for PluginSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bundled(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Registry(reference) => write!(f, "oci://{reference}"),
        }
    }
}

impl PluginSource {
    /// Reads a `REF`.
    ///
    /// # Errors
    /// One sentence on what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(reference) = text.strip_prefix("oci://") {
            return pinned_reference(reference)
                .map(Self::Registry)
                .ok_or_else(|| Refusal::malformed(PINNED));
        }
        if text.contains("://") {
            return Err(Refusal::malformed(
                "a plugin is a bundled name, a file, or oci://HOST/REPOSITORY@sha256:HEX",
            ));
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match text {
            "" => Err(Refusal::malformed(
                "expected a name, a file or an oci:// reference after the equals sign",
            )),
            name if name.bytes().all(plain) => Ok(Self::Bundled(name.to_owned())),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl PluginRef {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut parts = text.split(',');
        let (kind, reference) = parts
            .next()
            .and_then(|first| first.split_once('='))
            .ok_or_else(|| Refusal::malformed(FORM))?;
        let unknown = || {
            let known = KINDS.join(", ");
            Refusal::malformed(format!("unknown kind of plugin; kinds: {known}"))
        };
        let kind = KINDS.iter().find(|k| **k == kind).ok_or_else(unknown)?;
        let mut plugin = Self {
            kind,
            source: PluginSource::parse(reference)?,
            digest: None,
            config: None,
            grants: BTreeSet::new(),
        };
        for option in parts {
            plugin.set_option(option)?;
        }
        Ok(plugin)
    }

    fn set_option(&mut self, option: &str) -> Result<(), Refusal> {
        match option.split_once('=') {
            Some(("digest", value)) => {
                let digest = parse_digest(value).ok_or_else(|| {
                    Refusal::malformed("digest must be sha256: and 64 hex digits")
                })?;
                set_once(&mut self.digest, digest, "digest is given twice")
            }
            Some(("config", "")) => Err(Refusal::malformed("expected a file after config=")),
            Some(("config", path)) => {
                set_once(&mut self.config, path.into(), "config is given twice")
            }
            Some(("grant", name)) => self.grant(name),
            _ => Err(Refusal::malformed(format!(
                "unknown option {option:?}; options: digest, config, grant"
            ))),
        }
    }

    fn grant(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(grant) = GRANTS.iter().find(|grant| **grant == name) else {
            let known = GRANTS.join(", ");
            return Err(Refusal::malformed(format!(
                "unknown grant {name:?}; grants: {known}"
            )));
        };
        self.grants.insert(grant);
        Ok(())
    }
}

/// Refuses a second plugin of a kind.
pub(crate) fn check_unique(plugins: &[PluginRef]) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for plugin in plugins {
        if !seen.insert(plugin.kind) {
            return Err(ConfigError::value(
                PLUGIN.flag().name,
                &format!("{}={}", plugin.kind, plugin.source),
                format!("{} is given twice", plugin.kind),
            ));
        }
    }
    Ok(())
}

/// The kinds, for the flag's help text.
pub(crate) fn kinds() -> Vec<&'static str> {
    KINDS.to_vec()
}

fn set_once<T>(place: &mut Option<T>, value: T, twice: &'static str) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::malformed(twice)),
    }
}

/// `host/repository@sha256:…` from what follows `oci://`, if it names a digest.
fn pinned_reference(reference: &str) -> Option<String> {
    let (name, digest) = reference.rsplit_once('@')?;
    let digest = parse_digest(digest)?;
    let (host, repository) = name.split_once('/')?;
    if host.is_empty() || repository.is_empty() {
        return None;
    }
    Some(format!("{name}@sha256:{digest}"))
}

fn parse_digest(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:")?.to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PluginRef {
        PluginRef::parse(text).unwrap()
    }

    #[test]
    fn references_parse() {
        let digest = "a".repeat(64);
        let got = parse(&format!(
            "cni=/x/calico.wasm,digest=sha256:{digest},config=/etc/c.json,grant=wasi"
        ));
        assert_eq!(
            (got.kind, got.source.to_string().as_str()),
            ("cni", "/x/calico.wasm")
        );
        assert_eq!(got.digest, Some(digest.clone()));
        assert_eq!(got.config, Some("/etc/c.json".into()));
        assert_eq!(got.grants, BTreeSet::from(["wasi"]));
        assert_eq!(
            parse("cni=calico.wasm").source,
            PluginSource::File("calico.wasm".into())
        );
        assert_eq!(
            parse("datastore=sqlite").source,
            PluginSource::Bundled("sqlite".into())
        );
        let oci = parse(&format!("ingress=oci://127.0.0.1:5000/a/b@sha256:{digest}"));
        assert_eq!(
            oci.source,
            PluginSource::Registry(format!("127.0.0.1:5000/a/b@sha256:{digest}"))
        );
    }

    #[test]
    fn bad_references_say_why() {
        for (text, part) in [
            ("cni", "expected KIND=REF"),
            ("dns=/x", "unknown kind"),
            ("cni=", "after the equals sign"),
            ("cni=oci://h/r", "by digest"),
            ("cni=oci://h/r:v1", "by digest"),
            ("cni=oci://h/r@sha256:12", "by digest"),
            ("cni=https://h/x.wasm", "bundled name, a file, or oci"),
            ("cni=/x,digest=md5:1", "64 hex digits"),
            ("cni=/x,color=red", "unknown option"),
            ("cni=/x,config=", "after config="),
            ("cni=/x,grant=root", "unknown grant \"root\""),
        ] {
            let error = PluginRef::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let twice = ["cni=flannel", "cni=/x.wasm"].map(parse);
        let error = check_unique(&twice).unwrap_err().to_string();
        assert!(error.contains("given twice"), "{error}");
    }
}
