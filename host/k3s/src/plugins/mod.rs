//! Which component serves as which battery: the bundled one, or what `--plugin` chooses.

pub(crate) mod reload;
pub(crate) mod replace;
pub(crate) mod status;

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use k3s_adapters::bundled::Bundled;
use k3s_adapters::{bundled, contract};
use k3s_config::{PluginRef, PluginSource, ServerSettings};
use k3s_plugin_host::{Contract, Digest, Grants, Host, Source};
use k3s_runtime::{ArtifactSource, fetch_artifact};
use serde_json::{Map, Value};
use tracing::info;

use crate::server::Place;

/// The bundled plugin of a kind when nothing else is asked for; that of the datastore follows from the
/// endpoint.
const DEFAULTS: &[(&str, &str)] = &[
    ("cni", "flannel"),
    ("ingress", "traefik"),
    ("load-balancer", "klipper"),
    ("storage", "local-path"),
];
/// A plugin's own configuration is at most this long (the contract's limit).
const CONFIG_BYTES: u64 = 1 << 20;

/// A component to load, with the operator's settings of it.
pub(crate) struct Component {
    pub(crate) kind: &'static str,
    /// As the operator named it.
    pub(crate) reference: String,
    name: String,
    bytes: Cow<'static, [u8]>,
    compiled: Option<&'static [u8]>,
    pinned: Option<Digest>,
    config: Option<Map<String, Value>>,
    grants: Grants,
}

/// Two components with the same fingerprint behave the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    digest: Digest,
    config: Option<Map<String, Value>>,
    grants: Grants,
}

/// The batteries of this server.
pub(crate) struct Plugins {
    pub(crate) datastore: Component,
    pub(crate) cni: Component,
    pub(crate) ingress: Component,
    pub(crate) load_balancer: Component,
    pub(crate) storage: Component,
}

impl Plugins {
    /// Reads what `--plugin` names and checks it, before anything is written.
    pub(crate) async fn read(settings: &ServerSettings) -> Result<Self> {
        for reference in &settings.plugins {
            implemented(reference.kind)?;
        }
        speaks_to(settings)?;
        Ok(Self {
            datastore: component("datastore", settings).await?,
            cni: component("cni", settings).await?,
            ingress: component("ingress", settings).await?,
            load_balancer: component("load-balancer", settings).await?,
            storage: component("storage", settings).await?,
        })
    }
}

/// The component that serves as `kind` by these settings.
pub(crate) async fn component(kind: &'static str, settings: &ServerSettings) -> Result<Component> {
    match settings.plugins.iter().find(|p| p.kind == kind) {
        Some(reference) => {
            let described = || format!("--plugin {kind}={}", reference.source);
            Component::read(reference, settings)
                .await
                .with_context(described)
        }
        None if kind == "datastore" => Place::of(&settings.datastore, &settings.data_dir).bundled(),
        None => bundled_default(kind),
    }
}

/// The bundled component that serves as `kind` unless another is chosen.
pub(crate) fn bundled_default(kind: &'static str) -> Result<Component> {
    let (_, name) = DEFAULTS
        .iter()
        .find(|(default_kind, _)| *default_kind == kind)
        .context("a kind without a default")?;
    Ok(Component::bundled(find_bundled(kind, name)?))
}

/// Refuses a bundled datastore that is named and does not speak the endpoint's dialect.
fn speaks_to(settings: &ServerSettings) -> Result<()> {
    let place = Place::of(&settings.datastore, &settings.data_dir);
    for reference in settings.plugins.iter().filter(|p| p.kind == "datastore") {
        if let PluginSource::Bundled(name) = &reference.source
            && name != place.dialect()
        {
            bail!(
                "--plugin datastore={name}: {place} needs {}",
                place.dialect()
            );
        }
    }
    Ok(())
}

fn implemented(kind: &str) -> Result<&'static Contract> {
    contract(kind).ok_or_else(|| {
        anyhow!("--plugin {kind}: this build has no place for plugins of this kind yet")
    })
}

/// The bundled plugin of this name.
pub(crate) fn find_bundled(kind: &str, name: &str) -> Result<&'static Bundled> {
    bundled::find(kind, name).ok_or_else(|| {
        let of_kind = bundled::all().iter().filter(|bundled| bundled.kind == kind);
        let known: Vec<&str> = of_kind.map(|bundled| bundled.name).collect();
        anyhow!(
            "no {kind} plugin {name:?} is bundled (bundled: {}); a file is given with a path, such as ./{name}.wasm",
            known.join(", ")
        )
    })
}

impl Component {
    /// One that comes with the executable.
    pub(crate) fn bundled(bundled: &'static Bundled) -> Self {
        Self {
            kind: bundled.kind,
            reference: bundled.name.to_owned(),
            name: bundled.folder.to_owned(),
            bytes: Cow::Borrowed(bundled.bytes),
            compiled: Some(bundled.compiled),
            pinned: None,
            config: None,
            grants: Grants::default(),
        }
    }

