//! Manifests from files, folders and standard input: YAML or JSON, several documents, Lists taken
//! apart.

use std::io::{self, Read};
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
        io::stdin().read_to_string(&mut text)?;
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
    let read = |path: PathBuf| Ok((path.display().to_string(), read_file(&path)?));
    paths.into_iter().map(read).collect()
}

/// The text of a file that the command names.
pub(crate) fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    Failure::Read {
        path: path.to_owned(),
        source,
    }
}

fn walk(dir: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |source| unreadable(dir, source);
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    let mut entries = entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect::<Result<Vec<PathBuf>, Failure>>()?;
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

fn documents(origin: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let origin = origin.to_owned();
    if text.trim_start().starts_with('{') {
        let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let documents = stream.collect::<Result<_, _>>();
        return documents.map_err(|source| Failure::JsonManifest { origin, source });
    }
    serde_saphyr::from_multiple_with_options::<Value>(text, k3s_meta::yaml::options())
        .map_err(|source| Failure::YamlManifest { origin, source })
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
    fn modes_of_files_are_octal() {
        let manifest =
            &parse("---\n{apiVersion: v1, kind: A, mode: 0400, text: \"0400\"}\n").unwrap()[0];
        assert_eq!(manifest["mode"], 256);
        assert_eq!(manifest["text"], "0400");
    }

    #[test]
    fn malformed_manifests_name_their_file() {
        let error = parse("a: [\n").unwrap_err().report();
        assert!(error.starts_with("error: error parsing f:"), "{error}");
        let error = parse("apiVersion: v1\n").unwrap_err().report();
        assert!(error.contains("kind not set"), "{error}");
    }
}
