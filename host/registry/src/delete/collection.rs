//! Deleting everything that a list shows.

use std::sync::Arc;

use super::{DeleteOptions, Deleted};
use crate::call::Call;
use crate::error::Result;
use crate::list::{ListRequest, ListResult};
use crate::object::Object;
use crate::registry::Registry;
use crate::resource::Resource;

impl Registry {
    /// Deletes every object of the list and returns the list. Objects that others deleted meanwhile
    /// do not matter. Without selectors, what cannot be decoded is deleted as well.
    ///
    /// # Errors
    /// When the list cannot be made, or on the first object that cannot be deleted.
    pub async fn delete_collection(
        &self,
        resource: &Arc<Resource>,
        request: &ListRequest,
        options: &DeleteOptions,
        call: &Call<'_>,
    ) -> Result<(ListResult, Vec<Object>)> {
        let list = self.list(resource, request).await?;
        let mut objects = Vec::with_capacity(list.entries.len());
        let unreadable = if request.selectors.is_empty() {
            list.unreadable.as_slice()
        } else {
            &[]
        };
        for entry in list.entries.iter().chain(unreadable) {
            let (namespace, name) = resource.name_in_key(&entry.key);
            match self.delete(resource, namespace, name, options, call).await {
                Ok(Deleted::Gone(object) | Deleted::Pending(object)) => objects.push(object),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok((list, objects))
    }
}

impl Resource {
    /// Namespace (empty for cluster-scoped resources) and name in a key.
    #[must_use]
    pub fn name_in_key<'k>(&self, key: &'k str) -> (&'k str, &'k str) {
        let rest = key.strip_prefix(&*self.prefix).unwrap_or(key);
        rest.split_once('/').unwrap_or(("", rest))
    }
}
