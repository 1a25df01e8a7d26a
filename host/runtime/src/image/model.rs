//! What is kept about an image, and the registry's documents as far as they are read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::ImageError;

/// An image that can be run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Image {
    /// Digest of its configuration: the image ID.
    pub(crate) id: String,
    /// `name:tag`
    pub(crate) tags: BTreeSet<String>,
    /// `name@digest`
    pub(crate) digests: BTreeSet<String>,
    /// Compressed size of its layers and configuration, as registries state it.
    pub(crate) size_bytes: u64,
    /// Layer folders, lowest first.
    pub(crate) chain: Vec<String>,
    /// Kept by garbage collection.
    pub(crate) pinned: bool,
    pub(crate) config: RunConfig,
}

/// The image's defaults for running it (OCI image specification, `config.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunConfig {
    #[serde(rename = "User")]
    pub(crate) user: String,
    #[serde(rename = "Env", deserialize_with = "null_is_empty")]
    pub(crate) env: Vec<String>,
    #[serde(rename = "Entrypoint", deserialize_with = "null_is_empty")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(rename = "Cmd", deserialize_with = "null_is_empty")]
    pub(crate) cmd: Vec<String>,
    #[serde(rename = "WorkingDir")]
    pub(crate) working_dir: String,
    #[serde(rename = "StopSignal")]
    pub(crate) stop_signal: String,
    #[serde(rename = "Volumes", deserialize_with = "null_is_empty")]
    pub(crate) volumes: BTreeMap<String, serde_json::Value>,
    #[serde(rename = "Labels", deserialize_with = "null_is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Go writes an absent list as null.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Layers of one image: as many as overlayfs takes.
pub(crate) const LAYERS_LIMIT: usize = 500;

/// An image configuration document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigDocument {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) config: RunConfig,
    pub(crate) rootfs: LayerList,
}

impl ConfigDocument {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let document: Self =
            serde_json::from_slice(bytes).map_err(ImageError::malformed("image configuration"))?;
        if document.rootfs.diff_ids.len() > LAYERS_LIMIT {
            return Err(ImageError::TooManyLayers);
        }
        Ok(document)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LayerList {
    pub(crate) diff_ids: Vec<String>,
}

/// A manifest or an index: one of its two lists is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) config: Option<Descriptor>,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    pub(crate) variant: String,
}

/// This machine's architecture, as images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The manifest for this machine among those of an index: the right system and architecture, of
/// 32-bit arm the newest variant.
pub(crate) fn select(manifests: &[Descriptor]) -> Option<&Descriptor> {
    let fits = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_some_and(|platform| {
            platform.os == "linux" && platform.architecture == architecture()
        })
    };
    let alone = || {
        manifests
            .first()
            .filter(|descriptor| manifests.len() == 1 && descriptor.platform.is_none())
    };
    manifests
        .iter()
        .filter(fits)
        .max_by_key(|descriptor| {
            descriptor
                .platform
                .as_ref()
                .map(|platform| platform.variant.clone())
        })
        .or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_of_go_are_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Volumes":null},"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}"#;
        let document: ConfigDocument = serde_json::from_str(text).unwrap();
        assert_eq!(
            (document.config.cmd, document.rootfs.diff_ids.len()),
            (vec!["sh".to_owned()], 1)
        );
        assert!(
            serde_json::from_str::<ConfigDocument>(r#"{"config":null}"#)
                .unwrap()
                .config
                .env
                .is_empty()
        );
    }

    #[test]
    fn the_own_platform_is_chosen() {
        let of = |os: &str, architecture: &str, digest: &str| Descriptor {
            digest: digest.into(),
            platform: Some(Platform {
                architecture: architecture.into(),
                os: os.into(),
                variant: String::new(),
            }),
            ..Descriptor::default()
        };
        let list = [
            of("windows", architecture(), "1"),
            of("linux", "s390x", "2"),
            of("linux", architecture(), "3"),
            of("unknown", "unknown", "4"),
        ];
        assert_eq!(select(&list).unwrap().digest, "3");
        assert!(select(&list[..2]).is_none());
    }
}
