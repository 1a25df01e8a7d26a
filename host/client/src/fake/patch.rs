//! PATCH of the fake.
//!
//! The strategic patch here knows one rule for lists of objects: entries merge by the first of
//! `uid`, `type`, `name`, `ip`, `containerPort` that they carry, and `$patch: delete` removes one.
//! Enough for what components send; the real rules belong to the API server.

use k3s_meta::{Status, tree};
use serde_json::{Map, Value};

use super::path::Target;
use super::read::Answer;
use super::store::Store;
use super::write;

const MERGE_KEYS: [&str; 5] = ["uid", "type", "name", "ip", "containerPort"];

pub(super) fn patch(store: &Store, target: &Target, content_type: &str, patch: &Value) -> Answer {
    let mut object = store.get(target).ok_or_else(|| target.not_found())?;
    let before = object.clone();
    match content_type {
        "application/merge-patch+json" => {
            k3s_meta::patch::merge_patch(&mut object, patch)
                .map_err(|e| Box::new(Status::bad_request(e.to_string())))?;
        }
        "application/strategic-merge-patch+json" => strategic(&mut object, patch),
        "application/json-patch+json" => {
            k3s_meta::patch::json_patch(&mut object, patch)
                .map_err(|e| Box::new(Status::bad_request(e.to_string())))?;
        }
        other => {
            return Err(Box::new(Status::bad_request(format!(
                "the fake does not take {other}"
            ))));
        }
    }
    // A patch that names a version means it as a precondition.
    let claims = tree::get(patch, "metadata.resourceVersion").is_some();
    if !claims
        && let (Some(to), Some(from)) = (
            tree::get_mut(&mut object, "metadata.resourceVersion"),
            tree::get(&before, "metadata.resourceVersion"),
        )
    {
        *to = from.clone();
    }
    write::update(store, target, object)
}

fn strategic(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(to), Value::Object(from)) => merge_maps(to, from),
        (Value::Array(to), Value::Array(from)) if merge_key(from).is_some() => {
            merge_lists(to, from)
        }
        (to, from) => *to = from.clone(),
    }
}

fn merge_maps(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (field, value) in from.iter().filter(|(field, _)| !field.starts_with('$')) {
        if value.is_null() {
            to.remove(field);
        } else if let Some(present) = to.get_mut(field) {
            strategic(present, value);
        } else {
            to.insert(field.clone(), value.clone());
        }
    }
}

fn merge_lists(to: &mut Vec<Value>, from: &[Value]) {
    let Some(key) = merge_key(from) else { return };
    for entry in from {
        let at = to
            .iter()
            .position(|present| present.get(key) == entry.get(key));
        let is_deletion = entry.get("$patch").and_then(Value::as_str) == Some("delete");
        match at {
            Some(at) if is_deletion => {
                to.remove(at);
            }
            Some(at) => {
                if let Some(present) = to.get_mut(at) {
                    strategic(present, entry);
                }
            }
            None if is_deletion => {}
            None => to.push(entry.clone()),
        }
    }
}

fn merge_key(list: &[Value]) -> Option<&'static str> {
    let first = list.first()?.as_object()?;
    MERGE_KEYS.into_iter().find(|key| first.contains_key(*key))
}
