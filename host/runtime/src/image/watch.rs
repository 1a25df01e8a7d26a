//! Imports what is in the images folder, or is put there: archives, and lists of names to pull.
//!
//! What was imported is remembered by size and time in `imported.json` beside the images'
//! records, so that a start does not read gigabytes again while nothing changed.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;

use super::archive;
use super::error::ImageError;
use super::pull::{PullError, Puller};
use super::reference::{InvalidReference, Reference};
use super::store::ImageStore;

/// Endings of the files that are imported.
const ARCHIVES: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"];
const LIST: &str = ".txt";
const MEMORY_FILE: &str = "imported.json";
/// Names of changed files waiting; more are found by the next start.
const EVENT_BUFFER_BYTES: usize = 16 << 10;

/// The folder, and the store for its images.
pub(crate) struct ImageFolder {
    pub(crate) dir: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) store: ImageStore,
    pub(crate) puller: Arc<Puller>,
}

/// Why an image of a list was not pulled.
#[derive(Debug, thiserror::Error)]
enum ListedError {
    #[error(transparent)]
    Name(#[from] InvalidReference),
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// Size and modification time in nanoseconds.
type Stamp = (u64, i64);

impl ImageFolder {
    /// Imports what is there, then what is added, until the group stops. It starts watching first, so
    /// that nothing is missed in between.
    pub(crate) async fn run(self, tasks: Tasks) {
        if let Err(error) = self.follow(&tasks).await {
            tracing::error!(dir = %self.dir.display(), error = chain(&error), "no longer watching for image archives");
        }
    }

    async fn follow(&self, tasks: &Tasks) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let inotify = Inotify::init()?;
        inotify
            .watches()
            .add(&self.dir, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)?;
        let mut events = inotify.into_event_stream(vec![0; EVENT_BUFFER_BYTES])?;
        self.import_all().await?;
        let stopping = tasks.stopping();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = stopping.cancelled() => return Ok(()),
            };
            match event {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(event)) => {
                    if let Some(name) = event.name {
                        self.import_one(&self.dir.join(name)).await;
                    }
                }
            }
        }
    }

    async fn import_all(&self) -> io::Result<()> {
        let mut paths: Vec<_> = std::fs::read_dir(&self.dir)?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            self.import_one(&path).await;
        }
        Ok(())
    }

    async fn import_one(&self, path: &Path) {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') {
            return;
        }
        if name.ends_with(LIST) {
            self.pull_list(path).await;
        } else if ARCHIVES.iter().any(|ending| name.ends_with(ending)) {
            self.import_archive(path, &name).await;
        }
    }

    async fn import_archive(&self, path: &Path, name: &str) {
        let Some(stamp) = stamp(path) else { return };
        if self.unchanged(name, stamp) {
            return;
        }
        let (store, scratch, archive_path) = (
            self.store.clone(),
            self.root.join("ingest"),
            path.to_path_buf(),
        );
        let imported = tokio::task::spawn_blocking(move || {
            archive::import(&store, &scratch, &archive_path, true)
        })
        .await;
        let imported = imported
            .map_err(io::Error::other)
            .map_err(ImageError::from)
            .and_then(|result| result);
        match imported {
            Ok(images) => {
                for image in &images {
                    tracing::info!(archive = %path.display(), image = image.tags.first().unwrap_or(&image.id), "imported image");
                }
                let ids = images.iter().map(|image| image.id.clone()).collect();
                if let Err(error) = self.remember(name, stamp, ids) {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot remember the import; the next start repeats it"
                    );
                }
            }
            Err(error) => {
                tracing::error!(archive = %path.display(), error = chain(&error), "image archive not imported")
            }
        }
    }

    async fn pull_list(&self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return tracing::error!(list = %path.display(), error = chain(&error), "image list not read");
            }
        };
        for name in archive::list_file(&text) {
            if self.store.resolve(&name).is_some() {
                continue;
            }
            match self.pull_listed(&name).await {
                Ok(()) => tracing::info!(image = name, "pulled image of the list"),
                Err(error) => {
                    tracing::error!(
                        image = name,
                        error = chain(&error),
                        "image of the list not pulled"
                    );
                }
            }
        }
    }

    async fn pull_listed(&self, name: &str) -> Result<(), ListedError> {
        let reference = Reference::parse(name)?;
        self.puller.pull(&reference, None).await?;
        Ok(())
    }

    /// True when this version of the file was imported and its images still exist.
    fn unchanged(&self, name: &str, stamp: Stamp) -> bool {
        let known = |(known, ids): &(Stamp, Vec<String>)| {
            *known == stamp && ids.iter().all(|id| self.store.resolve(id).is_some())
        };
        self.memory().get(name).is_some_and(known)
    }

    fn memory(&self) -> BTreeMap<String, (Stamp, Vec<String>)> {
        std::fs::read(self.root.join(MEMORY_FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn remember(&self, name: &str, stamp: Stamp, ids: Vec<String>) -> io::Result<()> {
        let mut memory = self.memory();
        memory.insert(name.to_owned(), (stamp, ids));
        memory.retain(|name, _| self.dir.join(name).exists());
        let bytes = serde_json::to_vec(&memory).map_err(io::Error::other)?;
        k3s_sys::fs::write_atomic(&self.root.join(MEMORY_FILE), &bytes, 0o644)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    Some((
        metadata.len(),
        metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
    ))
}
