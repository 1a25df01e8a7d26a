//! POST, PUT and DELETE of the fake.
//!
//! Defaults: a Pod starts `Pending`; a scheduled Pod is deleted with 30 s of grace; a namespace is
//! `Active` with the `kubernetes` finalizer.

use std::collections::BTreeMap;

use k3s_meta::object::{deletion_timestamp, finalizers, generation, name, uid};
use k3s_meta::{GroupResource, Status, tree};
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
    let prefix = tree::text(&object, "metadata.generateName").to_owned();
    if name(&object).is_empty() && !prefix.is_empty() {
        let suffix: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(5)
            .collect();
        tree::set(&mut object, "metadata.name", format!("{prefix}{suffix}"));
    }
    if !target.namespace.is_empty() {
        tree::set(&mut object, "metadata.namespace", target.namespace.as_str());
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
        tree::remove(&mut object, &format!("metadata.{field}"));
    }
    tree::remove(&mut object, "status");
    if object.get("spec").is_some() {
        tree::set(&mut object, "metadata.generation", 1);
    }
    match target.table().as_str() {
        "/pods" => tree::set(&mut object, "status", json!({"phase": "Pending"})),
        "/namespaces" => {
            tree::set(&mut object, "status", json!({"phase": "Active"}));
            tree::set(&mut object, "spec.finalizers", json!(["kubernetes"]));
        }
        _ => {}
    }
    Ok((201, store.seed(&here, object)))
}

fn create_subresource(store: &Store, target: &Target, body: Value) -> Answer {
    let mut object = store.get(target).ok_or_else(|| target.not_found())?;
    match target.subresource.as_str() {
        "binding" => {
            if !tree::text(&object, "spec.nodeName").is_empty() {
                let message = format!("pod {} is already assigned to node", target.name);
                return Err(Box::new(Status::conflict(
                    &GroupResource::new("", "pods/binding"),
                    &target.name,
                    &message,
                )));
            }
            tree::set(
                &mut object,
                "spec.nodeName",
                tree::text(&body, "target.name"),
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
    let claimed = tree::text(&new, "metadata.resourceVersion");
    if !claimed.is_empty() && claimed != tree::text(&old, "metadata.resourceVersion") {
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
            tree::set(
                &mut object,
                "spec.replicas",
                tree::int(&new, "spec.replicas").unwrap_or(0),
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
    let namespace_held = target.table() == "/namespaces" && tree::has(object, "spec.finalizers");
    deletion_timestamp(object).is_some()
        && finalizers(object).is_empty()
        && !namespace_held
        && tree::int(object, "metadata.deletionGracePeriodSeconds").unwrap_or(0) == 0
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
        match tree::get(old, &format!("metadata.{field}")) {
            Some(value) => tree::set(&mut new, &format!("metadata.{field}"), value.clone()),
            None => {
                tree::remove(&mut new, &format!("metadata.{field}"));
            }
        }
    }
    let mut new = with(&new, "status", old.get("status"));
    if new.get("spec") != old.get("spec") && tree::get(old, "metadata.generation").is_some() {
        tree::set(&mut new, "metadata.generation", generation(old) + 1);
    }
    new
}

fn with(object: &Value, field: &str, value: Option<&Value>) -> Value {
    let mut object = object.clone();
    match value {
        Some(value) => tree::set(&mut object, field, value.clone()),
        None => {
            tree::remove(&mut object, field);
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
        let wanted = tree::text(options, &format!("preconditions.{field}"));
        if !wanted.is_empty() && wanted != tree::text(&old, &format!("metadata.{field}")) {
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
    match tree::text(options, "propagationPolicy") {
        "Foreground" => finalizers.push("foregroundDeletion".into()),
        "Orphan" => finalizers.push("orphan".into()),
        _ => {}
    }
    finalizers.dedup();
    if !finalizers.is_empty() {
        tree::set(&mut object, "metadata.finalizers", json!(finalizers));
    }
    if deletion_timestamp(&object).is_none() {
        tree::set(
            &mut object,
            "metadata.deletionTimestamp",
            store.clock.now_rfc3339(),
        );
    }
    if target.table() == "/pods" {
        let default = if tree::text(&object, "spec.nodeName").is_empty() {
            0
        } else {
            30
        };
        let held = tree::int(&object, "metadata.deletionGracePeriodSeconds").unwrap_or(i64::MAX);
        let grace = tree::int(options, "gracePeriodSeconds")
            .unwrap_or(default)
            .min(held);
        tree::set(&mut object, "metadata.deletionGracePeriodSeconds", grace);
    }
    if target.table() == "/namespaces" {
        tree::set(&mut object, "status.phase", "Terminating");
    }
    Ok((200, put(store, target, &old, object)))
}

fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"})
}
