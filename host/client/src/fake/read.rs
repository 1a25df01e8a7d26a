//! GET and LIST of the fake.

use std::collections::BTreeMap;

use k3s_base::error::Sentence;
use k3s_meta::object::labels;
use k3s_meta::{FieldSelector, LabelSelector, Status, tree};
use serde_json::{Value, json};

use super::path::Target;
use super::store::Store;

/// A code and a body, or a failure.
pub(super) type Answer = Result<(u16, Value), Box<Status>>;

/// Which objects a request picks.
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(super) fn from_query(query: &BTreeMap<String, String>) -> Result<Self, Box<Status>> {
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let bad = |why: Sentence| Box::new(Status::bad_request(why));
        Ok(Self {
            labels: LabelSelector::parse(text("labelSelector")).map_err(bad)?,
            fields: FieldSelector::parse(text("fieldSelector")).map_err(bad)?,
        })
    }

    pub(super) fn picks(&self, object: &Value) -> bool {
        let own = labels(object);
        self.labels.matches(|key| own.get(key).map(String::as_str))
            && self.fields.matches(|path| Some(field(object, path)))
    }
}

/// Any path of strings is selectable here; a missing one reads as empty.
fn field<'a>(object: &'a Value, path: &str) -> &'a str {
    tree::text(object, path)
}

pub(super) fn get(store: &Store, target: &Target, query: &BTreeMap<String, String>) -> Answer {
    if target.name.is_empty() {
        return list(store, target, query);
    }
    let object = store.get(target).ok_or_else(|| target.not_found())?;
    match target.subresource.as_str() {
        "" | "status" => Ok((200, object)),
        "scale" => Ok((200, scale(&object))),
        other => Err(Box::new(Status::bad_request(format!(
            "the fake does not serve subresource {other}"
        )))),
    }
}

fn list(store: &Store, target: &Target, query: &BTreeMap<String, String>) -> Answer {
    let selection = Selection::from_query(query)?;
    let (objects, revision) = store.snapshot(target);
    let after = query.get("continue").map_or("", String::as_str);
    let limit = query
        .get("limit")
        .and_then(|n| n.parse().ok())
        .filter(|n: &usize| *n > 0)
        .unwrap_or(usize::MAX);
    let mut items: Vec<Value> = objects
        .into_iter()
        .filter(|o| selection.picks(o) && (after.is_empty() || target.at(o).key().as_str() > after))
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let token = items
        .last()
        .filter(|_| more)
        .map(|last| target.at(last).key())
        .unwrap_or_default();
    Ok((
        200,
        json!({"apiVersion": target.api_version, "kind": "List",
            "metadata": {"resourceVersion": revision.to_string(), "continue": token}, "items": items}),
    ))
}

pub(super) fn scale(object: &Value) -> Value {
    let meta = |name: &str| {
        tree::get(object, &format!("metadata.{name}"))
            .cloned()
            .unwrap_or(Value::Null)
    };
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": meta("name"), "namespace": meta("namespace"), "uid": meta("uid"), "resourceVersion": meta("resourceVersion")},
        "spec": {"replicas": tree::int(object, "spec.replicas").unwrap_or(0)},
        "status": {"replicas": tree::int(object, "status.replicas").unwrap_or(0)}})
}
