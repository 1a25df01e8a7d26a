//! Extracts the prose of `kubectl explain` from the doc comments of the `k8s-openapi` dependency, in the
//! order of the generated tables, and embeds it compressed. Also computes the digest by which clients
//! notice that the OpenAPI documents have changed.
//!
//! Cargo has unpacked the dependency before this script runs; its folder is found by the version in
//! `Cargo.lock`, or through `cargo metadata` where registries are replaced (vendoring).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

type Error = Box<dyn std::error::Error>;

const CRATE: &str = "k8s-openapi";
/// The folder of the Kubernetes version that the tables are of.
const VERSION_DIR: &str = "src/v1_36";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

fn main() -> Result<(), Error> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for path in [
        "build.rs",
        "gen-source",
        "src/openapi",
        "src/gen",
        "../../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let docs = read_docs(&source_dir(&here)?.join(VERSION_DIR))?;
    let read = |name: &str| -> Result<Map<String, Value>, Error> {
        Ok(serde_json::from_slice(&std::fs::read(
            here.join("gen-source").join(name),
        )?)?)
    };
    // The tables have the types of both files in one order, by name.
    let mut types = read("types.json")?;
    types.extend(read("own-types.json")?);
    let prose = prose(&types, &docs, &read("own-prose.json")?);
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(prose.as_bytes())?;
    std::fs::write(out.join("prose.bin"), packed.finish()?)?;
    std::fs::write(out.join("digest.txt"), digest(&here, &prose)?)?;
    Ok(())
}

/// Everything the documents are made from: tables, prose, and the code that puts them together.
fn digest(here: &Path, prose: &str) -> Result<String, Error> {
    let mut hash = Sha256::new();
    hash.update(prose);
    let mut files = Vec::new();
    for dir in ["src/openapi", "src/gen"] {
        rust_files(&here.join(dir), &mut files)?;
    }
    files.sort();
    for file in files {
        hash.update(std::fs::read(file)?);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02X}")).collect())
}

fn source_dir(here: &Path) -> Result<PathBuf, Error> {
    let version = locked_version(&here.join("../../Cargo.lock"));
    if let Some(dir) = version.and_then(|v| in_registry(&format!("{CRATE}-{v}"))) {
        return Ok(dir);
    }
    from_metadata(here)
}

fn locked_version(lock: &Path) -> Option<String> {
    let text = std::fs::read_to_string(lock).ok()?;
    let (_, entry) = text.split_once(&format!("name = \"{CRATE}\"\n"))?;
    let (_, rest) = entry.split_once("version = \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn in_registry(folder: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|h| h.join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .flatten()
        .map(|r| r.path().join(folder))
        .find(|dir| dir.join(VERSION_DIR).is_dir())
}

fn from_metadata(here: &Path) -> Result<PathBuf, Error> {
    let cargo = std::env::var("CARGO")?;
    let args = ["metadata", "--offline", "--format-version", "1"];
    let output = std::process::Command::new(cargo)
        .args(args)
        .current_dir(here)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "cannot find the sources of {CRATE}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let manifest = packages
        .filter(|p| p["name"] == CRATE)
        .find_map(|p| p["manifest_path"].as_str());
    let dir = manifest.and_then(|m| Path::new(m).parent());
    Ok(dir
        .ok_or("cargo metadata does not name the crate")?
        .to_owned())
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

/// Doc comments of a type: its own, and by normalised field name.
#[derive(Default)]
struct Doc {
    text: String,
    fields: HashMap<String, String>,
}

/// By OpenAPI definition name.
fn read_docs(dir: &Path) -> Result<HashMap<String, Doc>, Error> {
    let mut files = Vec::new();
    rust_files(dir, &mut files)?;
    let mut docs = HashMap::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        if let Some(name) = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("// Generated from definition "))
        {
            docs.insert(name.to_owned(), read_doc(&text));
        }
    }
    Ok(docs)
}

fn read_doc(text: &str) -> Doc {
    let mut doc = Doc::default();
    let mut lines: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(comment) = trimmed.strip_prefix("///") {
            lines.push(comment.strip_prefix(' ').unwrap_or(comment));
        } else if !inside
            && (trimmed.starts_with("pub struct ") || trimmed.starts_with("pub enum "))
        {
            doc.text = paragraph(&mut lines);
            inside = true;
        } else if inside && line == "}" {
            break;
        } else if let Some((field, _)) =
            trimmed.strip_prefix("pub ").and_then(|f| f.split_once(':'))
        {
            doc.fields.insert(normal(field), paragraph(&mut lines));
        }
    }
    doc
}

fn paragraph(lines: &mut Vec<&str>) -> String {
    let text = lines.join("\n");
    lines.clear();
    // Rustdoc needs these escaped.
    ["\\<", "\\>", "\\[", "\\]"]
        .iter()
        .fold(text, |text, escaped| {
            text.replace(escaped, escaped.trim_start_matches('\\'))
        })
}

/// `clusterIPs`, `cluster_ips` and `type_`, `type` are the same.
fn normal(name: &str) -> String {
    let name = if name == "$ref" { "ref_path" } else { name };
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Texts of all types and their fields in table order, separated by NUL.
fn prose(
    types: &Map<String, Value>,
    docs: &HashMap<String, Doc>,
    own: &Map<String, Value>,
) -> String {
    let mut parts = Vec::new();
    let none = Doc::default();
    let list = docs.get("io.k8s.List").unwrap_or(&none);
    let type_meta = docs.get(&format!("{META}DeleteOptions")).unwrap_or(&none);
    for (name, t) in types {
        let fields = t["fields"].as_object().cloned().unwrap_or_default();
        let doc = docs.get(name).unwrap_or(&none);
        let ours = |key: &str| {
            own.get(name)
                .and_then(|t| t[key].as_str())
                .map(str::to_owned)
        };
        parts.push(ours("").unwrap_or_else(|| type_text(name, doc, &fields)));
        for field in fields.keys() {
            let key = normal(field);
            let found = [doc, list, type_meta]
                .into_iter()
                .find_map(|d| d.fields.get(&key).filter(|t| !t.is_empty()));
            let known = doc.fields.contains_key(&key)
                || is_list(&fields)
                || matches!(field.as_str(), "apiVersion" | "kind");
            parts.push(
                ours(field)
                    .or_else(|| found.filter(|_| known).cloned())
                    .unwrap_or_default(),
            );
        }
    }
    parts.join("\0")
}

fn is_list(fields: &Map<String, Value>) -> bool {
    fields.contains_key("items") && fields.contains_key("metadata")
}

fn type_text(name: &str, doc: &Doc, fields: &Map<String, Value>) -> String {
    let short = name.rsplit_once('.').map_or(name, |(_, short)| short);
    match short.strip_suffix("List") {
        _ if !doc.text.is_empty() => doc.text.clone(),
        Some(kind) if is_list(fields) => format!("{short} is a list of {kind} objects."),
        _ => String::new(),
    }
}
