//! Compiled components on disk, named by what they were compiled from and for what.
//!
//! The directory holds native code that will be run, so it must belong to this user and be closed to
//! all others. A file is `<sha256 of the component>-<engine compatibility>.cwasm`; beside it lies a
//! checksum, so that a file cut short by a power failure is compiled again instead of run.

use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use k3s_base::error::chain;
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;
use crate::error::{CacheError, LoadError};
use crate::precompiled;

/// An existing, private directory.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    compatibility: u64,
}

impl Cache {
    /// Makes the directory if need be and refuses one that others could write.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Result<Self, LoadError> {
        prepare(dir).map_err(|source| LoadError::Cache {
            path: dir.to_owned(),
            source,
        })?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            dir: dir.to_owned(),
            compatibility: hasher.finish(),
        })
    }

    /// The component, if it was compiled before by a compatible engine and is undamaged.
    pub(crate) fn get(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let file = self.file(digest);
        let code = fs::read(&file).ok()?;
        let wanted = fs::read_to_string(checksum_of(&file)).ok()?;
        if Digest::of(&code).to_string() != wanted.trim() {
            warn!(file = %file.display(), "compiled code is damaged; compiling again");
            return None;
        }
        precompiled::from_cache(engine, &file)
            .inspect_err(|error| debug!(file = %file.display(), error = format!("{error:#}"), "compiled code is not for this engine"))
            .ok()
    }

    /// Keeps compiled code. A failure costs only the time to compile again.
    pub(crate) fn put(&self, digest: &Digest, component: &Component) {
        let file = self.file(digest);
        let keep = || {
            let code = component.serialize().map_err(io::Error::other)?;
            let checksum = Digest::of(&code).to_string();
            write_once(&checksum_of(&file), checksum.as_bytes())?;
            write_once(&file, &code)
        };
        if let Err(error) = keep() {
            warn!(file = %file.display(), error = chain(&error), "compiled code could not be kept");
        }
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!(
            "{}-{:016x}.cwasm",
            digest.hex(),
            self.compatibility
        ))
    }
}

/// Makes the directory if need be, and checks its owner and mode.
fn prepare(dir: &Path) -> Result<(), CacheError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = fs::symlink_metadata(dir)?;
    if !meta.is_dir() {
        return Err(CacheError::NotADirectory);
    }
    let (owner, mode) = (meta.uid(), meta.mode());
    if owner != rustix::process::geteuid().as_raw() || mode & 0o077 != 0 {
        let mode = mode & 0o7777;
        return Err(CacheError::Open { owner, mode });
    }
    Ok(())
}

fn checksum_of(file: &Path) -> PathBuf {
    file.with_extension("cwasm.sha256")
}

/// Writes beside the target and renames, so that readers see all or nothing.
fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
