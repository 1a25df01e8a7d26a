//! After a start: finds what an earlier server process left running and continues with it.

use k3s_base::error::chain;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::manager::{Manager, container_name, remove_tree, sandbox_name};
use super::record::{self, ContainerRecord, SandboxRecord};
use crate::error::{Context, Result};

impl Manager {
    /// Adopts every recorded sandbox whose shim answers; the containers of the others count as
    /// ended. What was never finished, or belongs to nothing, is removed.
    pub(crate) async fn adopt(self: &Arc<Self>) -> Result<()> {
        let mut unfinished = Vec::new();
        for record in self.read_sandboxes()? {
            if record.complete {
                if let Some(metadata) = &record.config.metadata {
                    let _ = self.reserve(sandbox_name(metadata), &record.id);
                }
                self.insert_sandbox(record);
            } else {
                unfinished.push(record);
            }
        }
        self.read_containers().await?;
        for sandbox in self.sandboxes() {
            self.take_over(&sandbox.id()).await;
        }
        for record in unfinished {
            if let Err(error) = self.undo_sandbox(&record).await {
                tracing::warn!(
                    sandbox = record.id,
                    error = chain(&error),
                    "an unfinished sandbox left something behind"
                );
            }
        }
        self.remove_strays().await;
        let valid: Vec<String> = self
            .sandboxes()
            .iter()
            .map(|sandbox| sandbox.id())
            .collect();
        if let Err(error) = self.config.network.gc(&valid).await {
            tracing::warn!(
                error = chain(&error),
                "the network could not free what is unused"
            );
        }
        Ok(())
    }

    async fn take_over(self: &Arc<Self>, id: &str) {
        let Ok(sandbox) = self.sandbox(id) else {
            return;
        };
        let followed = if sandbox.record().stopped {
            Ok(false)
        } else {
            self.follow(id).await.map(|()| true)
        };
        match followed {
            Ok(alive) => sandbox.alive.store(alive, Ordering::SeqCst),
            Err(error) => {
                tracing::info!(
                    sandbox = id,
                    error = chain(&error),
                    "sandbox did not survive"
                );
                for container in self.containers_of(id) {
                    let _ = self.kill_group(&container);
                    self.unknown(&container);
                }
            }
        }
    }

    fn read_sandboxes(&self) -> Result<Vec<SandboxRecord>> {
        let dir = self.records("sandboxes");
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&dir)
            .context(|| format!("read {}", dir.display()))?
            .flatten()
        {
            match record::load::<SandboxRecord>(&entry.path()) {
                Ok(record) => out.push(record),
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), error = chain(&error), "dropping a damaged sandbox record");
                    if let Err(error) = k3s_sys::fs::remove_all(&entry.path()) {
                        tracing::warn!(path = %entry.path().display(), %error, "it is not removed");
                    }
                }
            }
        }
        Ok(out)
    }

    async fn read_containers(&self) -> Result<()> {
        let dir = self.records("containers");
        for entry in std::fs::read_dir(&dir)
            .context(|| format!("read {}", dir.display()))?
            .flatten()
        {
            let loaded = record::load::<ContainerRecord>(&entry.path().join("container.json"));
            let owner = loaded
                .as_ref()
                .ok()
                .and_then(|record| self.sandbox(&record.sandbox).ok());
            let (Ok(record), Some(owner)) = (loaded, owner) else {
                tracing::warn!(path = %entry.path().display(), "removing a container without record or sandbox");
                let id = entry.file_name().to_string_lossy().into_owned();
                note(&id, self.remove_leftover(&id).await);
                continue;
            };
            if let (Some(metadata), Some(pod)) =
                (&record.config.metadata, &owner.record().config.metadata)
            {
                let _ = self.reserve(container_name(metadata, pod), &record.id);
            }
            self.insert_container(record);
        }
        Ok(())
    }

    /// State folders without a record.
    async fn remove_strays(&self) {
        let known: HashSet<String> = self
            .containers()
            .iter()
            .map(|container| container.with(|record| record.id.clone()))
            .collect();
        for id in names(&self.config.state.join("containers")) {
            if !known.contains(&id) {
                note(&id, self.remove_leftover(&id).await);
            }
        }
        let known: HashSet<String> = self
            .sandboxes()
            .iter()
            .map(|sandbox| sandbox.id())
            .collect();
        for id in names(&self.config.state.join("sandboxes")) {
            if !known.contains(&id) {
                let record = SandboxRecord {
                    id,
                    ..SandboxRecord::default()
                };
                let ended = match self.end_shim(&record).await {
                    Ok(()) => remove_tree(&self.sandbox_dir(&record.id)).await,
                    other => other,
                };
                note(&record.id, ended);
            }
        }
    }

    /// Unmounts and removes what one container has on disk.
    pub(crate) async fn remove_leftover(&self, id: &str) -> Result<()> {
        let rootfs = self.rootfs(id);
        k3s_sys::mount::detach(&rootfs).context(|| format!("unmount {}", rootfs.display()))?;
        remove_tree(&self.config.state.join("containers").join(id)).await?;
        remove_tree(&self.container_dir(id)).await
    }
}

/// What cannot be removed is tried again by the next start; it does not keep this one from serving.
fn note(id: &str, removed: Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(id, error = chain(&error), "a leftover is not removed");
    }
}

fn names(dir: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
