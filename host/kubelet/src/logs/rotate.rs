//! Log rotation: a file above the limit is renamed with the time, the runtime opens a new one, and
//! the oldest are removed (`pkg/kubelet/logs/container_log_manager.go`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;

use crate::config::KubeletConfig;
use crate::cri::{Cri, CriError};
use crate::pod::table::PodTable;

/// As upstream's `containerLogMonitorInterval`.
const PERIOD: Duration = Duration::from_secs(10);

/// Why a log is not rotated.
#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error("the file cannot be renamed")]
    Rename(#[source] io::Error),
    #[error("the runtime does not open a new file")]
    Reopen(#[source] CriError),
    #[error("an old file cannot be removed")]
    Remove(#[source] io::Error),
}

/// Rotates the logs of running containers.
pub(crate) struct LogRotator {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) cri: Cri,
    pub(crate) pods: Arc<PodTable>,
}

impl LogRotator {
    /// Checks all logs every ten seconds until the kubelet stops.
    pub(crate) async fn run(self, tasks: Tasks) {
        while tasks.sleep(PERIOD).await {
            for handle in self.pods.list() {
                let observed = handle.observed();
                for record in observed.running() {
                    let path = Path::new(&record.log_path);
                    self.check(path, &record.id).await;
                }
            }
        }
    }

    async fn check(&self, path: &Path, id: &str) {
        let limit = self.config.log_max_bytes;
        let metadata = std::fs::metadata(path);
        let is_large = metadata.is_ok_and(|metadata| metadata.len() >= limit);
        if !is_large {
            return;
        }
        if let Err(error) = self.rotate(path, id).await {
            tracing::warn!(error = chain(&error), path = %path.display(), "container log not rotated");
        }
    }

    async fn rotate(&self, path: &Path, id: &str) -> Result<(), RotateError> {
        let now = self.config.clock.now();
        let stamp = now.strftime("%Y%m%d-%H%M%S");
        let rotated = PathBuf::from(format!("{}.{stamp}", path.display()));
        std::fs::rename(path, &rotated).map_err(RotateError::Rename)?;
        if let Err(error) = self.cri.reopen_log(id).await {
            // The runtime still writes to the old file: give it its name back.
            std::fs::rename(&rotated, path).map_err(RotateError::Rename)?;
            return Err(RotateError::Reopen(error));
        }
        let rotated = siblings(path);
        for old in surplus(rotated, self.config.log_max_files) {
            let removed = std::fs::remove_file(&old);
            removed.map_err(RotateError::Remove)?;
        }
        Ok(())
    }
}

/// Rotated files of this log.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let live = path.file_name().unwrap_or_default();
    let prefix = format!("{}.", live.to_string_lossy());
    let dir = path.parent();
    let entries = dir.and_then(|dir| std::fs::read_dir(dir).ok());
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    found
}

/// The oldest files beyond the limit; the live file counts as one.
fn surplus(mut rotated: Vec<PathBuf>, max_files: usize) -> Vec<PathBuf> {
    rotated.sort();
    let keep = max_files.saturating_sub(1);
    let surplus = rotated.len().saturating_sub(keep);
    rotated.truncate(surplus);
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_removed() {
        let files = ["0.log.3", "0.log.1", "0.log.2"]
            .map(PathBuf::from)
            .to_vec();
        assert_eq!(surplus(files.clone(), 3), [PathBuf::from("0.log.1")]);
        assert!(surplus(files, 5).is_empty());
    }
}
