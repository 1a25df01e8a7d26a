//! Takes out of answers what two servers cannot agree on: unique ids, present times, versions, and what was
//! allocated or made at random. The form of each is kept, so that a missing or misshapen one shows.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::target::Answer;

/// Pattern and what stands for it, in every text.
static TEXTS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rows = [
        (
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            "<uid>",
        ),
        (
            r"\b20(2[6-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
            "<micro time>",
        ),
        (r"\b20(2[6-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
        // The upper part of the range, from which addresses are allocated when none is asked for.
        (r"\b10\.43\.([1-9]\d*)\.\d+\b", "<cluster ip>"),
        (r"current: \d+", "current: <version>"),
        // The object that a patch made, with the owners of its fields and these in the order in which they were set.
        (
            r#"((?:patch: )?Invalid value: )"\{\\"(?:\\.|[^"\\])*""#,
            "$1<patched object>",
        ),
        (
            r"\bkube-api-access-[a-z0-9]{5}\b",
            "kube-api-access-<generated>",
        ),
    ];
    rows.iter()
        .filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with)))
        .collect()
});
static AGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(\d+[smhdy])+( ago)?$|^<invalid>$").ok());
/// Node ports from here on are allocated when none is asked for.
const FIRST_DYNAMIC_PORT: i64 = 30086;

/// Lists whose order says nothing: upstream gathers them in the order in which a cache gives out bindings.
const UNORDERED: &[&str] = &["resourceRules", "nonResourceRules"];

/// The answer without what differs from server to server.
#[must_use]
pub fn normalise(answer: &Answer) -> Answer {
    let mut normal = answer.clone();
    tree(&mut normal.body);
    for warning in &mut normal.warnings {
        *warning = text(warning);
    }
    normal
}

fn text(from: &str) -> String {
    TEXTS.iter().fold(from.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}

fn tree(value: &mut Value) {
    match value {
        Value::Object(map) => object(map),
        Value::Array(list) => list.iter_mut().for_each(tree),
        Value::String(from) => *from = text(from),
        _ => {}
    }
}

fn object(map: &mut Map<String, Value>) {
    // Server-side apply is missing, and with it the owners of fields.
    map.remove("managedFields");
    generated_name(map);
    for (key, value) in map.iter_mut() {
        match (key.as_str(), &*value) {
            ("resourceVersion", Value::String(v)) if is_number(v) => *value = "<version>".into(),
            ("continue", Value::String(v)) if !v.is_empty() => *value = "<continue>".into(),
            ("nodePort" | "healthCheckNodePort", Value::Number(port))
                if port.as_i64().is_some_and(|p| p >= FIRST_DYNAMIC_PORT) =>
            {
                *value = "<node port>".into();
            }
            _ => tree(value),
        }
    }
    if map.contains_key("columnDefinitions") {
        cells_by_column(map);
    }
    for list in UNORDERED {
        if let Some(Value::Array(list)) = map.get_mut(*list) {
            list.sort_by_key(Value::to_string);
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn generated_name(map: &mut Map<String, Value>) {
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, prefix) = (text("name"), text("generateName"));
    if !prefix.is_empty() && name.len() == prefix.len() + 5 && name.starts_with(prefix) {
        let name = format!("{prefix}<generated>");
        map.insert("name".into(), name.into());
    }
}

/// Cells under the names of their columns; ages are not compared.
fn cells_by_column(table: &mut Map<String, Value>) {
    let names: Vec<String> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| c["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let rows = table.get_mut("rows").and_then(Value::as_array_mut);
    for row in rows.into_iter().flatten() {
        let Some(Value::Array(cells)) = row.get("cells").cloned() else {
            continue;
        };
        let named = cells.into_iter().enumerate().map(|(at, cell)| {
            let name = names
                .get(at)
                .cloned()
                .unwrap_or_else(|| format!("cell {at}"));
            (name, age(cell))
        });
        row["cells"] = Value::Object(named.collect());
    }
}

fn age(cell: Value) -> Value {
    let is_age = cell
        .as_str()
        .zip(AGE.as_ref())
        .is_some_and(|(text, age)| age.is_match(text));
    if is_age { "<age>".into() } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(body: Value) -> Value {
        normalise(&Answer {
            code: 200,
            content_type: "application/json".into(),
            warnings: Vec::new(),
            body,
        })
        .body
    }

    #[test]
    fn what_a_server_chooses_is_taken_out() {
        let object = json!({"metadata": {
            "name": "web-x7k2p", "generateName": "web-", "uid": "6f1e2d3c-0000-4000-8000-000000000001",
            "resourceVersion": "812", "creationTimestamp": "2026-12-01T10:00:00Z", "managedFields": [{}]},
            "spec": {"clusterIP": "10.43.7.9", "ports": [{"nodePort": 31000}]}});
        assert_eq!(
            body(object),
            json!({"metadata": {
                "name": "web-<generated>", "generateName": "web-", "uid": "<uid>",
                "resourceVersion": "<version>", "creationTimestamp": "<time>"},
                "spec": {"clusterIP": "<cluster ip>", "ports": [{"nodePort": "<node port>"}]}})
        );
    }

    #[test]
    fn the_object_that_a_patch_made_is_taken_out_of_its_refusal() {
        let text = r#" "" is invalid: patch: Invalid value: "{\"a\":\"b \\\" c\"}": json: cannot"#;
        let status = body(json!({"message": text}));
        let want = r#" "" is invalid: patch: Invalid value: <patched object>: json: cannot"#;
        assert_eq!(status["message"], want);
    }

    #[test]
    fn what_was_asked_for_is_kept() {
        let object = json!({"metadata": {"name": "web", "resourceVersion": "", "creationTimestamp": null},
            "spec": {"clusterIP": "10.43.0.50", "ports": [{"nodePort": 30001}], "at": "2020-01-01T00:00:00Z"}});
        assert_eq!(body(object.clone()), object);
    }

    #[test]
    fn cells_stand_under_their_columns_and_ages_are_equal() {
        let table = json!({"columnDefinitions": [{"name": "Name"}, {"name": "Age"}], "rows": [{"cells": ["a", "3m2s"]}]});
        assert_eq!(
            body(table)["rows"],
            json!([{"cells": {"Name": "a", "Age": "<age>"}}])
        );
    }
}
