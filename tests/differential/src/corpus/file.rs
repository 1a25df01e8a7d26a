//! Files as people write them and charts template them.

use std::path::Path;

use anyhow::{Context, Result};
use k3s_api::Kind;
use serde_json::Value;

use super::sample::{collection, kind_of, yaml_files};
use super::{SCRATCH, list};
use crate::request::{Body, Request};

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    file: String,
    kind: &'static Kind,
    name: String,
    text: String,
}

pub(super) fn load(dir: &Path) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (path, text) in yaml_files(dir)? {
        for part in text.split("\n---").filter(|part| has_content(part)) {
            documents.push(document(&path, part).with_context(|| path.clone())?);
        }
    }
    Ok(documents)
}

fn has_content(part: &str) -> bool {
    part.lines()
        .any(|line| !line.trim().is_empty() && !line.starts_with('#') && line.trim() != "---")
}

fn document(path: &str, text: &str) -> Result<Document> {
    let text = text.trim_start_matches("---").to_owned();
    let object: Value = serde_saphyr::from_str(&text)?;
    Ok(Document {
        file: Path::new(path)
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default(),
        kind: kind_of(&object)?,
        name: object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        text,
    })
}

impl Document {
    /// Validated strictly, created, shown, written again, deleted.
    pub(super) fn case(&self) -> (String, Vec<Request>) {
        let kind = self.kind.kind;
        let collection = collection(self.kind, SCRATCH);
        let path = format!("{collection}/{}", self.name);
        let yaml =
            |request: Request| request.body("application/yaml", Body::Text(self.text.clone()));
        let create = || yaml(Request::new("POST", collection.clone(), kind));
        let steps = vec![
            create().dry_run().with("fieldValidation", "Strict"),
            create(),
            Request::new("GET", path.clone(), kind).accept(list::TABLE),
            yaml(Request::new("PUT", path.clone(), kind)),
            Request::new("DELETE", path, kind).with("gracePeriodSeconds", "0"),
        ];
        (format!("file {}, {kind} {}", self.file, self.name), steps)
    }
}
