//! Good objects of every kind, written by hand in `kinds/`.

use std::path::Path;

use anyhow::{Context, Result};
use k3s_api::Kind;
use serde_json::{Value, json};

use super::sites::{Site, sites};
use super::{NAMESPACE, SCRATCH};

/// Kinds whose names follow from their content, so that a second object would be another.
const FIXED_NAME: &[&str] = &["CustomResourceDefinition", "IPAddress"];

/// A good object.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Its kind.
    pub(crate) kind: &'static Kind,
    /// The object, with its namespace.
    pub(crate) object: Value,
    /// All its places.
    pub(crate) sites: Vec<Site>,
}

pub(super) fn load(dir: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (path, text) in yaml_files(dir)? {
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| path.clone())?;
        for object in objects {
            samples.push(sample(object).with_context(|| path.clone())?);
        }
    }
    Ok(samples)
}

/// Paths and texts of the YAML files of a folder, in the order of their names.
pub(super) fn yaml_files(dir: &Path) -> Result<Vec<(String, String)>> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let text = std::fs::read_to_string(path)?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

/// The kind that an object says it is of.
pub(super) fn kind_of(object: &Value) -> Result<&'static Kind> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    k3s_api::by_kind(group, version, text("kind"))
        .with_context(|| format!("no kind {} {}", text("apiVersion"), text("kind")))
}

fn sample(mut object: Value) -> Result<Sample> {
    let kind = kind_of(&object)?;
    if kind.namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
    Ok(Sample {
        sites: sites(kind.object_type(), &object),
        kind,
        object,
    })
}

/// Path of a kind's collection, in a namespace where it has one.
pub(super) fn collection(kind: &Kind, namespace: &str) -> String {
    let root = match kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    match kind.namespaced {
        true => format!("{root}/namespaces/{namespace}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    }
}

impl Sample {
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// Whether objects of the kind are kept (reviews and bindings are not).
    pub(crate) fn is_stored(&self) -> bool {
        self.kind.has_verb("get")
    }

    pub(crate) fn can_be_renamed(&self) -> bool {
        self.is_stored() && !FIXED_NAME.contains(&self.kind.kind)
    }

    /// Path of the sample's collection.
    pub(crate) fn collection(&self) -> String {
        collection(self.kind, self.namespace())
    }

    /// Path of the stored sample.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name())
    }

    /// Path of the collection in which cases make and delete objects.
    pub(crate) fn scratch(&self) -> String {
        collection(self.kind, SCRATCH)
    }

    /// The sample under another name, in the namespace of objects that come and go or its own.
    pub(crate) fn renamed(&self, name: &str, in_scratch: bool) -> Value {
        let mut object = self.object.clone();
        if self.can_be_renamed() {
            object["metadata"]["name"] = json!(name);
        }
        if in_scratch && self.kind.namespaced {
            object["metadata"]["namespace"] = json!(SCRATCH);
        }
        object
    }
}
