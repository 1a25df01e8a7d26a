//! Patches of stored samples, of every type, good and bad.

use k3s_base::Random;
use serde_json::{Value, json};

use super::Corpus;
use super::edit::{Change, Edit, Place};
use super::sample::Sample;
use super::values::pick;
use super::write::edit;
use crate::request::{Body, Request};

pub(super) const JSON_PATCH: &str = "application/json-patch+json";
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// Keys by which strategic patches find members of lists.
const MERGE_KEYS: &[&str] = &[
    "name",
    "mountPath",
    "containerPort",
    "port",
    "type",
    "ip",
    "key",
    "topologyKey",
    "devicePath",
    "uid",
];
/// Bodies that are no patch, or not of the type that the request says.
const BROKEN: &[&str] = &[
    "",
    "{",
    "[]",
    "{}",
    "null",
    "\"text\"",
    "[{}]",
    "[{\"op\":\"add\"}]",
    "[{\"op\":\"jump\",\"path\":\"/metadata\"}]",
    "[{\"op\":\"test\",\"path\":\"/metadata/name\",\"value\":\"other\"}]",
    "[{\"op\":\"remove\",\"path\":\"/spec/none\"}]",
    "[{\"op\":\"replace\",\"path\":\"metadata\",\"value\":{}}]",
    "{\"kind\":\"Other\"}",
    "{\"apiVersion\":\"v9\"}",
    "{\"metadata\":{\"name\":\"other\"}}",
    "{\"metadata\":null}",
    "{\"metadata\":{\"labels\":null}}",
    "{\"metadata\":{\"labels\":{\"a\":null,\"b\":\"c\"}}}",
    "{\"metadata\":{\"finalizers\":[\"bad\"]}}",
    "{\"metadata\":{\"resourceVersion\":\"1\"}}",
    "{\"metadata\":{\"uid\":\"other\"}}",
    "{\"spec\":null}",
    "{\"unknown\":1}",
    "{\"$patch\":\"replace\"}",
    "{\"$patch\":\"delete\"}",
    "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"a\":\"b\"}}}",
    "{\"metadata\":{\"$retainKeys\":[\"name\"]}}",
];

pub(super) fn patch(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |s| s.kind.has_verb("patch")) else {
        return Default::default();
    };
    let edit = edit(corpus, sample, random, |_| true);
    let (content_type, body) = match random.below(40) {
        0..4 => (
            pick(random, &[JSON_PATCH, MERGE, STRATEGIC, "application/json"]).unwrap_or(MERGE),
            pick(random, BROKEN).unwrap_or_default().to_owned(),
        ),
        4 => (APPLY, sample.object.to_string()),
        5..16 => (JSON_PATCH, json_patch(&edit, random)),
        16..27 => (MERGE, merge(&edit, sample, &[])),
        _ => (STRATEGIC, strategic(&edit, sample, random)),
    };
    let kind = sample.kind.kind;
    let mut request = Request::new("PATCH", sample.path(), kind)
        .dry_run()
        .body(content_type, Body::Text(body.clone()));
    if content_type == APPLY {
        request = request.with("fieldManager", "differential");
    }
    let shown: String = body.chars().take(100).collect();
    (
        format!("patch {kind} ({content_type}), {shown}"),
        vec![request],
    )
}

fn json_patch(edit: &Edit, random: &Random) -> String {
    let path = edit.place.pointer();
    let op = match &edit.change {
        Change::Remove => json!({"op": "remove", "path": path}),
        Change::Set(value) | Change::RepeatKey(value) => {
            let op = pick(random, &["add", "add", "replace", "test"]).unwrap_or("add");
            json!({"op": op, "path": path, "value": value})
        }
        Change::Insert(key, value) => {
            let place: Place = edit.place.key(key);
            json!({"op": "add", "path": place.pointer(), "value": value})
        }
        Change::RepeatMember => {
            json!({"op": "copy", "from": format!("{path}/0"), "path": format!("{path}/-")})
        }
        Change::Keep => json!({"op": "move", "from": path, "path": path}),
    };
    json!([op]).to_string()
}

fn merge(edit: &Edit, sample: &Sample, keys: &[&str]) -> String {
    let place = &edit.place;
    let changed = match &edit.change {
        Change::Remove => Some(Value::Null),
        Change::Set(value) | Change::RepeatKey(value) => Some(value.clone()),
        _ => place.find(&edit.apply(&sample.object)).cloned(),
    };
    place
        .nest(changed.unwrap_or(Value::Null), &sample.object, keys)
        .to_string()
}

fn strategic(edit: &Edit, sample: &Sample, random: &Random) -> String {
    let is_map = edit
        .place
        .find(&sample.object)
        .is_some_and(Value::is_object);
    if is_map && random.below(3) == 0 {
        let directive = pick(random, &["delete", "replace", "merge", "other"]).unwrap_or_default();
        return edit
            .place
            .nest(json!({"$patch": directive}), &sample.object, MERGE_KEYS)
            .to_string();
    }
    merge(edit, sample, MERGE_KEYS)
}
