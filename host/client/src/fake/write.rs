//! POST, PUT and DELETE of the fake.
//!
//! Defaults: a Pod starts `Pending`; a scheduled Pod is deleted with 30 s of grace; a namespace is
//! `Active` with the `kubernetes` finalizer.

use std::collections::BTreeMap;

use k3s_meta::object::{
    at_i64, at_str, deletion_timestamp, finalizers, generation, name, remove, set, uid,
};
use k3s_meta::{GroupResource, Status};
use serde_json::{Value, json};

use super::path::Target;
use super::read::{Answer, Selection, scale};
use super::store::Store;

pub(super) fn create(store: &Store, target: &Target, mut object: Value) -> Answer {
    if !target.name.is_empty() {
        return create_subresource(store, target, object);
    }
    if !object.is_object() {
        return Err(Box::new(Status::bad_request("the body is no object")));
    }
    let prefix = at_str(&object, &["metadata", "generateName"]).to_owned();
    if name(&object).is_empty() && !prefix.is_empty() {
        let suffix: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(5)
            .collect();
        set(
            &mut object,
            &["metadata", "name"],
            format!("{prefix}{suffix}").into(),
        );
    }
    if !target.namespace.is_empty() {
        set(
            &mut object,
            &["metadata", "namespace"],
            target.namespace.as_str().into(),
        );
    }
    let here = Target {
        name: name(&object).to_owned(),
        ..target.clone()
    };
    if here.name.is_empty() {
        return Err(Box::new(Status::bad_request(
            "name or generateName is required",
        )));
    }
    if store.get(&here).is_some() {
        return Err(Box::new(Status::already_exists(&here.gr(), &here.name)));
    }
    for field in [
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "deletionTimestamp",
    ] {
        remove(&mut object, &["metadata", field]);
    }
    remove(&mut object, &["status"]);
    if object.get("spec").is_some() {
        set(&mut object, &["metadata", "generation"], 1.into());
    }
    match target.table().as_str() {
        "/pods" => set(&mut object, &["status"], json!({"phase": "Pending"})),
        "/namespaces" => {
            set(&mut object, &["status"], json!({"phase": "Active"}));
            set(&mut object, &["spec", "finalizers"], json!(["kubernetes"]));
        }
        _ => {}
    }
    Ok((201, store.seed(&here, object)))
}

fn create_subresource(store: &Store, target: &Target, body: Value) -> Answer {
    let mut object = store.get(target).ok_or_else(|| target.not_found())?;
    match target.subresource.as_str() {
        "binding" => {
            if !at_str(&object, &["spec", "nodeName"]).is_empty() {
                let message = format!("pod {} is already assigned to node", target.name);
                return Err(Box::new(Status::conflict(
                    &GroupResource::new("", "pods/binding"),
                    &target.name,
                    &message,
                )));
            }
            set(
                &mut object,
                &["spec", "nodeName"],
                at_str(&body, &["target", "name"]).into(),
            );
            store.replace(target, object);
            Ok((201, success()))
        }
        "eviction" => delete_one(
            store,
            &Target {
                subresource: String::new(),
                ..target.clone()
            },
            body.get("deleteOptions").unwrap_or(&Value::Null),
        )
        .map(|_| (201, success())),
        "token" => Ok((
            201,
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {"name": target.name, "namespace": target.namespace}, "spec": body.get("spec").cloned().unwrap_or_default(),
            "status": {"token": format!("fake:{}:{}", target.namespace, target.name), "expirationTimestamp": store.clock.now_rfc3339()}}),
        )),
        other => Err(Box::new(Status::bad_request(format!(
            "the fake does not serve subresource {other}"
        )))),
    }
}

pub(super) fn update(store: &Store, target: &Target, new: Value) -> Answer {
    let old = store.get(target).ok_or_else(|| target.not_found())?;
    let claimed = at_str(&new, &["metadata", "resourceVersion"]);
    if !claimed.is_empty() && claimed != at_str(&old, &["metadata", "resourceVersion"]) {
        let message = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Box::new(Status::conflict(
            &target.gr(),
            &target.name,
            message,
        )));
    }
    if !uid(&new).is_empty() && uid(&new) != uid(&old) {
        return Err(Box::new(Status::conflict(
            &target.gr(),
            &target.name,
            "Precondition failed: UID in precondition does not match",
        )));
    }
    let merged = match target.subresource.as_str() {
        "" => merge_main(&old, new),
        "status" => with(&old, "status", new.get("status")),
        "finalize" => with(&old, "spec", new.get("spec")),
        "scale" => {
            let mut object = old.clone();
            set(
                &mut object,
                &["spec", "replicas"],
                at_i64(&new, &["spec", "replicas"]).unwrap_or(0).into(),
            );
            merge_main(&old, object)
        }
        other => {
            return Err(Box::new(Status::bad_request(format!(
                "the fake does not serve subresource {other}"
            ))));
        }
    };
    let stored = put(
        store,
        &Target {
            subresource: String::new(),
            ..target.clone()
        },
        &old,
        merged,
    );
    Ok((
        200,
        if target.subresource == "scale" {
            scale(&stored)
        } else {
            stored
        },
    ))
}

