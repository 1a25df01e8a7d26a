//! `metav1.DeleteOptions` as the registry reads them.

use k3s_meta::{GroupKind, GroupResource, Path, Status, field, object, tree};
use serde_json::Value;

use crate::error::Result;

/// What happens to the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without owner.
    Orphan,
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
}

/// What must hold of the object.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    /// Its UID.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<String>,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds of grace; the kind's own when missing.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; the kind's own when missing.
    pub propagation: Option<Propagation>,
    /// `orphanDependents: false`: the client is told with 202 when the object stays for now.
    pub accept_pending: bool,
    /// What must hold.
    pub preconditions: Preconditions,
    /// `ignoreStoreReadErrorWithClusterBreakingPotential` (KEP-3926): delete the object only if what is
    /// stored cannot be decoded. Without it, an object is deleted either way.
    pub ignore_store_read_error: bool,
}

impl DeleteOptions {
    /// # Errors
    /// For an object that can be decoded, where only another may be deleted.
    pub(crate) fn check_readable(&self, gk: &GroupKind, name: &str) -> Result<()> {
        if !self.ignore_store_read_error {
            return Ok(());
        }
        let path = Path::new("ignoreStoreReadErrorWithClusterBreakingPotential");
        let why =
            "is exclusively used to delete corrupt object(s), try again by removing this option";
        let error = field::invalid(&path, true, why);
        Err(Status::invalid(gk, name, &error.into()).into())
    }
}

impl Propagation {
    /// Reads the API's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Orphan" => Some(Self::Orphan),
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            _ => None,
        }
    }
}

impl Preconditions {
    /// Whether `object` is the one that is meant.
    ///
    /// # Errors
    /// A conflict in upstream's words where one does not hold.
    pub fn check(&self, kind: &GroupKind, name: &str, object: &Value) -> Result<()> {
        let pairs = [
            (
                "UID",
                "deleted and then recreated",
                &self.uid,
                object::uid(object),
            ),
            (
                "ResourceVersion",
                "modified",
                &self.resource_version,
                tree::text(object, "metadata.resourceVersion"),
            ),
        ];
        for (what, fate, want, have) in pairs {
            if let Some(want) = want
                && want != have
            {
                let message = format!(
                    "the {what} in the precondition ({want}) does not match the {what} in record ({have}). The object might have been {fate}"
                );
                // Upstream puts the kind where a resource belongs.
                let gr = GroupResource::new(kind.group.clone(), kind.kind.clone());
                return Err(Status::conflict(&gr, name, &message).into());
            }
        }
        Ok(())
    }
}
