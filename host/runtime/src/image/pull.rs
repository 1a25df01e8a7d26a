//! Pulling an image: endpoints in turn, the manifest for this machine, layers side by side, each
//! unpacked as soon as those below it are.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k3s_base::{BackoffPolicy, Random};
use tokio::sync::{Mutex, Semaphore};

use super::content::digest_of;
use super::error::{ContentError, ImageError};
use super::model::{
    ConfigDocument, Descriptor, Image, LAYERS_LIMIT, Manifest, architecture, select,
};
use super::reference::Reference;
use super::registries::{Credentials, Endpoint, Registries};
use super::registry::{Registry, RegistryError};
use super::snapshots::chain;
use super::store::{ImageStore, LayerFile};
use super::unpack::Unpacker;

/// Layers of one image fetched at the same time; containerd's default.
const PARALLEL_DOWNLOADS: usize = 3;
/// Images pulled at the same time; more wait. Each holds a few buffers and a blocking thread.
const PARALLEL_PULLS: usize = 5;
/// Attempts to fetch one document or layer from one endpoint.
const TRIES: u32 = 4;
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    factor: 3.0,
    cap: Duration::from_secs(10),
    jitter: 0.2,
};

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Mirrors only, and none for this registry.
    #[error("{0}: no endpoint is configured")]
    NoEndpoint(String),
    /// What the registry sent is not what was asked for, or not supported.
    #[error("{reference}: {detail}")]
    Content { reference: String, detail: String },
    #[error("{reference}: malformed {document}")]
    Malformed {
        reference: String,
        document: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// A layer whose name is not a digest.
    #[error("{reference}")]
    Layer {
        reference: String,
        #[source]
        source: ContentError,
    },
    #[error("unpack {reference}")]
    Unpack {
        reference: String,
        #[source]
        source: ImageError,
    },
}

