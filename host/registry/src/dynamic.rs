//! Resources that come and go while the server runs.
//!
//! A set is made whole and then replaces the one before, so a request sees one or the other. Built-in
//! resources are looked up first and never touch it. Whoever defines resources attaches facts of its
//! own, which mean nothing here.

use std::any::Any;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::resource::Resource;

/// What a resource that is defined at run time has beyond a built-in one.
pub struct Dynamic {
    /// The API version in which objects are stored.
    pub(crate) storage_version: String,
    /// Objects written after this revision have the form of the present definition; older ones are
    /// converted when they are read.
    pub(crate) fresh_from: u64,
    retired: CancellationToken,
    attachment: Box<dyn Any + Send + Sync>,
}

impl Dynamic {
    /// `storage_version` is the API version in which objects are stored, `fresh_from` the revision
    /// after which they are written in the form of this definition.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(
        storage_version: String,
        fresh_from: u64,
        attachment: T,
    ) -> Self {
        Self {
            storage_version,
            fresh_from,
            retired: CancellationToken::new(),
            attachment: Box::new(attachment),
        }
    }

    /// The facts that the definer attached; `None` if they are of another type.
    #[must_use]
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.attachment.downcast_ref()
    }

    /// Cancelled when the definition has changed or is gone, which ends watches.
    pub(crate) fn retired(&self) -> &CancellationToken {
        &self.retired
    }
}

/// The resources defined at run time that are served together.
pub struct DynamicSet {
    /// Sorted by group, version and plural.
    resources: Vec<Arc<Resource>>,
    attachment: Arc<dyn Any + Send + Sync>,
}

impl Default for DynamicSet {
    fn default() -> Self {
        Self {
            resources: Vec::new(),
            attachment: Arc::new(()),
        }
    }
}

impl DynamicSet {
    /// A set of resources with facts of the definer's.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(
        mut resources: Vec<Arc<Resource>>,
        attachment: Arc<T>,
    ) -> Self {
        resources.sort_by_key(|resource| resource.name());
        Self {
            resources,
            attachment,
        }
    }

    /// The facts that the definer attached; `None` if they are of another type.
    #[must_use]
    pub fn attached<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.attachment.clone().downcast().ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.iter()
    }

    /// The resource served under this name.
    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let found = self
            .resources
            .binary_search_by_key(&(group, version, plural), |resource| resource.name());
        self.resources.get(found.ok()?)
    }

    /// Ends the watches of resources that `next` does not have.
    pub(crate) fn retire_for(&self, next: &Self) {
        for old in &self.resources {
            let kept = next.resources.iter().any(|new| Arc::ptr_eq(new, old));
            if let Some(dynamic) = old.dynamic.as_ref().filter(|_| !kept) {
                dynamic.retired.cancel();
            }
        }
    }
}
