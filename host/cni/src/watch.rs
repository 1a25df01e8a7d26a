//! Follows the folders of configurations: a pod network is often installed after the node is up.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use k3s_base::error::chain;
use parking_lot::RwLock;

use crate::conflist::Conflist;

/// Names of changed files waiting. If more change at once the folders are read again anyway.
const EVENT_BUFFER_BYTES: usize = 16 << 10;

/// The configuration in force.
pub(crate) type Current = Arc<RwLock<Option<Conflist>>>;

/// Reads the configuration again whenever a file in one of the folders changes. Folders that do not
/// exist are made, so that what is put there later is seen.
pub(crate) async fn follow(folders: Vec<PathBuf>, current: Current) {
    if let Err(error) = watch(&folders, &current).await {
        tracing::error!(
            error = chain(&error),
            "changes of the network configuration go unnoticed until the next start"
        );
    }
}

async fn watch(folders: &[PathBuf], current: &Current) -> std::io::Result<()> {
    let inotify = Inotify::init()?;
    for folder in folders {
        std::fs::create_dir_all(folder)?;
        let changes = WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE;
        inotify.watches().add(folder, changes)?;
    }
    let mut events = inotify.into_event_stream(vec![0; EVENT_BUFFER_BYTES])?;
    load(folders, current);
    while let Some(event) = events.next().await {
        event?;
        load(folders, current);
    }
    Ok(())
}

fn load(folders: &[PathBuf], current: &Current) {
    let new = Conflist::find(folders);
    let mut current = current.write();
    if *current == new {
        return;
    }
    match &new {
        Some(list) => tracing::info!(
            network = list.name,
            version = list.version,
            "network configuration"
        ),
        None => tracing::warn!(
            ?folders,
            "no network configuration; pods wait until there is one"
        ),
    }
    *current = new;
}
