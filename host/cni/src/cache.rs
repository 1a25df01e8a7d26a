//! The results of attachments, kept on disk until they are undone: a plugin undoes what it did with the
//! configuration and result of that time, whatever the configuration is now.
//!
//! Folder and form are libcni's (`libcni/api.go`, `cniCacheV1`), so that a node can change its runtime.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::error::{Sentence, chain};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::conflist::Conflist;
use crate::exec::Attachment;

const KIND: &str = "cniCacheV1";

/// What is kept of an attachment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) list: Conflist,
    pub(crate) attachment: Attachment,
    pub(crate) capabilities: Map<String, Value>,
    pub(crate) result: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    kind: String,
    container_id: String,
    /// The configuration list, in base64.
    config: String,
    if_name: String,
    network_name: String,
    #[serde(default)]
    netns: String,
    #[serde(default)]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default)]
    capability_args: Option<Map<String, Value>>,
    result: Value,
}

/// Why a kept result cannot be used.
#[derive(Debug, thiserror::Error)]
enum KeptError {
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    #[error("malformed document")]
    Json(#[from] serde_json::Error),
    #[error("the configuration is not base64")]
    Base64(#[from] base64::DecodeError),
    #[error("the configuration cannot be used")]
    List(#[from] Sentence),
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps an attachment.
    pub(crate) fn keep(&self, kept: &Kept) -> io::Result<()> {
        let pair = |arg: &str| {
            arg.split_once('=')
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
        };
        let document = Document {
            kind: KIND.to_owned(),
            container_id: kept.attachment.container.clone(),
            config: STANDARD.encode(kept.list.source().to_string()),
            if_name: kept.attachment.interface.clone(),
            network_name: kept.list.name.clone(),
            netns: kept.attachment.netns.clone(),
            cni_args: Some(kept.attachment.args.split(';').filter_map(pair).collect()),
            capability_args: Some(kept.capabilities.clone()),
            result: kept.result.clone(),
        };
        std::fs::create_dir_all(&self.folder)?;
        let bytes = serde_json::to_vec(&document)?;
        k3s_sys::fs::write_replace(&self.path(&kept.list.name, &kept.attachment), &bytes, 0o600)
    }

    /// Every attachment of a container, or of all containers. What cannot be read is left out, with
    /// a warning.
    pub(crate) fn find(&self, container: Option<&str>) -> io::Result<Vec<Kept>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if container.is_some_and(|container| !name.contains(container)) {
                continue;
            }
            match read(&entry.path()) {
                Ok(Some(kept)) if container.is_none_or(|c| c == kept.attachment.container) => {
                    found.push(kept)
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(file = %entry.path().display(), error = chain(&error), "a kept network result is left out")
                }
            }
        }
        Ok(found)
    }

    /// Forgets an attachment; an unknown one is not an error.
    pub(crate) fn forget(&self, network: &str, attachment: &Attachment) -> io::Result<()> {
        match std::fs::remove_file(self.path(network, attachment)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, network: &str, attachment: &Attachment) -> PathBuf {
        self.folder.join(format!(
            "{network}-{}-{}",
            attachment.container, attachment.interface
        ))
    }
}

/// None for other kinds of documents.
fn read(path: &Path) -> Result<Option<Kept>, KeptError> {
    let document: Document = serde_json::from_slice(&std::fs::read(path)?)?;
    if document.kind != KIND {
        return Ok(None);
    }
    let config = STANDARD.decode(&document.config)?;
    let list = Conflist::parse(serde_json::from_slice(&config)?)?;
    let args: Vec<String> = document
        .cni_args
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(Some(Kept {
        list,
        attachment: Attachment {
            container: document.container_id,
            netns: document.netns,
            interface: document.if_name,
            args: args.join(";"),
        },
        capabilities: document.capability_args.unwrap_or_default(),
        result: document.result,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attachment_is_kept_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("results"));
        assert!(cache.find(None).unwrap().is_empty());
        let list = json!({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "ptp"}]});
        let kept = Kept {
            list: Conflist::parse(list).unwrap(),
            attachment: Attachment {
                container: "abc".into(),
                netns: "/run/netns/x".into(),
                interface: "eth0".into(),
                args: "IgnoreUnknown=1;K8S_POD_NAME=p".into(),
            },
            capabilities: json!({"portMappings": []}).as_object().unwrap().clone(),
            result: json!({"ips": []}),
        };
        cache.keep(&kept).unwrap();
        assert!(dir.path().join("results/net-abc-eth0").exists());
        assert_eq!(
            cache.find(Some("abc")).unwrap(),
            std::slice::from_ref(&kept)
        );
        assert!(cache.find(Some("ab")).unwrap().is_empty());
        std::fs::write(dir.path().join("results/net-broken-eth0"), "{").unwrap();
        assert_eq!(cache.find(None).unwrap().len(), 1);
        cache.forget("net", &kept.attachment).unwrap();
        cache.forget("net", &kept.attachment).unwrap();
        assert!(cache.find(None).unwrap().is_empty());
    }
}