/// Stores `new` unless nothing changed; an object whose deletion waited for its last finalizer
/// goes.
fn put(store: &Store, target: &Target, old: &Value, new: Value) -> Value {
    if removable(target, &new) {
        store.remove(target);
        return new;
    }
    if *old == new {
        new
    } else {
        store.replace(target, new)
    }
}

fn removable(target: &Target, object: &Value) -> bool {
    let namespace_held = target.table() == "/namespaces"
        && object
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|f| !f.is_empty());
    deletion_timestamp(object).is_some()
        && finalizers(object).is_empty()
        && !namespace_held
        && at_i64(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
}

fn merge_main(old: &Value, mut new: Value) -> Value {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generation",
    ] {
        match old.pointer(&format!("/metadata/{field}")) {
            Some(value) => set(&mut new, &["metadata", field], value.clone()),
            None => {
                remove(&mut new, &["metadata", field]);
            }
        }
    }
    let mut new = with(&new, "status", old.get("status"));
    if new.get("spec") != old.get("spec") && old.pointer("/metadata/generation").is_some() {
        set(
            &mut new,
            &["metadata", "generation"],
            (generation(old) + 1).into(),
        );
    }
    new
}

fn with(object: &Value, field: &str, value: Option<&Value>) -> Value {
    let mut object = object.clone();
    match value {
        Some(value) => set(&mut object, &[field], value.clone()),
        None => {
            remove(&mut object, &[field]);
        }
    }
    object
}

pub(super) fn delete(
    store: &Store,
    target: &Target,
    query: &BTreeMap<String, String>,
    options: &Value,
) -> Answer {
    if !target.name.is_empty() {
        return delete_one(store, target, options);
    }
    let selection = Selection::from_query(query)?;
    for object in store.all(target).iter().filter(|o| selection.picks(o)) {
        delete_one(store, &target.at(object), options)?;
    }
    Ok((200, success()))
}

fn delete_one(store: &Store, target: &Target, options: &Value) -> Answer {
    let old = store.get(target).ok_or_else(|| target.not_found())?;
    for (field, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let wanted = at_str(options, &["preconditions", field]);
        if !wanted.is_empty() && wanted != at_str(&old, &["metadata", field]) {
            let message =
                format!("Precondition failed: {name} in precondition: {wanted} does not match");
            return Err(Box::new(Status::conflict(
                &target.gr(),
                &target.name,
                &message,
            )));
        }
    }
    let mut object = old.clone();
    let mut finalizers = finalizers(&object);
    match at_str(options, &["propagationPolicy"]) {
        "Foreground" => finalizers.push("foregroundDeletion".into()),
        "Orphan" => finalizers.push("orphan".into()),
        _ => {}
    }
    finalizers.dedup();
    if !finalizers.is_empty() {
        set(&mut object, &["metadata", "finalizers"], json!(finalizers));
    }
    if deletion_timestamp(&object).is_none() {
        set(
            &mut object,
            &["metadata", "deletionTimestamp"],
            store.clock.now_rfc3339().into(),
        );
    }
    if target.table() == "/pods" {
        let default = if at_str(&object, &["spec", "nodeName"]).is_empty() {
            0
        } else {
            30
        };
        let held = at_i64(&object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(i64::MAX);
        let grace = at_i64(options, &["gracePeriodSeconds"])
            .unwrap_or(default)
            .min(held);
        set(
            &mut object,
            &["metadata", "deletionGracePeriodSeconds"],
            grace.into(),
        );
    }
    if target.table() == "/namespaces" {
        set(&mut object, &["status", "phase"], "Terminating".into());
    }
    Ok((200, put(store, target, &old, object)))
}

fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"})
}