/// Pulls images into a store.
pub(crate) struct Puller {
    store: ImageStore,
    registries: Registries,
    unpacker: Unpacker,
    random: Random,
    permits: Semaphore,
    /// One download per blob, however many images want it.
    downloads: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Puller {
    pub(crate) fn new(
        store: ImageStore,
        registries: Registries,
        unpacker: Unpacker,
        random: Random,
    ) -> Self {
        Self {
            store,
            registries,
            unpacker,
            random,
            permits: Semaphore::new(PARALLEL_PULLS),
            downloads: Mutex::default(),
        }
    }

    /// Pulls `reference`, unpacks it and records it under its tag and digest.
    pub(crate) async fn pull(
        &self,
        reference: &Reference,
        secret: Option<Credentials>,
    ) -> Result<Arc<Image>, PullError> {
        let _permit = self.permits.acquire().await;
        let mut last = None;
        for endpoint in self.registries.endpoints(reference) {
            match self.pull_from(endpoint, reference, secret.clone()).await {
                Ok(image) => return Ok(image),
                Err(error) => {
                    tracing::debug!(%reference, error = k3s_base::error::chain(&error), "endpoint has no image");
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| PullError::NoEndpoint(reference.to_string())))
    }

    async fn pull_from(
        &self,
        endpoint: Endpoint,
        reference: &Reference,
        secret: Option<Credentials>,
    ) -> Result<Arc<Image>, PullError> {
        let registry = Registry::new(endpoint, secret)?;
        let (digest, manifest) = self.manifest(&registry, reference).await?;
        let descriptor = manifest
            .config
            .as_ref()
            .ok_or_else(|| content(reference, "the manifest is not of an image"))?;
        let config = self.retry(|| registry.blob(&descriptor.digest)).await?;
        verify(reference, &descriptor.digest, &config)?;
        let diff_ids = diff_ids(reference, &config, &manifest)?;
        let chain = chain(&diff_ids);
        let lease = self.store.snapshots.lease(&chain);
        let paths = self
            .download_missing(&registry, reference, &manifest.layers, &chain)
            .await?;
        let layers: Vec<_> = paths
            .into_iter()
            .zip(diff_ids)
            .map(|(path, diff_id)| LayerFile { path, diff_id })
            .collect();
        let mut image = self.unpack(reference, &config, &layers).await?;
        for layer in &manifest.layers {
            let _ = self.store.ingest.remove(&layer.digest);
        }
        image.size_bytes =
            descriptor.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
        image.tags.extend(reference.tagged());
        image.digests.insert(reference.with_digest(&digest));
        let recorded = self.store.record(image);
        drop(lease);
        recorded.map_err(|error| unpack_error(reference, error))
    }

    /// The digest of what `reference` names, and the manifest for this machine.
    async fn manifest(
        &self,
        registry: &Registry,
        reference: &Reference,
    ) -> Result<(String, Manifest), PullError> {
        let (bytes, _) = self
            .retry(|| registry.manifest(reference.selector()))
            .await?;
        let digest = digest_of(&bytes);
        if let Some(wanted) = &reference.digest {
            verify(reference, wanted, &bytes)?;
        }
        let parse = |bytes: &[u8]| {
            serde_json::from_slice::<Manifest>(bytes)
                .map_err(|source| malformed(reference, "manifest", source))
        };
        let manifest = parse(&bytes)?;
        if manifest.manifests.is_empty() {
            if manifest.schema_version != 2 {
                let version = manifest.schema_version;
                let detail = format!("manifests of schema version {version} are not supported");
                return Err(content(reference, detail));
            }
            return Ok((digest, manifest));
        }
        let chosen = select(&manifest.manifests).ok_or_else(|| {
            let architecture = architecture();
            let detail = format!("no match for platform linux/{architecture} in the index");
            content(reference, detail)
        })?;
        let (bytes, _) = self.retry(|| registry.manifest(&chosen.digest)).await?;
        verify(reference, &chosen.digest, &bytes)?;
        Ok((digest, parse(&bytes)?))
    }

    /// Fetches layers that are not unpacked yet; the file of one that is does not exist.
    async fn download_missing(
        &self,
        registry: &Registry,
        reference: &Reference,
        layers: &[Descriptor],
        chain: &[String],
    ) -> Result<Vec<PathBuf>, PullError> {
        let wanted: Vec<(Descriptor, String)> =
            layers.iter().cloned().zip(chain.iter().cloned()).collect();
        let downloads = wanted.into_iter().map(|(layer, name)| async move {
            let path =
                self.store
                    .ingest
                    .path(&layer.digest)
                    .map_err(|source| PullError::Layer {
                        reference: reference.to_string(),
                        source,
                    })?;
            if !self.store.snapshots.has(&name) {
                self.download(registry, &layer).await?;
            }
            Ok(path)
        });
        let results: Vec<Result<PathBuf, PullError>> = futures_util::stream::iter(downloads)
            .buffered(PARALLEL_DOWNLOADS)
            .collect()
            .await;
        results.into_iter().collect()
    }

    /// Downloads a layer, unless it is there, or another pull downloads it right now.
    async fn download(&self, registry: &Registry, layer: &Descriptor) -> Result<(), PullError> {
        let lock = self
            .downloads
            .lock()
            .await
            .entry(layer.digest.clone())
            .or_default()
            .clone();
        let guard = lock.lock().await;
        let result = if self.store.ingest.has(&layer.digest) {
            Ok(())
        } else {
            self.retry(|| self.fetch(registry, layer)).await
        };
        drop(guard);
        self.downloads
            .lock()
            .await
            .retain(|_, lock| Arc::strong_count(lock) > 1);
        Ok(result?)
    }

    async fn fetch(&self, registry: &Registry, layer: &Descriptor) -> Result<(), RegistryError> {
        let (ingest, digest) = (self.store.ingest.clone(), layer.digest.clone());
        let partial = ingest.partial_path(&digest)?;
        registry.download(&digest, &partial, layer.size).await?;
        let committed = tokio::task::spawn_blocking(move || ingest.commit(&digest)).await;
        Ok(committed.map_err(io::Error::other)??)
    }

    async fn unpack(
        &self,
        reference: &Reference,
        config: &[u8],
        layers: &[LayerFile],
    ) -> Result<Image, PullError> {
        let unpacked = self.store.unpack(&self.unpacker, config, layers).await;
        unpacked.map_err(|error| unpack_error(reference, error))
    }

    async fn retry<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut backoff = RETRY.start();
        loop {
            match call().await {
                Err(error) if error.is_transient() && backoff.tries() + 1 < TRIES => {
                    tokio::time::sleep(backoff.next_delay(&self.random)).await
                }
                other => return other,
            }
        }
    }
}

fn verify(reference: &Reference, digest: &str, bytes: &[u8]) -> Result<(), PullError> {
    let found = digest_of(bytes);
    if found == digest {
        Ok(())
    } else {
        Err(content(
            reference,
            format!("content is {found}, not {digest}"),
        ))
    }
}

/// The digests of the uncompressed layers, one for each layer of the manifest.
fn diff_ids(
    reference: &Reference,
    config: &[u8],
    manifest: &Manifest,
) -> Result<Vec<String>, PullError> {
    let document: ConfigDocument = serde_json::from_slice(config)
        .map_err(|source| malformed(reference, "configuration", source))?;
    let diff_ids = document.rootfs.diff_ids;
    if diff_ids.len() > LAYERS_LIMIT {
        let detail = format!("more than {LAYERS_LIMIT} layers");
        return Err(content(reference, detail));
    }
    if diff_ids.len() == manifest.layers.len() {
        return Ok(diff_ids);
    }
    Err(content(
        reference,
        "configuration and manifest name different numbers of layers",
    ))
}

fn malformed(
    reference: &Reference,
    document: &'static str,
    source: serde_json::Error,
) -> PullError {
    PullError::Malformed {
        reference: reference.to_string(),
        document,
        source,
    }
}

fn unpack_error(reference: &Reference, error: impl Into<ImageError>) -> PullError {
    PullError::Unpack {
        reference: reference.to_string(),
        source: error.into(),
    }
}

fn content(reference: &Reference, detail: impl Into<String>) -> PullError {
    PullError::Content {
        reference: reference.to_string(),
        detail: detail.into(),
    }
}
