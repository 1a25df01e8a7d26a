//! The records of sandboxes and containers on disk, from which another server process continues.
//!
//! Records are replaced in one step but not flushed: after a power cut the processes they describe
//! are gone too, and a record that cannot be read is dropped with everything that belongs to it.

use std::path::{Path, PathBuf};

use k3s_cri::v1::{ContainerConfig, LinuxContainerResources, PodSandboxConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::shim::protocol::{ContainerState, ShimPids};

/// A pod's sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) config: PodSandboxConfig,
    pub(crate) created_at_ns: i64,
    /// Held namespace; none = the host's network.
    pub(crate) netns: Option<PathBuf>,
    pub(crate) ips: Vec<String>,
    pub(crate) pids: ShimPids,
    pub(crate) handler: String,
    /// False until RunPodSandbox succeeded: what is found so after a restart is cleaned up.
    pub(crate) complete: bool,
    /// StopPodSandbox ran through.
    pub(crate) stopped: bool,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) config: ContainerConfig,
    pub(crate) image_id: String,
    /// What ContainerStatus shows as the image's reference: by digest where there is one.
    pub(crate) image_ref: String,
    /// Layer folders in use, lowest first.
    pub(crate) chain: Vec<String>,
    pub(crate) created_at_ns: i64,
    pub(crate) stop_signal: String,
    pub(crate) log_path: Option<PathBuf>,
    pub(crate) cgroup: String,
    pub(crate) resources: LinuxContainerResources,
    pub(crate) state: ContainerState,
}

/// Replaces a record.
pub(crate) fn save<T: Serialize>(path: &Path, record: &T) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(record).map_err(std::io::Error::other)?;
    k3s_sys::fs::write_replace(path, &bytes, 0o600)
}

/// Reads a record.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> std::io::Result<T> {
    serde_json::from_slice(&std::fs::read(path)?).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_and_may_grow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        let record = SandboxRecord {
            id: "x".into(),
            ips: vec!["10.42.0.2".into()],
            ..Default::default()
        };
        save(&path, &record).unwrap();
        assert_eq!(load::<SandboxRecord>(&path).unwrap(), record);
        std::fs::write(&path, r#"{"id":"y","field_of_tomorrow":1}"#).unwrap();
        assert_eq!(load::<SandboxRecord>(&path).unwrap().id, "y");
    }
}
