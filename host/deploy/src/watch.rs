//! Noticing that something in the folder changed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask, Watches};
use tracing::warn;

/// Writers rarely write once: how long it has to be quiet before the folder is looked at.
const QUIET: Duration = Duration::from_millis(200);
/// A folder that never is quiet is looked at all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches of the folder and all folders in it.
pub(crate) struct Watch {
    stream: EventStream<[u8; 4096]>,
    watches: Watches,
    watched: HashSet<PathBuf>,
}

impl Watch {
    pub(crate) fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        Ok(Self { stream: inotify.into_event_stream([0; 4096])?, watches, watched: HashSet::new() })
    }

    /// Watches these folders and no others. True when one is new: it may have changed before.
    pub(crate) fn set(&mut self, dirs: &[PathBuf]) -> bool {
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::CREATE
            | WatchMask::ONLYDIR;
        let mut new = false;
        let mut add = |dir: &Path| match self.watches.add(dir, mask) {
            Ok(_) => true,
            Err(error) => {
                warn!(%error, dir = %dir.display(), "folder of manifests is not watched");
                false
            }
        };
        // The kernel forgets folders that are gone, so only what is there counts.
        self.watched.retain(|dir| dirs.contains(dir));
        for dir in dirs {
            if !self.watched.contains(dir) && add(dir) {
                self.watched.insert(dir.clone());
                new = true;
            }
        }
        new
    }

    /// Resolves when something changed and it has been quiet since.
    pub(crate) async fn changed(&mut self) {
        if self.stream.next().await.is_none() {
            // The descriptor is gone, which nothing here closes.
            std::future::pending::<()>().await;
        }
        let quiet = async { while let Ok(Some(_)) = tokio::time::timeout(QUIET, self.stream.next()).await {} };
        let _ = tokio::time::timeout(LONGEST, quiet).await;
    }
}
