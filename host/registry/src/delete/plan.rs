//! What a delete does to an object, decided from its state alone.

use jiff::{SignedDuration, Timestamp};
use k3s_base::clock::rfc3339;
use k3s_kinds::{Context, DeletePolicy, GarbageCollection};
use k3s_meta::object;
use serde_json::Value;

use super::{DeleteOptions, Propagation};
use crate::resource::Resource;
use crate::system_meta;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// The decision.
#[derive(Debug)]
pub(super) enum Plan {
    /// Deletion is under way already; nothing changes.
    Nothing,
    /// The object stays for now, in this form.
    Mark(Box<Value>),
    /// The object is removed at once. The answer shows the form that its deletion gave it, where it gave it one.
    Remove(Option<Box<Value>>),
}

pub(super) fn plan(
    resource: &Resource,
    old: &Value,
    options: &DeleteOptions,
    context: &Context<'_>,
) -> Plan {
    let policy = &resource.strategy.rules().delete;
    let begun = object::deletion_timestamp(old).is_some();
    if begun && policy.held_by_spec.is_some() {
        // Its controller empties the finalizers of the spec; a second request changes nothing.
        return remove_unless(is_held(policy, old));
    }
    let mut object = old.clone();
    let grace = match policy.grace {
        Some(grace_seconds) => begin_grace(&mut object, grace_seconds, options, context.now),
        None => Grace::NotSupported,
    };
    if let Grace::Pending = grace {
        let over = system_meta::grace_period(old) == Some(0);
        return remove_unless(!over || is_held(policy, old));
    }
    system_meta::set_finalizers(&mut object, finalizers_for(policy, old, options));
    if !begun {
        (policy.begin)(&mut object, context);
    }
    let held = is_held(policy, &object);
    match grace {
        Grace::Begun(seconds) if seconds > 0 || held => Plan::Mark(Box::new(object)),
        Grace::NotSupported if held => {
            mark(&mut object, context.now, policy.generic_marks);
            Plan::Mark(Box::new(object))
        }
        Grace::Begun(_) => Plan::Remove(Some(Box::new(object))),
        _ => Plan::Remove(None),
    }
}

/// Whether finalizers keep the object.
fn is_held(policy: &DeletePolicy, object: &Value) -> bool {
    !object::finalizers(object).is_empty() || policy.held_by_spec.is_some_and(|held| held(object))
}

/// What is left to do for an object whose deletion has begun.
fn remove_unless(held: bool) -> Plan {
    if held {
        Plan::Nothing
    } else {
        Plan::Remove(None)
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

/// `rest.BeforeDelete` for kinds with a grace period.
fn begin_grace(
    object: &mut Value,
    grace_seconds: fn(&Value, Option<i64>) -> i64,
    options: &DeleteOptions,
    now: Timestamp,
) -> Grace {
    let asked = options.grace_period_seconds;
    // A negative grace is a second.
    let asked = asked.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if let Some(stamp) = object::deletion_timestamp(object) {
        let Some(have) = system_meta::grace_period(object) else {
            return Grace::NotSupported;
        };
        // A second request may only shorten the grace.
        let Some(want) = asked.filter(|want| *want < have) else {
            return Grace::Pending;
        };
        let earlier = stamp.parse::<Timestamp>().ok().and_then(|at| {
            at.checked_sub(SignedDuration::from_secs(have.saturating_sub(want)))
                .ok()
        });
        let (until, seconds) = match earlier {
            Some(until) if until >= now => (until, want),
            // The deletion is not moved into the past, and one that is to be graceful stays so.
            _ => (now, want.min(1)),
        };
        system_meta::set(object, "deletionTimestamp", rfc3339(until));
        system_meta::set(object, "deletionGracePeriodSeconds", seconds);
        return Grace::Begun(seconds);
    }
    let seconds = grace_seconds(object, asked);
    let until = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    system_meta::set(object, "deletionTimestamp", rfc3339(until));
    system_meta::set(object, "deletionGracePeriodSeconds", seconds);
    system_meta::bump_generation(object);
    Grace::Begun(seconds)
}

/// `markAsDeleting`: for objects that only finalizers hold.
fn mark(object: &mut Value, now: Timestamp, generic: bool) {
    if object::deletion_timestamp(object).is_none() {
        system_meta::set(object, "deletionTimestamp", rfc3339(now));
        if generic {
            system_meta::bump_generation(object);
        }
    }
    if generic {
        system_meta::set(object, "deletionGracePeriodSeconds", 0);
    }
}

/// `deletionFinalizersForGarbageCollection`: the finalizers the object is to have.
fn finalizers_for(policy: &DeletePolicy, old: &Value, options: &DeleteOptions) -> Vec<String> {
    let mut finalizers = object::finalizers(old);
    if policy.garbage_collection == GarbageCollection::Unsupported
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
        None => {
            let orphans = policy.garbage_collection == GarbageCollection::OrphanDependents;
            (orphans, false)
        }
    };
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    finalizers.extend(orphan.then(|| ORPHAN.to_owned()));
    finalizers.extend(foreground.then(|| FOREGROUND.to_owned()));
    finalizers
}
