//! Single files from registries: an OCI artifact with one WebAssembly layer, by digest. Mirrors, TLS
//! and credentials are those of images.
//!
//! What was fetched once is kept by digest, so that a later start needs no registry.

use std::io;
use std::path::Path;
use std::time::Duration;

use k3s_base::{BackoffPolicy, Random};

use super::content::{Content, digest_of};
use super::model::{Descriptor, Manifest};
use super::reference::Reference;
use super::registries::{Endpoint, Registries};
use super::registry::{Registry, RegistryError};

/// The layer's media type as the Wasm OCI artifact specification has it, and what older tools push.
const WASM_LAYERS: [&str; 2] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
];
/// Tries at one endpoint; somebody waits at the start of a server.
const TRIES: u32 = 3;
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(300),
    factor: 3.0,
    cap: Duration::from_secs(2),
    jitter: 0.2,
};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The reference names no digest, or is no reference.
    #[error("{0:?} is no reference by digest (HOST/REPOSITORY@sha256:HEX)")]
    Reference(String),
    /// registries.yaml cannot be read.
    #[error("the registry configuration: {0}")]
    Registries(#[source] io::Error),
    /// No registry gave it.
    #[error("{0}")]
    Fetch(String),
    /// It is there, but is not one WebAssembly file.
    #[error("{reference}: {detail}")]
    Content {
        /// What was asked for.
        reference: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder of kept files.
    #[error("keep {reference}: {source}")]
    Keep {
        /// What was asked for.
        reference: String,
        /// The disk's answer.
        #[source]
        source: io::Error,
    },
}

/// Where to fetch from and keep.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactSource<'a> {
    /// `registries.yaml`; it may be missing.
    pub registries: &'a Path,
    /// A folder for what was fetched; none keeps nothing.
    pub keep: Option<&'a Path>,
    /// Larger files are refused.
    pub limit_bytes: u64,
}

/// The WebAssembly file that `reference` (`host/repository@sha256:…`, the manifest's digest) names.
///
/// # Errors
/// When it cannot be had, is too large, or is something else.
pub async fn fetch_artifact(
    reference: &str,
    from: ArtifactSource<'_>,
) -> Result<Vec<u8>, ArtifactError> {
    let bad = || ArtifactError::Reference(reference.to_owned());
    let parsed = Reference::parse(reference).map_err(|_| bad())?;
    let digest = parsed.digest.clone().ok_or_else(bad)?;
    let scratch = tempdir(from.keep).map_err(|source| keep(reference, source))?;
    let content = Content::open(&scratch.path).map_err(|source| keep(reference, source))?;
    let job = Job {
        reference: &parsed,
        digest: &digest,
        content: &content,
        limit_bytes: from.limit_bytes,
    };
    if let Some(bytes) = job.kept()? {
        return Ok(bytes);
    }
    let registries = Registries::load(from.registries).map_err(ArtifactError::Registries)?;
    let mut failures = Vec::new();
    for endpoint in registries.endpoints(&parsed) {
        match job.fetch(endpoint).await {
            Ok(()) => {
                return job
                    .kept()?
                    .ok_or_else(|| job.content_error("it vanished while it was kept"));
            }
            // What the right digest holds is the same everywhere.
            Err(error @ (ArtifactError::Content { .. } | ArtifactError::Keep { .. })) => {
                return Err(error);
            }
            Err(error) => failures.push(k3s_base::error::chain(&error)),
        }
    }
    // All of them: that the registry itself cannot be found says nothing about the mirror that was meant.
    Err(ArtifactError::Fetch(match failures.is_empty() {
        true => format!("{reference}: no endpoint is configured"),
        false => failures.join("; then "),
    }))
}

/// A folder that may be for this call only.
struct Scratch {
    path: std::path::PathBuf,
    temporary: bool,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            let _ = k3s_sys::fs::remove_all(&self.path);
        }
    }
}

