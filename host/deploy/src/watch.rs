//! Notifications of changes in the folder.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use k3s_base::error::chain;
use tracing::warn;

/// How long the folder has to be quiet before it is scanned, since writers rarely write only once.
const QUIET: Duration = Duration::from_millis(200);
/// A folder that is never quiet is scanned after this long.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches of the folder and all folders in it.
pub(crate) struct Watch {
    stream: EventStream<[u8; 4096]>,
    watches: Watches,
    watched: HashMap<PathBuf, WatchDescriptor>,
}

impl Watch {
    pub(crate) fn new() -> std::io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        Ok(Self {
            stream: inotify.into_event_stream([0; 4096])?,
            watches,
            watched: HashMap::new(),
        })
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
        // The kernel forgets folders that no longer exist, so only those that do count.
        self.watched.retain(|dir, _| dirs.contains(dir));
        for dir in dirs {
            // Adding a folder that is watched returns its descriptor; a folder that replaced it under the
            // same name gets a new one.
            match self.watches.add(dir, mask) {
                Ok(descriptor) => {
                    let before = self.watched.insert(dir.clone(), descriptor.clone());
                    new |= before.as_ref() != Some(&descriptor);
                }
                Err(error) => {
                    warn!(error = chain(&error), dir = %dir.display(), "folder of manifests is not watched")
                }
            }
        }
        new
    }

    /// Resolves once something changed and the folder has been quiet since.
    pub(crate) async fn changed(&mut self) {
        if self.stream.next().await.is_none() {
            // The stream ends only with its descriptor, which nothing here closes.
            std::future::pending::<()>().await;
        }
        let quiet = async {
            while let Ok(Some(_)) = tokio::time::timeout(QUIET, self.stream.next()).await {}
        };
        let _ = tokio::time::timeout(LONGEST, quiet).await;
    }
}
