//! Writes the tables of built-in kinds in `host/api/src/gen/`.
//!
//! Two stages, so that freshness can be tested from committed files alone: the facts about a Kubernetes
//! version are cut down to what is served and folded into `host/api/gen-source/` (`generate`), and the
//! Rust tables are written from there (`tables`). What only the Go sources say stands in
//! `gen-source/zeros.json` (read by `structs`) and, by hand, `dropped.json`; the names that its errors need are in `go.txt`, which
//! `k3s-api` reads itself. Kinds of this server's own, which no Kubernetes has, are
//! written by hand in `gen-source/own-*.json`. The tables hold no pointers: names are offsets into one
//! string, so they cost no relocation and no memory until they are read.

mod facts;
mod go;
mod kinds;
mod names;
mod structs;
mod tables;

use anyhow::{Context, Result};
use facts::Source;
use serde_json::{Value, json};
use std::path::Path;
use tables::Tables;

pub(crate) use structs::generate as generate_zeros;

/// Both stages: facts to `api_dir/gen-source`, and from there to `api_dir/src/gen`.
pub(crate) fn generate(facts_dir: &Path, api_dir: &Path) -> Result<()> {
    let facts = read(&facts_dir.join("k8s-1.36-facts.json"))?;
    let messages = read(&facts_dir.join("k8s-1.36-protobuf.json"))?;
    let source = Source::from_facts(
        &facts,
        messages.get("messages").context("no protobuf messages")?,
    )?;
    let dir = api_dir.join("gen-source");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(
        dir.join("resources.json"),
        lines(&Value::Array(source.resources)),
    )?;
    std::fs::write(dir.join("types.json"), lines(&Value::Object(source.types)))?;
    write_tables(api_dir)
}

/// The second stage alone, after a change of the sources.
pub(crate) fn write_tables(api_dir: &Path) -> Result<()> {
    for (name, text) in tables(&api_dir.join("gen-source"))? {
        std::fs::write(api_dir.join("src/gen").join(name), text)?;
    }
    Ok(())
}

/// The second stage: file name and text of every table, from the committed sources.
pub(crate) fn tables(source_dir: &Path) -> Result<Vec<(&'static str, String)>> {
    let (mut resources, mut types) = (Vec::new(), serde_json::Map::new());
    for prefix in ["", "own-"] {
        let list = read(&source_dir.join(format!("{prefix}resources.json")))?;
        resources.extend(
            list.as_array()
                .context("the resources are not a list")?
                .iter()
                .cloned(),
        );
        let map = read(&source_dir.join(format!("{prefix}types.json")))?;
        types.extend(map.as_object().context("the types are not a map")?.clone());
    }
    go::mark_zeros(&mut types, &read(&source_dir.join("zeros.json"))?)?;
    go::mark_dropped(&mut types, &read(&source_dir.join("dropped.json"))?)?;
    let key = |r: &Value, name: &str| facts::text(r, name);
    resources.sort_by_key(|r| (key(r, "group"), key(r, "version"), key(r, "plural")));
    let mut tables = Tables::new(&types);
    tables.add_types(&types)?;
    let kinds = kinds::file(&resources, &types, &tables)?;
    Ok(vec![
        ("fields.rs", tables.fields_file()),
        ("kinds.rs", kinds),
        ("names.rs", tables.names.file()),
        ("types.rs", tables.types_file()),
    ])
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parsing {}", path.display()))
}

/// JSON with one entry per line, so that a new Kubernetes version shows as a readable difference.
fn lines(v: &Value) -> String {
    let (open, rows, close) = match v {
        Value::Object(map) => (
            "{",
            map.iter()
                .map(|(k, v)| format!("{}: {v}", json!(k)))
                .collect::<Vec<_>>(),
            "}",
        ),
        Value::Array(list) => ("[", list.iter().map(Value::to_string).collect(), "]"),
        other => return other.to_string(),
    };
    format!("{open}\n{}\n{close}\n", rows.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_tables_are_fresh() {
        let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api");
        for (name, want) in tables(&api.join("gen-source")).unwrap() {
            let have = std::fs::read_to_string(api.join("src/gen").join(name)).unwrap();
            assert!(
                have == want,
                "src/gen/{name} is stale: run `cargo xtask gen-api`"
            );
        }
    }

    #[test]
    fn sources_have_one_entry_per_line() {
        assert_eq!(
            lines(&json!({"a": 1, "b": [2]})),
            "{\n\"a\": 1,\n\"b\": [2]\n}\n"
        );
    }
}
