//! The manifests directory: files in `server/manifests` are applied at start and whenever they change, by
//! K3s' rules.
//!
//! Each file is an AddOn (`addons.k3s.cattle.io`) that records its checksum and carries the events. The
//! objects of a file are labelled as a set, so that an object that is no longer in the file is deleted;
//! removing the file deletes nothing. A file with `NAME.skip` beside it is left alone; `--disable NAME` deletes the
//! objects of the file and the file itself. A file that cannot be read or applied affects no other. The
//! choice of a default class stays as users changed it, until the file itself changes it.
//!
//! Everything acts through the API as `system:k3s-deploy`, and nothing polls: changes come from inotify,
//! and only files that failed are retried after a delay.
//!
//! Tasks owned: one that watches the folder. Bounds: [`scan::MAX_FILES`] files of
//! [`scan::MAX_FILE_BYTES`], [`scan::MAX_DEPTH`] levels of folders.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod addon;
mod apply;
mod driver;
mod error;
mod lookup;
mod objectset;
mod packaged;
mod parse;
mod plan;
mod scan;
mod watch;

use std::path::PathBuf;

use k3s_base::{Clock, Random};
use k3s_client::Client;
use k3s_lifecycle::Tasks;

pub use error::Error;
pub use packaged::Packaged;

/// The user as which manifests are applied.
pub const USER: &str = "system:k3s-deploy";

/// Configuration and dependencies.
#[derive(Clone, Debug)]
pub struct ManifestsConfig {
    /// The folder, `server/manifests` of the data directory.
    pub dir: PathBuf,
    /// Acts as [`USER`].
    pub client: Client,
    /// `--disable`: base names of files and names of folders.
    pub disabled: Vec<String>,
    /// The server's own manifests; written to the folder at each start.
    pub packaged: Vec<Packaged>,
    /// Elapsed time, for retries.
    pub clock: Clock,
    /// Jitter of retries.
    pub random: Random,
}

/// The folder while it is watched. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Manifests {
    dir: PathBuf,
    disabled: Vec<String>,
}

impl Manifests {
    /// Writes another version of a component's manifests to the folder, from where they are applied. A
    /// component that is disabled or skipped is left alone. Blocks on the disk.
    pub fn replace(&self, packaged: &Packaged) {
        packaged::write(&self.dir, std::slice::from_ref(packaged), &self.disabled);
    }
}

/// Starts watching the folder, which is created if it is missing.
pub fn start(config: ManifestsConfig, tasks: &Tasks) -> Manifests {
    let tasks = tasks.child("manifests");
    let manifests = Manifests {
        dir: config.dir.clone(),
        disabled: config.disabled.clone(),
    };
    let driver = driver::Driver::new(config, &tasks);
    tasks.spawn_until_stopped("manifests", driver.run());
    manifests
}
