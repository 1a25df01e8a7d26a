//! The pod network that CNI plugins make: the runtime's port on top of the specification.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use k3s_base::error::{Sentence, chain};
use k3s_lifecycle::Tasks;
use k3s_runtime::{NetworkError, PodIps, PodNetwork, SandboxNetwork};
use serde_json::{Map, Value, json};

use crate::cache::{Cache, Kept};
use crate::capabilities::{self, INTERFACE};
use crate::conflist::Conflist;
use crate::exec::{Attachment, ExecError, Verb, call};
use crate::result::addresses;
use crate::watch::{Current, follow};

/// Where plugins and their configuration are.
#[derive(Clone, Debug)]
pub struct ForeignOptions {
    /// Folders of configurations; the first one that has a usable file counts.
    pub conf_dirs: Vec<PathBuf>,
    /// Folders of plugins, in the order in which they are searched.
    pub bin_dirs: Vec<PathBuf>,
    /// Where results are kept: `/var/lib/cni/results`.
    pub cache_dir: PathBuf,
}

/// A pod network by CNI plugins.
pub struct ForeignNetwork {
    bin_dirs: Vec<PathBuf>,
    cache: Cache,
    current: Current,
}

impl ForeignNetwork {
    /// Reads the configuration, if there is one, and follows it from now on.
    #[must_use]
    pub fn start(options: ForeignOptions, tasks: &Tasks) -> Self {
        let current = Current::default();
        *current.write() = Conflist::find(&options.conf_dirs);
        tasks.spawn_until_stopped(
            "cni configuration",
            follow(options.conf_dirs, current.clone()),
        );
        Self {
            bin_dirs: options.bin_dirs,
            cache: Cache::new(options.cache_dir),
            current,
        }
    }

    /// Upstream's text, which people search for.
    fn list(&self) -> Result<Conflist, NetworkError> {
        let message = "Network plugin returns error: cni plugin not initialized".to_owned();
        self.current.read().clone().ok_or(NetworkError {
            message,
            retryable: true,
        })
    }

    async fn undo(&self, kept: &Kept) -> Result<(), NetworkError> {
        let mut attachment = kept.attachment.clone();
        // The specification wants an empty name for a namespace that is gone.
        if !std::path::Path::new(&attachment.netns).exists() {
            attachment.netns.clear();
        }
        let previous = (!kept.result.is_null()).then_some(&kept.result);
        for plugin in kept.list.plugins.iter().rev() {
            let input = kept.list.document(plugin, &kept.capabilities, previous);
            self.call(plugin, Verb::Del, Some(&attachment), &input)
                .await?;
        }
        self.cache
            .forget(&kept.list.name, &kept.attachment)
            .map_err(io)
    }

    async fn call(
        &self,
        plugin: &Map<String, Value>,
        verb: Verb,
        attachment: Option<&Attachment>,
        input: &Value,
    ) -> Result<Value, NetworkError> {
        let name = plugin
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        call(&self.bin_dirs, name, verb, attachment, input)
            .await
            .map_err(failed)
    }

    /// Undoes what belongs to no sandbox, and checks that what belongs to one still exists.
    async fn sweep(&self, valid: &BTreeSet<&str>) -> Result<(), NetworkError> {
        for kept in self.cache.find(None).map_err(io)? {
            if !valid.contains(kept.attachment.container.as_str()) {
                self.undo(&kept).await?;
            } else if kept.list.can_check()
                && let Err(error) = self.check_kept(&kept).await
            {
                tracing::warn!(
                    container = kept.attachment.container,
                    error = chain(&error),
                    "a pod's network is not as it was made"
                );
            }
        }
        Ok(())
    }

    async fn check_kept(&self, kept: &Kept) -> Result<(), NetworkError> {
        for plugin in &kept.list.plugins {
            let input = kept
                .list
                .document(plugin, &kept.capabilities, Some(&kept.result));
            self.call(plugin, Verb::Check, Some(&kept.attachment), &input)
                .await?;
        }
        Ok(())
    }
}

fn failed(error: ExecError) -> NetworkError {
    NetworkError {
        retryable: error.is_retryable(),
        message: chain(&error),
    }
}

fn invalid(reason: Sentence) -> NetworkError {
    NetworkError {
        message: reason.to_string(),
        retryable: false,
    }
}

fn io(error: std::io::Error) -> NetworkError {
    NetworkError {
        message: format!("the cache of network results: {}", chain(&error)),
        retryable: true,
    }
}

fn attachment(pod: &SandboxNetwork) -> Attachment {
    Attachment {
        container: pod.id.clone(),
        netns: pod.netns_path.display().to_string(),
        interface: INTERFACE.to_owned(),
        args: capabilities::args(pod),
    }
}

#[async_trait]
impl PodNetwork for ForeignNetwork {
    async fn add(&self, pod: &SandboxNetwork) -> Result<PodIps, NetworkError> {
        let list = self.list()?;
        let capabilities = capabilities::of(pod).map_err(invalid)?;
        let mut kept = Kept {
            list,
            attachment: attachment(pod),
            capabilities,
            result: Value::Null,
        };
        // Kept from the start: half of a chain must be undone as well.
        self.cache.keep(&kept).map_err(io)?;
        for plugin in &kept.list.plugins {
            let previous = (!kept.result.is_null()).then_some(&kept.result);
            let input = kept.list.document(plugin, &kept.capabilities, previous);
            kept.result = self
                .call(plugin, Verb::Add, Some(&kept.attachment), &input)
                .await?;
        }
        self.cache.keep(&kept).map_err(io)?;
        addresses(&kept.result).map_err(invalid)
    }

    async fn del(&self, pod: &SandboxNetwork) -> Result<(), NetworkError> {
        for kept in self.cache.find(Some(&pod.id)).map_err(io)? {
            self.undo(&kept).await?;
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), NetworkError> {
        let list = self.list()?;
        if list.can_collect() {
            for plugin in &list.plugins {
                let input = list.document(plugin, &Map::new(), None);
                self.call(plugin, Verb::Status, None, &input).await?;
            }
        }
        Ok(())
    }

    async fn gc(&self, valid_ids: &[String]) -> Result<(), NetworkError> {
        let valid: BTreeSet<&str> = valid_ids.iter().map(String::as_str).collect();
        self.sweep(&valid).await?;
        let Ok(list) = self.list() else { return Ok(()) };
        if !list.can_collect() {
            return Ok(());
        }
        let attachments: Vec<Value> = valid_ids
            .iter()
            .map(|id| json!({"containerID": id, "ifname": INTERFACE}))
            .collect();
        for plugin in &list.plugins {
            let mut input = list.document(plugin, &Map::new(), None);
            if let Some(map) = input.as_object_mut() {
                map.insert(
                    "cni.dev/valid-attachments".into(),
                    attachments.clone().into(),
                );
            }
            self.call(plugin, Verb::Gc, None, &input).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
