//! How much of a disk an image may take: content of images comes from outside, and its size is known
//! only when it has been unpacked.

use std::io;
use std::path::{Path, PathBuf};

use k3s_sys::volume::{FsUsage, usage};

/// The share of a file system that images leave free, in percent: K3s' eviction threshold.
const RESERVE_PERCENT: u64 = 5;
/// Writes between two looks at the file system.
const UNCHECKED_LIMIT_BYTES: u64 = 16 << 20;
const UNCHECKED_LIMIT_INODES: u64 = 1024;

/// What is written to one file system.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    floor: Floor,
    unchecked_bytes: u64,
    unchecked_inodes: u64,
}

/// What stays free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Floor {
    bytes: u64,
    inodes: u64,
}

impl Floor {
    /// Where there is less than the reserve already, half of the rest may be used: small images of
    /// the node's own must still be pulled.
    fn of(usage: &FsUsage) -> Self {
        let floor = |all: u64, free: u64| (all / 100 * RESERVE_PERCENT).min(free / 2);
        Self {
            bytes: floor(usage.capacity_bytes, usage.available_bytes),
            inodes: floor(usage.inodes, usage.inodes_free),
        }
    }

    fn check(self, usage: &FsUsage, wanted_bytes: u64) -> io::Result<()> {
        let bytes = usage.available_bytes.saturating_sub(wanted_bytes);
        // Some file systems do not count inodes.
        let is_low_on_inodes = usage.inodes > 0 && usage.inodes_free < self.inodes;
        let what = match (bytes < self.bytes, is_low_on_inodes) {
            (true, _) => "space",
            (_, true) => "inodes",
            _ => return Ok(()),
        };
        let message = format!("the image does not fit: {what} of the disk would run out");
        Err(io::Error::new(io::ErrorKind::StorageFull, message))
    }
}

impl Room {
    /// For writes below `dir`.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_path_buf(),
            floor: Floor::of(&usage(dir)?),
            unchecked_bytes: 0,
            unchecked_inodes: 0,
        })
    }

    /// Fails unless this many octets more fit.
    pub(crate) fn require(&self, bytes: u64) -> io::Result<()> {
        self.floor.check(&usage(&self.dir)?, bytes)
    }

    /// Notes octets that were written; fails when the file system is too full.
    pub(crate) fn wrote(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes);
        self.look()
    }

    /// Notes a file or directory that was made.
    pub(crate) fn made_inode(&mut self) -> io::Result<()> {
        self.unchecked_inodes += 1;
        self.look()
    }

    fn look(&mut self) -> io::Result<()> {
        if self.unchecked_bytes < UNCHECKED_LIMIT_BYTES
            && self.unchecked_inodes < UNCHECKED_LIMIT_INODES
        {
            return Ok(());
        }
        (self.unchecked_bytes, self.unchecked_inodes) = (0, 0);
        self.require(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_of(available_bytes: u64, inodes_free: u64) -> FsUsage {
        FsUsage {
            capacity_bytes: 1000,
            available_bytes,
            inodes: 1000,
            inodes_free,
            ..FsUsage::default()
        }
    }

    #[test]
    fn the_reserve_stays_free() {
        let floor = Floor::of(&usage_of(500, 500));
        assert!(floor.check(&usage_of(50, 50), 0).is_ok());
        assert!(floor.check(&usage_of(49, 500), 0).is_err());
        assert!(floor.check(&usage_of(500, 49), 0).is_err());
        assert!(floor.check(&usage_of(500, 500), 450).is_ok());
        assert!(floor.check(&usage_of(500, 500), u64::MAX).is_err());
    }

    #[test]
    fn a_disk_that_is_short_already_still_takes_small_images() {
        let floor = Floor::of(&usage_of(20, 500));
        assert!(floor.check(&usage_of(20, 500), 10).is_ok());
        assert!(floor.check(&usage_of(20, 500), 11).is_err());
    }

    #[test]
    fn a_file_system_without_inode_numbers_is_not_full() {
        let usage = FsUsage {
            inodes: 0,
            inodes_free: 0,
            ..usage_of(500, 0)
        };
        assert!(Floor::of(&usage).check(&usage, 0).is_ok());
    }
}
