//! Stopping and removing, container by container and pod by pod. Every call may be repeated.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k3s_cri::v1::ContainerEventType;
use nix::libc;

use super::container::Container;
use super::manager::Manager;
use crate::error::{Context, Error, Result};
use crate::shim::protocol::{Phase, Request};

/// The kernel ends a killed process at once, unless it is stuck in it; more than this is reported.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

impl Manager {
    /// `StopContainer`: the image's stop signal, then after `grace` SIGKILL for all. Success when
    /// it does not exist or run.
    pub(crate) async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let Ok(container) = self.container(id) else {
            return Ok(());
        };
        self.stop(&container, grace).await
    }

    async fn stop(&self, container: &Container, grace: Duration) -> Result<()> {
        if container.phase() != Phase::Running {
            return Ok(());
        }
        let (id, sandbox, signal) = container.with(|record| {
            (
                record.id.clone(),
                record.sandbox.clone(),
                record.stop_signal.clone(),
            )
        });
        let shim = self.shim(&sandbox);
        if !grace.is_zero() {
            shim.call(&Request::Signal {
                id: id.clone(),
                signal: signal_number(&signal),
                all: false,
            })
            .await?;
            if tokio::time::timeout(grace, container.ended()).await.is_ok() {
                return Ok(());
            }
        }
        shim.call(&Request::Signal {
            id: id.clone(),
            signal: libc::SIGKILL,
            all: true,
        })
        .await?;
        tokio::time::timeout(KILL_TIMEOUT, container.ended())
            .await
            .map_err(|_| Error::Timeout(format!("killing container {id}")))
    }

    /// `RemoveContainer`. A running one is killed first, as the protocol demands.
    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        let Ok(container) = self.container(id) else {
            return Ok(());
        };
        let _busy = container.busy.lock().await;
        self.remove(&container).await
    }

    async fn remove(&self, container: &Container) -> Result<()> {
        self.stop(container, Duration::ZERO).await?;
        let (id, sandbox, cgroup) = container.with(|record| {
            (
                record.id.clone(),
                record.sandbox.clone(),
                record.cgroup.clone(),
            )
        });
        if self
            .sandbox(&sandbox)
            .is_ok_and(|sandbox| sandbox.alive.load(Ordering::SeqCst))
        {
            self.shim(&sandbox)
                .call(&Request::Remove { id: id.clone() })
                .await?;
        } else {
            remove_cgroup(cgroup).await?;
        }
        self.remove_leftover(&id).await?;
        self.emit(&sandbox, &id, ContainerEventType::ContainerDeletedEvent);
        let image = container.with(|record| record.image_id.clone());
        self.forget_container(&id);
        if self.images.resolve(&image).is_none() {
            // Its image was removed meanwhile: its layers are free now.
            self.collect_layers()?;
        }
        Ok(())
    }

    /// `StopPodSandbox`: kills what runs, disconnects, ends the shim. Containers keep their
    /// records, and with them their exit codes.
    pub(crate) async fn stop_sandbox(self: &Arc<Self>, id: &str) -> Result<()> {
        let Ok(sandbox) = self.sandbox(id) else {
            return Ok(());
        };
        let _busy = sandbox.busy.lock().await;
        let id = sandbox.id();
        if sandbox.record().stopped {
            return Ok(());
        }
        let containers = self.containers_of(&id);
        for container in &containers {
            self.stop(container, Duration::ZERO).await?;
        }
        let record = sandbox.update(|record| record.stopped = true);
        let ended = self.end_sandbox(&record, &containers).await;
        if let Err(error) = ended {
            // The next call tries again.
            sandbox.update(|record| record.stopped = false);
            return Err(error);
        }
        self.save_sandbox(&record)?;
        sandbox.alive.store(false, Ordering::SeqCst);
        self.emit(&id, &id, ContainerEventType::ContainerStoppedEvent);
        Ok(())
    }

    async fn end_sandbox(
        &self,
        record: &super::record::SandboxRecord,
        containers: &[Arc<Container>],
    ) -> Result<()> {
        if let Some(netns) = &record.netns {
            self.config
                .network
                .del(&super::sandbox::network_of(record))
                .await?;
            let path = netns.clone();
            let released =
                tokio::task::spawn_blocking(move || k3s_sys::namespace::release(&path)).await;
            released
                .map_err(std::io::Error::other)
                .and_then(|result| result)
                .context(|| format!("release {}", netns.display()))?;
        }
        self.end_shim(record).await?;
        // The shim removed these itself, unless it was killed.
        for container in containers {
            let (id, cgroup) = container.with(|record| (record.id.clone(), record.cgroup.clone()));
            self.kill_group(container)
                .context(|| format!("kill the processes of container {id}"))?;
            remove_cgroup(cgroup).await?;
            k3s_sys::mount::detach(&self.rootfs(&id))
                .context(|| format!("unmount container {id}"))?;
            self.unknown(container);
        }
        Ok(())
    }

    /// `RemovePodSandbox`: stops it if need be and removes it with all its containers.
    pub(crate) async fn remove_sandbox(self: &Arc<Self>, id: &str) -> Result<()> {
        let Ok(sandbox) = self.sandbox(id) else {
            return Ok(());
        };
        let id = sandbox.id();
        self.stop_sandbox(&id).await?;
        for container in self.containers_of(&id) {
            let _busy = container.busy.lock().await;
            self.remove(&container).await?;
        }
        let record = sandbox.record();
        self.undo_sandbox(&record).await?;
        self.emit(&id, &id, ContainerEventType::ContainerDeletedEvent);
        self.forget_sandbox(&id);
        Ok(())
    }
}

async fn remove_cgroup(path: String) -> Result<()> {
    let removed = tokio::task::spawn_blocking(move || {
        let group = k3s_sys::cgroup::Cgroups::detect()?.group(&path);
        group.kill()?;
        group.remove()
    });
    removed
        .await
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .context(|| "remove a control group".into())
}

/// `SIGTERM`, `TERM`, `15` or `SIGRTMIN+3`; SIGTERM when it is none of these, as with containerd.
fn signal_number(name: &str) -> i32 {
    let name = name.trim().to_ascii_uppercase();
    if let Ok(number) = name.parse::<i32>() {
        return if (1..=64).contains(&number) {
            number
        } else {
            libc::SIGTERM
        };
    }
    let short = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(offset) = short.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() {
            Some(0)
        } else {
            offset
                .strip_prefix('+')
                .and_then(|digits| digits.parse::<i32>().ok())
        };
        return offset
            .map(|offset| libc::SIGRTMIN() + offset)
            .filter(|&number| number <= libc::SIGRTMAX())
            .unwrap_or(libc::SIGTERM);
    }
    format!("SIG{short}")
        .parse::<nix::sys::signal::Signal>()
        .map_or(libc::SIGTERM, |signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_many_names() {
        for (name, number) in [
            ("", 15),
            ("SIGQUIT", 3),
            ("quit", 3),
            ("9", 9),
            ("SIGRTMIN+3", libc::SIGRTMIN() + 3),
            ("nonsense", 15),
            ("99", 15),
        ] {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
