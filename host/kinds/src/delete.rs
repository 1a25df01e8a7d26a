//! How objects of a kind are deleted: upstream's `RESTDeleteStrategy` as data.

use serde_json::Value;

use crate::context::Context;

/// What happens to dependents when the client does not say (`rest.GarbageCollectionPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GarbageCollection {
    /// They are deleted after their owner.
    DeleteDependents,
    /// They stay without an owner, for the sake of old clients.
    OrphanDependents,
    /// The kind owns nothing, so propagation is ignored.
    Unsupported,
}

/// Deletion of one kind.
#[derive(Clone, Copy, Debug)]
pub struct DeletePolicy {
    /// Seconds of grace for an object, given what the client asked for (`CheckGracefulDelete`). `None`
    /// for kinds whose objects are removed at once.
    pub grace: Option<fn(&Value, Option<i64>) -> i64>,
    /// What happens to dependents unless the client says otherwise.
    pub garbage_collection: GarbageCollection,
    /// Changes an object when its deletion begins: phase, conditions, finalizers of the kind's own.
    pub begin: fn(&mut Value, &Context<'_>),
    /// Whether something besides `metadata.finalizers` holds the object. `None` for kinds without
    /// finalizers in their spec.
    pub held_by_spec: Option<fn(&Value) -> bool>,
    /// Whether the deletion of an object that is held is a new generation and records a grace period, as
    /// upstream's generic store has it. Kinds with a `Delete` of their own mark their objects without that.
    pub generic_marks: bool,
    /// Whether a delete is answered with the last state of the object rather than a status
    /// (`ReturnDeletedObject`).
    pub returns_object: bool,
}

impl DeletePolicy {
    /// Removed at once, dependents after it, answered with a status.
    pub const PLAIN: Self = Self {
        grace: None,
        garbage_collection: GarbageCollection::DeleteDependents,
        begin: |_, _| {},
        held_by_spec: None,
        generic_marks: true,
        returns_object: false,
    };

    /// [`DeletePolicy::PLAIN`], answered with the deleted object.
    pub const RETURNS_OBJECT: Self = Self {
        returns_object: true,
        ..Self::PLAIN
    };

    /// [`DeletePolicy::PLAIN`], leaving dependents behind unless the client says otherwise.
    pub const ORPHAN_DEPENDENTS: Self = Self {
        garbage_collection: GarbageCollection::OrphanDependents,
        ..Self::PLAIN
    };

    /// [`DeletePolicy::PLAIN`], for kinds that own nothing.
    pub const NO_DEPENDENTS: Self = Self {
        garbage_collection: GarbageCollection::Unsupported,
        ..Self::PLAIN
    };
}
