//! Removes unused images when the image file system fills up, the longest unused first
//! (`pkg/kubelet/images/image_gc_manager.go`).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k3s_cri::v1;
use k3s_lifecycle::Tasks;

use super::manager::ImageManager;
use crate::config::KubeletConfig;
use crate::cri::CriError;

/// Between checks of the file system.
const PERIOD: Duration = Duration::from_secs(300);
/// An image used this recently stays.
const MIN_AGE: Duration = Duration::from_secs(120);

/// Checks the file system and the records of pulls every five minutes until the kubelet stops.
pub(crate) async fn run(config: Arc<KubeletConfig>, images: Arc<ImageManager>, tasks: Tasks) {
    loop {
        if let Err(error) = images.tidy_records().await {
            tracing::warn!(%error, "records of pulls are not up to date");
        }
        if !tasks.sleep(PERIOD).await {
            return;
        }
        if let Err(error) = collect(&config, &images).await {
            tracing::warn!(%error, "image collection failed");
        }
    }
}

/// Bytes to free, if the file system is above the high mark.
fn to_free(usage: k3s_sys::volume::FsUsage, high_percent: u64, low_percent: u64) -> Option<u64> {
    let all = usage.capacity_bytes;
    let used = all.saturating_sub(usage.available_bytes);
    (all > 0 && used.saturating_mul(100) >= all.saturating_mul(high_percent))
        .then(|| used.saturating_sub(all / 100 * low_percent))
}

async fn collect(config: &KubeletConfig, images: &ImageManager) -> Result<(), CriError> {
    let filesystems = images.cri.image_fs().await?.image_filesystems;
    let Some(mount) = filesystems
        .first()
        .and_then(|f| f.fs_id.as_ref())
        .map(|id| id.mountpoint.clone())
    else {
        return Ok(());
    };
    let Ok(usage) = k3s_sys::volume::usage(Path::new(&mount)) else {
        return Ok(());
    };
    let Some(mut wanted) = to_free(
        usage,
        config.image_gc_high_percent,
        config.image_gc_low_percent,
    ) else {
        return Ok(());
    };
    for image in unused(images).await? {
        if wanted == 0 {
            break;
        }
        match images.cri.remove_image(&image.id).await {
            Ok(()) => wanted = wanted.saturating_sub(image.size),
            Err(error) => tracing::debug!(%error, image = image.id, "image not removed"),
        }
    }
    Ok(())
}

/// Removes every unused image: disk is short.
pub(crate) async fn collect_all(images: &ImageManager) -> Result<(), CriError> {
    for image in unused(images).await? {
        if let Err(error) = images.cri.remove_image(&image.id).await {
            tracing::debug!(%error, image = image.id, "image not removed");
        }
    }
    Ok(())
}

/// Images no container uses, the longest unused first.
async fn unused(images: &ImageManager) -> Result<Vec<v1::Image>, CriError> {
    let containers = images.cri.containers(HashMap::new()).await?;
    let mut used: HashSet<String> = HashSet::new();
    for container in containers {
        used.insert(container.image_ref);
        used.insert(container.image_id);
        used.extend(container.image.map(|i| i.image));
    }
    let now = images.clock.elapsed();
    let last_used = images.last_used();
    let names = |image: &v1::Image| -> Vec<String> {
        image
            .repo_tags
            .iter()
            .chain(&image.repo_digests)
            .chain([&image.id])
            .cloned()
            .collect()
    };
    let age = |image: &v1::Image| {
        let last = names(image)
            .iter()
            .filter_map(|n| last_used.get(n))
            .max()
            .copied()
            .unwrap_or_default();
        now.saturating_sub(last)
    };
    let mut free: Vec<_> = images
        .cri
        .images()
        .await?
        .into_iter()
        .filter(|image| {
            !image.pinned && !names(image).iter().any(|n| used.contains(n)) && age(image) >= MIN_AGE
        })
        .collect();
    free.sort_by_key(|image| std::cmp::Reverse(age(image)));
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_above_the_high_mark_and_down_to_the_low_one() {
        let usage = |available| k3s_sys::volume::FsUsage {
            capacity_bytes: 1000,
            available_bytes: available,
            ..Default::default()
        };
        assert_eq!(to_free(usage(200), 85, 80), None);
        assert_eq!(to_free(usage(100), 85, 80), Some(100));
    }
}
