//! Single files from registries: an OCI artifact with one WebAssembly layer, by digest. Mirrors, TLS
//! and credentials are those of images.
//!
//! What was fetched once is kept by digest, so that a later start needs no registry.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Random};

use super::content::{Content, digest_of};
use super::error::ContentError;
use super::model::{Descriptor, Manifest};
use super::reference::Reference;
use super::registries::{Endpoint, Registries, RegistriesFileError};
use super::registry::{Registry, RegistryError};

/// The layer's media type as the Wasm OCI artifact specification has it, and what older tools push.
const WASM_LAYERS: [&str; 2] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
];
/// Attempts at one endpoint; the start of a server waits for it.
const TRIES: u32 = 3;
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(300),
    factor: 3.0,
    cap: Duration::from_secs(2),
    jitter: 0.2,
};

/// Why there is no file. A caller can only report it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ArtifactError(#[from] Failure);

#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The reference names no digest, or is not a reference.
    #[error("{0:?} is not a reference by digest (HOST/REPOSITORY@sha256:HEX)")]
    Reference(String),
    #[error("the registry configuration")]
    Registries(#[from] RegistriesFileError),
    #[error("{0}: no endpoint is configured")]
    NoEndpoint(String),
    /// The failures of all endpoints: if the registry itself does not exist, the reason that matters is
    /// that of its mirror.
    #[error("{}", .0.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; then "))]
    Fetch(Vec<RegistryError>),
    /// The artifact is not one WebAssembly file, or too large.
    #[error("{reference}: {detail}")]
    Content { reference: String, detail: String },
    #[error("{reference}: malformed manifest")]
    Manifest {
        reference: String,
        #[source]
        source: serde_json::Error,
    },
    /// The layer is not what the manifest names.
    #[error("{reference}")]
    Layer {
        reference: String,
        #[source]
        source: ContentError,
    },
    /// The folder of kept files.
    #[error("keep {reference}")]
    Keep {
        reference: String,
        #[source]
        source: ContentError,
    },
}

/// Why an attempt at one endpoint failed.
enum AttemptError {
    /// Another endpoint may have the artifact.
    Endpoint(RegistryError),
    /// The content of a digest is the same at each endpoint, and so is the disk.
    Final(Failure),
}

impl From<RegistryError> for AttemptError {
    fn from(error: RegistryError) -> Self {
        Self::Endpoint(error)
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
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
/// When it cannot be fetched, is too large, or is something else.
pub async fn fetch_artifact(
    reference: &str,
    from: ArtifactSource<'_>,
) -> Result<Vec<u8>, ArtifactError> {
    let bad = || Failure::Reference(reference.to_owned());
    let parsed = Reference::parse(reference).map_err(|_| bad())?;
    let digest = parsed.digest.clone().ok_or_else(bad)?;
    let scratch = Scratch::new(from.keep).map_err(|error| keep_error(reference, error))?;
    let content = Content::open(&scratch.path).map_err(|error| keep_error(reference, error))?;
    let job = Job {
        reference: &parsed,
        digest: &digest,
        content: &content,
        limit_bytes: from.limit_bytes,
    };
    if let Some(bytes) = job.kept()? {
        return Ok(bytes);
    }
    let registries = Registries::load(from.registries).map_err(Failure::from)?;
    let mut failures = Vec::new();
    for endpoint in registries.endpoints(&parsed) {
        match job.fetch(endpoint).await {
            Ok(()) => {
                let kept = job.kept()?;
                return Ok(kept.ok_or_else(|| job.content_error("it vanished while it was kept"))?);
            }
            Err(AttemptError::Final(failure)) => return Err(failure.into()),
            Err(AttemptError::Endpoint(error)) => failures.push(error),
        }
    }
    if failures.is_empty() {
        return Err(Failure::NoEndpoint(reference.to_owned()).into());
    }
    Err(Failure::Fetch(failures).into())
}

/// A folder that may be for this call only.
struct Scratch {
    path: PathBuf,
    temporary: bool,
}

impl Scratch {
    /// `keep`, or a new folder that nobody else may enter.
    fn new(keep: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = keep {
            return Ok(Self {
                path: path.to_owned(),
                temporary: false,
            });
        }
        let mut random = [0; 8];
        Random::from_os().fill(&mut random);
        let path = std::env::temp_dir().join(format!("k3s-artifact-{}", hex::encode(random)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self {
            path,
            temporary: true,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.temporary {
            let _ = k3s_sys::fs::remove_all(&self.path);
        }
    }
}

fn keep_error(reference: &str, error: impl Into<ContentError>) -> Failure {
    Failure::Keep {
        reference: reference.to_owned(),
        source: error.into(),
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
    fn kept(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(manifest) = self.read(self.digest)? else {
            return Ok(None);
        };
        let layer = self.layer(&manifest)?;
        self.read(&layer.digest)
    }

    fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, Failure> {
        if !self.content.has(digest) {
            return Ok(None);
        }
        let path = self
            .content
            .path(digest)
            .map_err(|error| self.keep_error(error))?;
        let bytes = std::fs::read(path).map_err(|error| self.keep_error(error))?;
        // A file that was damaged on disk is fetched again.
        Ok((digest_of(&bytes) == digest).then_some(bytes))
    }

    /// Fetches manifest and layer, and keeps both.
    async fn fetch(&self, endpoint: Endpoint) -> Result<(), AttemptError> {
        let registry = Registry::new(endpoint, None)?;
        let (manifest, _) = retry(|| registry.manifest(self.digest)).await?;
        let found = digest_of(&manifest);
        if found != self.digest {
            return Err(AttemptError::Endpoint(RegistryError::Content {
                url: self.reference.to_string(),
                detail: format!("the registry sent {found}"),
            }));
        }
        let layer = self.layer(&manifest)?;
        let partial = self.content.partial_path(&layer.digest);
        let partial = partial.map_err(|error| self.keep_error(error))?;
        retry(|| registry.download(&layer.digest, &partial, layer.size)).await?;
        let committed = self.content.commit(&layer.digest);
        committed.map_err(|source| Failure::Layer {
            reference: self.reference.to_string(),
            source,
        })?;
        Ok(self.keep_manifest(&manifest)?)
    }

    fn keep_manifest(&self, manifest: &[u8]) -> Result<(), Failure> {
        let write = || -> Result<(), ContentError> {
            std::fs::write(self.content.partial_path(self.digest)?, manifest)?;
            self.content.commit(self.digest)
        };
        write().map_err(|error| self.keep_error(error))
    }

    /// The one WebAssembly layer of a manifest.
    fn layer(&self, manifest: &[u8]) -> Result<Descriptor, Failure> {
        let manifest: Manifest =
            serde_json::from_slice(manifest).map_err(|source| Failure::Manifest {
                reference: self.reference.to_string(),
                source,
            })?;
        let mut layers = manifest
            .layers
            .into_iter()
            .filter(|l| WASM_LAYERS.contains(&l.media_type.as_str()));
        let (Some(layer), None) = (layers.next(), layers.next()) else {
            return Err(self.content_error("it is not an artifact with one application/wasm layer"));
        };
        if layer.size > self.limit_bytes {
            let (size, limit) = (layer.size, self.limit_bytes);
            let detail = format!("{size} bytes are above the limit of {limit}");
            return Err(self.content_error(detail));
        }
        Ok(layer)
    }

    fn content_error(&self, detail: impl Into<String>) -> Failure {
        Failure::Content {
            reference: self.reference.to_string(),
            detail: detail.into(),
        }
    }

    fn keep_error(&self, error: impl Into<ContentError>) -> Failure {
        keep_error(&self.reference.to_string(), error)
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
