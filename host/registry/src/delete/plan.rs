//! What a delete does to an object, decided from its state alone.

use jiff::{SignedDuration, Timestamp};
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::{DeleteOptions, Propagation};
use crate::{Resource, meta};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Holds a definition until its objects are gone. Upstream:
/// `apiextensions-apiserver/pkg/registry/customresourcedefinition/etcd.go`.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The decision.
#[derive(Debug)]
pub(super) enum Plan {
    /// Deletion is under way already; nothing changes.
    Nothing,
    /// The object stays for now, in this form.
    Mark(Box<Value>),
    /// The object goes at once.
    Remove,
}

pub(super) fn plan(
    resource: &Resource,
    old: &Value,
    options: &DeleteOptions,
    now: Timestamp,
) -> Plan {
    if resource.is("", "namespaces") {
        return plan_namespace(old, options, now);
    }
    let mut object = old.clone();
    let grace = if resource.is("", "pods") {
        begin_grace(&mut object, options, now)
    } else {
        Grace::NotSupported
    };
    if let Grace::Pending = grace {
        return if object::finalizers(old).is_empty() && meta::grace_period(old) == Some(0) {
            Plan::Remove
        } else {
            Plan::Nothing
        };
    }
    let mut finalizers = finalizers_for(resource, old, options);
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions")
        && object::deletion_timestamp(old).is_none()
    {
        begin_cleanup(&mut object, &mut finalizers, now);
    }
    let held = !finalizers.is_empty();
    meta::set_finalizers(&mut object, finalizers);
    match grace {
        Grace::Begun(seconds) if seconds > 0 || held => Plan::Mark(Box::new(object)),
        Grace::Begun(_) => Plan::Remove,
        _ if held => {
            mark(&mut object, now);
            Plan::Mark(Box::new(object))
        }
        _ => Plan::Remove,
    }
}

/// A definition goes when its objects have gone: a finalizer that the API server works off itself.
fn begin_cleanup(definition: &mut Value, finalizers: &mut Vec<String>, now: Timestamp) {
    if !finalizers.iter().any(|f| f == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    let mut conditions = tree::list(definition, "status.conditions").to_vec();
    conditions.retain(|condition| tree::text(condition, "type") != "Terminating");
    conditions.push(json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will be initiated soon",
        "lastTransitionTime": meta::time(now),
    }));
    tree::set(definition, "status.conditions", conditions);
}

/// A namespace goes when its content has gone: its controller then empties `spec.finalizers`.
fn plan_namespace(old: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let has_spec_finalizers = !tree::list(old, "spec.finalizers").is_empty();
    let mut object = old.clone();
    if object::deletion_timestamp(old).is_none() {
        let extra = match options.propagation {
            Some(Propagation::Orphan) => Some(ORPHAN),
            Some(Propagation::Foreground) => Some(FOREGROUND),
            _ => None,
        };
        let mut finalizers = object::finalizers(old);
        finalizers.extend(
            extra
                .map(str::to_owned)
                .filter(|f| !object::finalizers(old).contains(f)),
        );
        if finalizers.is_empty() && !has_spec_finalizers {
            return Plan::Remove;
        }
        meta::set_finalizers(&mut object, finalizers);
        meta::set(&mut object, "deletionTimestamp", meta::time(now));
        tree::set(&mut object, "status.phase", "Terminating");
        return Plan::Mark(Box::new(object));
    }
    if has_spec_finalizers || !object::finalizers(old).is_empty() {
        Plan::Nothing
    } else {
        Plan::Remove
    }
}

enum Grace {
    /// The kind knows no grace.
    NotSupported,
    /// Deletion was asked for before, with no more grace than now.
    Pending,
    /// The object carries its deletion time and this many seconds of grace.
    Begun(i64),
}

/// `rest.BeforeDelete` for pods.
fn begin_grace(object: &mut Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    if let Some(stamp) = object::deletion_timestamp(object) {
        let Some(have) = meta::grace_period(object) else {
            return Grace::NotSupported;
        };
        // A second request may only shorten the grace.
        let Some(want) = options.grace_period_seconds.filter(|want| *want < have) else {
            return Grace::Pending;
        };
        let want = want.max(0);
        let earlier = stamp.parse::<Timestamp>().ok().and_then(|at| {
            at.checked_sub(SignedDuration::from_secs(have.saturating_sub(want)))
                .ok()
        });
        meta::set(
            object,
            "deletionTimestamp",
            meta::time(earlier.unwrap_or(now)),
        );
        meta::set(object, "deletionGracePeriodSeconds", want);
        return Grace::Begun(want);
    }
    let seconds = pod_grace(object, options);
    let until = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    meta::set(object, "deletionTimestamp", meta::time(until));
    meta::set(object, "deletionGracePeriodSeconds", seconds);
    meta::bump_generation(object);
    Grace::Begun(seconds)
}

/// `podStrategy.CheckGracefulDelete`.
fn pod_grace(pod: &Value, options: &DeleteOptions) -> i64 {
    let asked = options
        .grace_period_seconds
        .or_else(|| tree::int(pod, "spec.terminationGracePeriodSeconds"))
        .unwrap_or(0);
    let never_ran = tree::text(pod, "spec.nodeName").is_empty();
    let over = matches!(tree::text(pod, "status.phase"), "Failed" | "Succeeded");
    if never_ran || over {
        0
    } else if asked < 0 {
        1
    } else {
        asked
    }
}

/// `markAsDeleting`: for objects that only finalizers hold.
fn mark(object: &mut Value, now: Timestamp) {
    if object::deletion_timestamp(object).is_none() {
        meta::set(object, "deletionTimestamp", meta::time(now));
        meta::bump_generation(object);
    }
    meta::set(object, "deletionGracePeriodSeconds", 0);
}

/// `deletionFinalizersForGarbageCollection`: the finalizers the object is to have.
fn finalizers_for(resource: &Resource, old: &Value, options: &DeleteOptions) -> Vec<String> {
    let mut finalizers = object::finalizers(old);
    if resource.kind.kind == "Event"
        || object::deletion_timestamp(old).is_some() && options.propagation.is_none()
    {
        return finalizers;
    }
    let had = |name: &str| object::finalizers(old).iter().any(|f| f == name);
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None if had(ORPHAN) => (true, false),
        None if had(FOREGROUND) => (false, true),
        None => (orphans_by_default(resource), false),
    };
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    finalizers.extend(orphan.then(|| ORPHAN.to_owned()));
    finalizers.extend(foreground.then(|| FOREGROUND.to_owned()));
    finalizers
}

/// Kinds whose dependents stay unless the client says otherwise, for the sake of old clients.
fn orphans_by_default(resource: &Resource) -> bool {
    resource.is("batch", "jobs") || resource.is("", "replicationcontrollers")
}
