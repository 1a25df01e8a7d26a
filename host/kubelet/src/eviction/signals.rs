//! Reads the eviction signals.

use std::path::Path;

use k3s_sys::volume::FsUsage;

use super::plan::{Observation, Observations};
use super::settings::Signal;
use crate::config::KubeletConfig;
use crate::cri::Cri;
use crate::node::info;

/// Reads all of them. One that cannot be read is left out, so its threshold is never met.
pub(super) async fn observe(config: &KubeletConfig, cri: &Cri) -> Observations {
    let mut all = Observations::new();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        |name: &str| info::meminfo(&meminfo, name).and_then(|bytes| u64::try_from(bytes).ok());
    if let (Some(available), Some(capacity)) = (memory("MemAvailable"), memory("MemTotal")) {
        all.insert(
            Signal::Memory,
            Observation {
                available,
                capacity,
            },
        );
    }
    if let Ok(usage) = k3s_sys::volume::usage(&config.root_dir) {
        file_system(&mut all, usage, Signal::NodeFs, Signal::NodeFsInodes);
    }
    if let Some(usage) = image_fs(cri).await {
        file_system(&mut all, usage, Signal::ImageFs, Signal::ImageFsInodes);
    }
    if let Some((running, max)) = info::pids() {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        all.insert(
            Signal::Pid,
            Observation {
                available: number(max - running),
                capacity: number(max),
            },
        );
    }
    all
}

async fn image_fs(cri: &Cri) -> Option<FsUsage> {
    let answer = cri.image_fs().await.ok()?;
    let mount = answer
        .image_filesystems
        .first()?
        .fs_id
        .as_ref()?
        .mountpoint
        .clone();
    k3s_sys::volume::usage(Path::new(&mount)).ok()
}

fn file_system(all: &mut Observations, usage: FsUsage, space: Signal, inodes: Signal) {
    all.insert(
        space,
        Observation {
            available: usage.available_bytes,
            capacity: usage.capacity_bytes,
        },
    );
    // Some file systems do not count inodes.
    if usage.inodes > 0 {
        all.insert(
            inodes,
            Observation {
                available: usage.inodes_free,
                capacity: usage.inodes,
            },
        );
    }
}
