//! Log rotation: a file above the limit is renamed with the time, the runtime opens a new one, and
//! the oldest go (`pkg/kubelet/logs/container_log_manager.go`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Ctx;
use crate::pod::model::State;

/// As upstream's `containerLogMonitorInterval`.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks at the logs of running containers.
pub(crate) async fn run(ctx: Ctx) {
    while ctx.tasks.sleep(PERIOD).await {
        for handle in ctx.pods.list() {
            for record in handle
                .observed()
                .containers
                .iter()
                .filter(|c| c.state == State::Running)
            {
                let path = PathBuf::from(&record.log_path);
                let large =
                    std::fs::metadata(&path).is_ok_and(|m| m.len() >= ctx.config.log_max_bytes);
                if large && let Err(error) = rotate(&ctx, &path, &record.id).await {
                    tracing::warn!(error, path = %path.display(), "container log not rotated");
                }
            }
        }
    }
}

async fn rotate(ctx: &Ctx, path: &Path, id: &str) -> Result<(), String> {
    let stamp = ctx.config.clock.now().strftime("%Y%m%d-%H%M%S").to_string();
    let rotated = PathBuf::from(format!("{}.{stamp}", path.display()));
    std::fs::rename(path, &rotated).map_err(|e| e.to_string())?;
    if let Err(error) = ctx.cri.reopen_log(id).await {
        // The runtime still writes to the old file: give it its name back.
        std::fs::rename(&rotated, path).map_err(|e| e.to_string())?;
        return Err(error.to_string());
    }
    for old in surplus(siblings(path), ctx.config.log_max_files) {
        std::fs::remove_file(&old).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Rotated files of this log.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let prefix = format!(
        "{}.",
        path.file_name().unwrap_or_default().to_string_lossy()
    );
    let entries = path
        .parent()
        .and_then(|dir| std::fs::read_dir(dir).ok())
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        .map(|e| e.path())
        .collect()
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
    fn the_oldest_go() {
        let files = ["0.log.3", "0.log.1", "0.log.2"]
            .map(PathBuf::from)
            .to_vec();
        assert_eq!(surplus(files.clone(), 3), [PathBuf::from("0.log.1")]);
        assert!(surplus(files, 5).is_empty());
    }
}
