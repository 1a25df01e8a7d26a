//! From a `REF` on the command line to a component's bytes and its contract.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use k3s_adapters::CONTRACTS;
use k3s_adapters::bundled;
use k3s_base::Random;
use k3s_config::{DEFAULT_REGISTRIES, PluginSource};
use k3s_plugin_host::{Contract, Host, HostOptions, Inspection, Source};
use k3s_runtime::{ArtifactSource, fetch_artifact};

use crate::plugins::read_limited;

/// A component that was read.
pub(super) struct Opened {
    pub(super) name: String,
    bytes: Cow<'static, [u8]>,
    pub(super) inspection: Inspection,
}

impl Opened {
    /// Reads what `reference` names.
    pub(super) fn read(reference: &str) -> Result<Self> {
        let bytes = match PluginSource::parse(reference)
            .map_err(|reason| anyhow!("{reference}: {reason}"))?
        {
            PluginSource::Bundled(name) => Cow::Borrowed(find(&name)?),
            PluginSource::File(path) => Cow::Owned(read_limited(&path, Source::LIMIT_BYTES)?),
            PluginSource::Registry(name) => Cow::Owned(fetch(&name)?),
        };
        let source = Source {
            name: reference,
            bytes: &bytes,
            digest: None,
            compiled: None,
        };
        let inspection = Host::inspect(source)?;
        Ok(Self {
            name: reference.to_owned(),
            bytes,
            inspection,
        })
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            bytes: &self.bytes,
            digest: None,
            compiled: None,
        }
    }

    /// The contract that its exports mean.
    pub(super) fn contract(&self) -> Result<&'static Contract> {
        let found = CONTRACTS
            .iter()
            .find(|contract| contract.is_meant_by(&self.inspection.exports));
        let exports = self.inspection.exports.join(", ");
        found.copied().with_context(|| {
            format!(
                "{}: of no kind of plugin that is known here (it exports {exports})",
                self.name
            )
        })
    }
}

/// A host of this command alone. A large component is loaded many times by a check and compiled once,
/// so compiled code is kept until the command ends.
pub(super) struct OwnHost {
    pub(super) host: Host,
    cache_dir: PathBuf,
}

impl OwnHost {
    pub(super) fn new() -> Result<Self> {
        let cache_dir =
            std::env::temp_dir().join(format!("k3s-plugin-{}", Random::from_os().name_suffix(10)));
        let host = Host::new(HostOptions {
            cache_dir: Some(cache_dir.clone()),
            ..HostOptions::default()
        })?;
        Ok(Self { host, cache_dir })
    }
}

impl Drop for OwnHost {
    fn drop(&mut self) {
        // A leftover in the temporary folder does no harm.
        let _ = k3s_sys::fs::remove_all(&self.cache_dir);
    }
}

/// A runtime for what is asynchronous.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the task runtime")
}

fn find(name: &str) -> Result<&'static [u8]> {
    let mut all = bundled::all().iter();
    let found = all.find(|bundled| bundled.folder == name || bundled.name == name);
    let unknown = || {
        let known: Vec<&str> = bundled::all().iter().map(|bundled| bundled.name).collect();
        format!(
            "no plugin {name:?} is bundled (bundled: {}); a file is given with a path, such as ./{name}.wasm",
            known.join(", ")
        )
    };
    Ok(found.with_context(unknown)?.bytes)
}

fn fetch(reference: &str) -> Result<Vec<u8>> {
    let limit_bytes = u64::try_from(Source::LIMIT_BYTES)?;
    let from = ArtifactSource {
        registries: Path::new(DEFAULT_REGISTRIES),
        keep: None,
        limit_bytes,
    };
    Ok(runtime()?.block_on(fetch_artifact(reference, from))?)
}
