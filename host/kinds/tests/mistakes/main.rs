//! Mistakes in objects of the kinds that administrators and drivers write, in upstream's words: a table per
//! kind from the object to its errors.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod admissionregistration;
mod apiextensions;
mod core_group;
mod flowcontrol;
mod network;
mod nodes;
mod resource;
mod storage;

use jiff::Timestamp;
use k3s_kinds::{Context, Strategy};
use k3s_meta::UserInfo;
use k3s_meta::field::ErrorList;
use serde_json::{Value, json};

fn strategy(kind: &str) -> Strategy {
    let (group, kind) = kind.split_once('/').unwrap();
    Strategy::built_in(group, kind)
}

/// The object with defaults and with names that are no mistake.
fn made(kind: &str, mut object: Value, namespaced: bool) -> Value {
    let strategy = strategy(kind);
    let meta = object.as_object_mut().unwrap();
    let meta = meta.entry("metadata").or_insert_with(|| json!({}));
    for (name, value) in [("name", "x"), ("resourceVersion", "1")] {
        if meta.get(name).is_none() {
            meta[name] = json!(value);
        }
    }
    if namespaced {
        meta["namespace"] = json!("default");
    }
    strategy.default(&mut object);
    object
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Errors of a new object of `group/Kind`.
fn of_new(kind: &str, object: Value, namespaced: bool) -> Vec<String> {
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    let mut object = made(kind, object, namespaced);
    let strategy = strategy(kind);
    strategy.prepare_create(&mut object, &context);
    texts(&strategy.validate_create(&object, namespaced))
}

/// Warnings of a new object.
fn warnings_of(kind: &str, object: Value, namespaced: bool) -> Vec<String> {
    strategy(kind).warnings(&made(kind, object, namespaced), None)
}

/// Errors of an update.
fn of_update(kind: &str, old: Value, new: Value, namespaced: bool) -> Vec<String> {
    let [old, new] = [old, new].map(|object| made(kind, object, namespaced));
    texts(&strategy(kind).validate_update(&new, &old, namespaced))
}

/// Errors of an update of the status.
fn of_status(kind: &str, old: Value, new: Value, namespaced: bool) -> Vec<String> {
    let [old, new] = [old, new].map(|object| made(kind, object, namespaced));
    texts(&strategy(kind).validate_status_update(&new, &old, namespaced))
}