fn tempdir(keep: Option<&Path>) -> io::Result<Scratch> {
    if let Some(path) = keep {
        return Ok(Scratch {
            path: path.to_owned(),
            temporary: false,
        });
    }
    let mut random = [0; 8];
    Random::from_os().fill(&mut random);
    let path = std::env::temp_dir().join(format!("k3s-artifact-{}", hex::encode(random)));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path)?;
    Ok(Scratch {
        path,
        temporary: true,
    })
}

fn keep(reference: &str, source: io::Error) -> ArtifactError {
    ArtifactError::Keep {
        reference: reference.to_owned(),
        source,
    }
}

struct Job<'a> {
    reference: &'a Reference,
    digest: &'a str,
    content: &'a Content,
    limit_bytes: u64,
}

impl Job<'_> {
    /// The file, if manifest and layer are kept and undamaged.
    fn kept(&self) -> Result<Option<Vec<u8>>, ArtifactError> {
        let Some(manifest) = self.read(self.digest)? else {
            return Ok(None);
        };
        let layer = self.layer(&manifest)?;
        self.read(&layer.digest)
    }

    fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let failed = |source| keep(&self.reference.to_string(), source);
        if !self.content.has(digest) {
            return Ok(None);
        }
        let bytes = std::fs::read(self.content.path(digest).map_err(failed)?).map_err(failed)?;
        // A file that was damaged on disk is fetched again.
        Ok((digest_of(&bytes) == digest).then_some(bytes))
    }

    async fn fetch(&self, endpoint: Endpoint) -> Result<(), ArtifactError> {
        let registry = Registry::new(endpoint, None).map_err(|e| self.fetch_error(&e))?;
        let (manifest, _) = retry(|| registry.manifest(self.digest))
            .await
            .map_err(|error| self.fetch_error(&error))?;
        let found = digest_of(&manifest);
        if found != self.digest {
            return Err(ArtifactError::Fetch(format!(
                "{}: the registry gave {found}",
                self.reference
            )));
        }
        let layer = self.layer(&manifest)?;
        let failed = |source| keep(&self.reference.to_string(), source);
        let partial = self.content.partial_path(&layer.digest).map_err(failed)?;
        retry(|| registry.download(&layer.digest, &partial, layer.size))
            .await
            .map_err(|error| self.fetch_error(&error))?;
        self.content
            .commit(&layer.digest)
            .map_err(|error| self.content_error(&error.to_string()))?;
        std::fs::write(
            self.content.partial_path(self.digest).map_err(failed)?,
            &manifest,
        )
        .map_err(failed)?;
        self.content.commit(self.digest).map_err(failed)
    }

    /// The one WebAssembly layer of a manifest.
    fn layer(&self, manifest: &[u8]) -> Result<Descriptor, ArtifactError> {
        let manifest: Manifest = serde_json::from_slice(manifest)
            .map_err(|error| self.content_error(&format!("manifest: {error}")))?;
        let mut layers = manifest
            .layers
            .into_iter()
            .filter(|l| WASM_LAYERS.contains(&l.media_type.as_str()));
        let (Some(layer), None) = (layers.next(), layers.next()) else {
            return Err(self.content_error("it is not an artifact with one application/wasm layer"));
        };
        if layer.size > self.limit_bytes {
            let size = layer.size;
            return Err(self.content_error(&format!(
                "{size} bytes are above the limit of {}",
                self.limit_bytes
            )));
        }
        Ok(layer)
    }

    fn content_error(&self, detail: &str) -> ArtifactError {
        ArtifactError::Content {
            reference: self.reference.to_string(),
            detail: detail.to_owned(),
        }
    }

    fn fetch_error(&self, error: &RegistryError) -> ArtifactError {
        ArtifactError::Fetch(k3s_base::error::chain(error))
    }
}

async fn retry<T, F: Future<Output = Result<T, RegistryError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, RegistryError> {
    let (mut backoff, random) = (RETRY.start(), Random::from_os());
    loop {
        match call().await {
            Err(error) if error.is_transient() && backoff.tries() + 1 < TRIES => {
                tokio::time::sleep(backoff.next_delay(&random)).await;
            }
            other => return other,
        }
    }
}