    async fn read(reference: &PluginRef, settings: &ServerSettings) -> Result<Self> {
        let mut component = match &reference.source {
            PluginSource::Bundled(name) => Self::bundled(find_bundled(reference.kind, name)?),
            PluginSource::File(path) => {
                Self::foreign(reference, read_limited(path, Source::LIMIT_BYTES)?)
            }
            PluginSource::Registry(name) => Self::foreign(reference, fetch(name, settings).await?),
        };
        let digest = |text: &String| format!("sha256:{text}").parse::<Digest>();
        component.pinned = reference.digest.as_ref().map(digest).transpose()?;
        component.config = reference.config.as_deref().map(read_config).transpose()?;
        component.grants = Grants {
            wasi: reference.grants.contains("wasi"),
        };
        let inspected = Host::inspect(component.source())?;
        implemented(reference.kind)?.accepts(&component.name, &inspected, component.grants)?;
        if component.compiled.is_none() {
            info!(kind = reference.kind, from = %reference.source, digest = %inspected.digest, "the operator chooses this plugin");
        }
        Ok(component)
    }

    fn foreign(reference: &PluginRef, bytes: Vec<u8>) -> Self {
        Self {
            kind: reference.kind,
            reference: reference.source.to_string(),
            name: reference.source.to_string(),
            bytes: Cow::Owned(bytes),
            compiled: None,
            pinned: None,
            config: None,
            grants: Grants::default(),
        }
    }

    /// For the plugin host.
    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            bytes: &self.bytes,
            digest: self.pinned,
            compiled: self.compiled,
        }
    }

    /// The plugin host with this component's grants.
    pub(crate) fn host(&self, host: &Host) -> Host {
        host.granting(self.grants)
    }

    /// Whether it came with the executable.
    pub(crate) fn is_bundled(&self) -> bool {
        self.compiled.is_some()
    }

    /// The plugin's configuration: the operator's, member by member over what the server knows.
    pub(crate) fn config(&self, known: Map<String, Value>) -> Vec<u8> {
        let mut config = known;
        config.extend(self.config.clone().unwrap_or_default());
        if config.is_empty() {
            Vec::new()
        } else {
            Value::Object(config).to_string().into_bytes()
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            digest: Digest::of(&self.bytes),
            config: self.config.clone(),
            grants: self.grants,
        }
    }
}

fn read_config(path: &Path) -> Result<Map<String, Value>> {
    let what = || format!("config={}", path.display());
    let bytes = read_limited(path, usize::try_from(CONFIG_BYTES)?)?;
    match serde_json::from_slice(&bytes).with_context(what)? {
        Value::Object(config) => Ok(config),
        _ => bail!("{}: expected a JSON object", what()),
    }
}

pub(crate) fn read_limited(path: &Path, limit_bytes: usize) -> Result<Vec<u8>> {
    let what = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(what)?.len();
    if size > u64::try_from(limit_bytes)? {
        bail!(
            "{}: {size} bytes are above the limit of {limit_bytes}",
            what()
        );
    }
    std::fs::read(path).with_context(what)
}

async fn fetch(reference: &str, settings: &ServerSettings) -> Result<Vec<u8>> {
    let keep = settings.data_dir.join("server/plugin-files");
    let limit_bytes = u64::try_from(Source::LIMIT_BYTES)?;
    let from = ArtifactSource {
        registries: &settings.node.registries,
        keep: Some(&keep),
        limit_bytes,
    };
    Ok(fetch_artifact(reference, from).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_plugin_has_a_kind_and_a_name_and_defaults_exist() {
        for bundled in bundled::all() {
            assert!(contract(bundled.kind).is_some(), "{}", bundled.folder);
            assert!(find_bundled(bundled.kind, bundled.name).is_ok());
        }
        for (kind, name) in DEFAULTS.iter().filter(|(kind, _)| contract(kind).is_some()) {
            assert!(find_bundled(kind, name).is_ok(), "{kind} {name}");
        }
        let error = find_bundled("cni", "calico").err().unwrap().to_string();
        assert!(
            error.contains("bundled: flannel") && error.contains("./calico.wasm"),
            "{error}"
        );
    }

    #[test]
    fn the_operator_s_configuration_goes_over_the_server_s() {
        let mut component = Component::bundled(find_bundled("cni", "flannel").unwrap());
        let known = || {
            Map::from_iter([
                ("network".to_owned(), "10.42.0.0/16".into()),
                ("a".to_owned(), 1.into()),
            ])
        };
        assert_eq!(component.config(Map::new()), b"");
        component.config = Some(Map::from_iter([("a".to_owned(), 2.into())]));
        let merged: Value = serde_json::from_slice(&component.config(known())).unwrap();
        assert_eq!(
            merged,
            serde_json::json!({"network": "10.42.0.0/16", "a": 2})
        );
    }
}
