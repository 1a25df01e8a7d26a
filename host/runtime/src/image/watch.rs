//! Imports what is in the images folder, or is put there: archives, and lists of names to pull.
//!
//! What was imported is remembered by size and time in `imported.json` beside the images'
//! records, so that a start does not read gigabytes again while nothing changed.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use inotify::{Inotify, WatchMask};
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;

use super::archive;
use super::pull::{PullError, Puller};
use super::reference::{InvalidReference, Reference};
use super::store::ImageStore;
use super::unpack::Unpacker;

/// Endings of the files that are imported; K3s' list.
const ARCHIVES: [&str; 8] = [
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.zst",
    ".tar.zstd",
    ".tar.bz2",
    ".tbz",
    ".tar.lz4",
];
/// Lists that are worked on at the same time, so that one whose registry does not answer holds up
/// neither the others nor, since more images may be pulled at once, the pods.
const PARALLEL_LISTS: usize = 3;
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
    pub(crate) unpacker: Unpacker,
}

/// Why an image of a list was not pulled.
#[derive(Debug, thiserror::Error)]
enum ListedError {
    #[error(transparent)]
    Name(#[from] InvalidReference),
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// A file of the folder, by its name there.
#[derive(Debug, PartialEq, Eq)]
enum Job {
    Archive(String),
    List(String),
}

/// Files to be worked on, in order, each once.
#[derive(Debug, Default)]
struct Waiting {
    archives: VecDeque<String>,
    lists: VecDeque<String>,
}

/// What is being worked on.
#[derive(Debug, Default)]
struct Busy {
    archives: usize,
    lists: usize,
}

impl Waiting {
    fn add(&mut self, name: String) {
        if name.starts_with('.') {
            return;
        }
        let queue = if name.ends_with(LIST) {
            &mut self.lists
        } else if ARCHIVES.iter().any(|ending| name.ends_with(ending)) {
            &mut self.archives
        } else {
            return tracing::warn!(file = name, "neither an image archive nor a list of images");
        };
        if !queue.contains(&name) {
            queue.push_back(name);
        }
    }

    /// The next file whose turn it is: archives one after the other, since each wants the whole disk.
    fn next(&mut self, busy: &mut Busy) -> Option<Job> {
        if busy.archives == 0
            && let Some(name) = self.archives.pop_front()
        {
            busy.archives += 1;
            return Some(Job::Archive(name));
        }
        if busy.lists >= PARALLEL_LISTS {
            return None;
        }
        let name = self.lists.pop_front()?;
        busy.lists += 1;
        Some(Job::List(name))
    }
}

impl Busy {
    fn end(&mut self, job: &Job) {
        match job {
            Job::Archive(_) => self.archives -= 1,
            Job::List(_) => self.lists -= 1,
        }
    }
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
        let mut waiting = Waiting::default();
        for name in self.names()? {
            waiting.add(name);
        }
        let mut running = FuturesUnordered::new();
        let mut busy = Busy::default();
        let stopping = tasks.stopping();
        loop {
            while let Some(job) = waiting.next(&mut busy) {
                running.push(self.work(job));
            }
            let event = tokio::select! {
                event = events.next() => event,
                Some(job) = running.next() => {
                    busy.end(&job);
                    continue;
                }
                () = stopping.cancelled() => return Ok(()),
            };
            match event {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(event)) => {
                    if let Some(name) = event.name {
                        waiting.add(name.to_string_lossy().into_owned());
                    }
                }
            }
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.dir)?.flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    async fn work(&self, job: Job) -> Job {
        match &job {
            Job::Archive(name) => self.import_archive(&self.dir.join(name), name).await,
            Job::List(name) => self.pull_list(&self.dir.join(name)).await,
        }
        job
    }

    async fn import_archive(&self, path: &Path, name: &str) {
        let Some(stamp) = stamp(path) else { return };
        if self.unchanged(name, stamp) {
            return;
        }
        let scratch = self.root.join("ingest");
        let imported = archive::import(&self.store, &self.unpacker, &scratch, path, true);
        match imported.await {
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
        k3s_sys::fs::write_atomic(&self.root.join(MEMORY_FILE), &bytes, 0o600)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_up_neither_archives_nor_other_lists() {
        let mut waiting = Waiting::default();
        let mut busy = Busy::default();
        for name in [
            "a.txt",
            "b.tar.bz2",
            "b.tar.bz2",
            "c.tar.lz4",
            "d.txt",
            "e.txt",
            "f.txt",
            "notes.md",
            ".hidden.tar",
        ] {
            waiting.add(name.to_owned());
        }
        let mut started = Vec::new();
        while let Some(job) = waiting.next(&mut busy) {
            started.push(job);
        }
        let list = |name: &str| Job::List(name.to_owned());
        let first = Job::Archive("b.tar.bz2".to_owned());
        assert_eq!(
            started,
            [first, list("a.txt"), list("d.txt"), list("e.txt")]
        );
        busy.end(&started[0]);
        let second = Job::Archive("c.tar.lz4".to_owned());
        assert_eq!(waiting.next(&mut busy), Some(second));
        assert_eq!(waiting.next(&mut busy), None);
        busy.end(&started[1]);
        assert_eq!(waiting.next(&mut busy), Some(list("f.txt")));
        assert_eq!(waiting.next(&mut busy), None);
    }
}
