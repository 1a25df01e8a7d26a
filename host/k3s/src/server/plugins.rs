//! Which component serves as which battery: the bundled one unless `--plugin` names a file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use k3s_adapters::bundled::{self, Bundled};
use k3s_config::PluginRef;
use k3s_plugin_host::{Digest, Source};
use tracing::info;

/// A component to load.
pub(crate) enum Component {
    /// In this executable.
    Bundled(Bundled),
    /// The operator's file.
    File(FilePlugin),
}

/// A component read from a file.
pub(crate) struct FilePlugin {
    name: String,
    bytes: Vec<u8>,
    digest: Option<Digest>,
}

/// The batteries of this server.
pub(crate) struct Plugins {
    pub(crate) datastore: Component,
    pub(crate) cni: Component,
    pub(crate) ingress: Component,
    pub(crate) storage: Component,
}

impl Plugins {
    /// Reads what `--plugin` names, before anything is written.
    pub(crate) fn read(given: &[PluginRef]) -> Result<Self> {
        let mut plugins = Self {
            datastore: Component::Bundled(bundled::datastore_sqlite()),
            cni: Component::Bundled(bundled::cni_flannel()),
            ingress: Component::Bundled(bundled::ingress_traefik()),
            storage: Component::Bundled(bundled::storage_local_path()),
        };
        for (at, reference) in given.iter().enumerate() {
            if given.iter().take(at).any(|other| other.kind == reference.kind) {
                bail!("--plugin {}: given twice", reference.kind);
            }
            let component = Component::File(read(reference)?);
            match reference.kind.as_str() {
                "datastore" => plugins.datastore = component,
                "ingress" => plugins.ingress = component,
                "storage" => plugins.storage = component,
                _ => plugins.cni = component,
            }
        }
        Ok(plugins)
    }
}

fn read(reference: &PluginRef) -> Result<FilePlugin> {
    let path: &Path = &reference.path;
    let bytes = std::fs::read(path).with_context(|| format!("--plugin {}={}", reference.kind, path.display()))?;
    let digest = reference.digest.as_deref().map(digest).transpose()?;
    info!(kind = reference.kind, path = %path.display(), digest = Digest::of(&bytes).hex(), "plugin from a file");
    Ok(FilePlugin { name: path.display().to_string(), bytes, digest })
}

fn digest(text: &str) -> Result<Digest> {
    format!("sha256:{text}").parse().map_err(anyhow::Error::msg)
}

impl Component {
    /// For the plugin host.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Bundled(bundled) => bundled.source(),
            Self::File(file) => Source { name: &file.name, bytes: &file.bytes, digest: file.digest, compiled: None },
        }
    }
}
