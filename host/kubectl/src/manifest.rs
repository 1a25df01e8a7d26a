//! Manifests from files, folders and standard input: YAML or JSON, several documents, Lists taken
//! apart.

use std::io::Read;
use std::path::{Path, PathBuf};

use k3s_meta::object;
use serde_json::Value;

use crate::cli::Files;
use crate::error::Failure;

/// Every object, in order, with where it came from.
pub(crate) fn read(files: &Files) -> Result<Vec<Value>, Failure> {
    if files.files.is_empty() {
        return Err(Failure::local("must specify one of -f and -k"));
    }
    let mut objects = Vec::new();
    for name in &files.files {
        for (source, text) in texts(name, files.recursive)? {
            for document in documents(&source, &text)? {
                take_apart(&source, document, &mut objects)?;
            }
        }
    }
    if objects.is_empty() {
        Err(Failure::local("no objects passed"))
    } else {
        Ok(objects)
    }
}

fn texts(name: &str, recursive: bool) -> Result<Vec<(String, String)>, Failure> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(vec![("STDIN".into(), text)]);
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(Failure::local(format!(
            "the path \"{name}\" does not exist"
        )));
    }
    let mut paths = Vec::new();
    if path.is_dir() {
        walk(path, recursive, &mut paths)?
    } else {
        paths.push(path.to_owned())
    }
    let read = |p: PathBuf| Ok((p.display().to_string(), std::fs::read_to_string(&p)?));
    paths.into_iter().map(read).collect()
}

fn walk(dir: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .collect();
    entries.sort();
    for path in entries {
        let is_manifest = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| matches!(e, "yaml" | "yml" | "json"));
        if path.is_dir() {
            if recursive {
                walk(&path, true, found)?
            }
        } else if is_manifest {
            found.push(path);
        }
    }
    Ok(())
}

fn documents(source: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let bad = |kind: &str, e: &dyn std::fmt::Display| {
        Failure::local(format!(
            "error parsing {source}: error converting {kind} to JSON: {e}"
        ))
    };
    if text.trim_start().starts_with('{') {
        let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        return stream
            .collect::<Result<_, _>>()
            .map_err(|e| bad("JSON", &e));
    }
    serde_saphyr::from_multiple::<Value>(text).map_err(|e| bad("YAML", &e))
}

/// Lists are their items; empty documents are nothing.
fn take_apart(source: &str, document: Value, objects: &mut Vec<Value>) -> Result<(), Failure> {
    if document.is_null() {
        return Ok(());
    }
    let missing = |field: &str| {
        Failure::local(format!(
            "error validating \"{source}\": error validating data: {field} not set"
        ))
    };
    if object::kind(&document).is_empty() {
        return Err(missing("kind"));
    }
    if object::api_version(&document).is_empty() {
        return Err(missing("apiVersion"));
    }
    match document.get("items").and_then(Value::as_array) {
        Some(items) if object::kind(&document).ends_with("List") => items
            .iter()
            .try_for_each(|item| take_apart(source, item.clone(), objects)),
        _ => {
            objects.push(document);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Value>, Failure> {
        let mut objects = Vec::new();
        for document in documents("f", text)? {
            take_apart("f", document, &mut objects)?;
        }
        Ok(objects)
    }

    #[test]
    fn several_documents_and_lists() {
        let yaml = "---\napiVersion: v1\nkind: A\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: B\n- apiVersion: v1\n  kind: C\n";
        let kinds: Vec<String> = parse(yaml)
            .unwrap()
            .iter()
            .map(|o| object::kind(o).to_owned())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert_eq!(
            parse(r#"{"apiVersion":"v1","kind":"A"}{"apiVersion":"v1","kind":"B"}"#)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn malformed_manifests_name_their_file() {
        let error = parse("a: [\n").unwrap_err().to_string();
        assert!(error.starts_with("error: error parsing f:"), "{error}");
        let error = parse("apiVersion: v1\n").unwrap_err().to_string();
        assert!(error.contains("kind not set"), "{error}");
    }
}
