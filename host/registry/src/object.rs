//! An object on its way out: stored bytes where nothing was changed, a tree otherwise.

use std::sync::Arc;

use k3s_store::Entry;
use serde_json::Value;

use crate::encoding::RawObject;
use crate::error::{Error, Result};
use crate::resource::Resource;
use crate::view::{View, undecodable};

/// One object of a resource, as it was stored or as it would have been (dry run).
#[derive(Clone)]
pub struct Object {
    resource: Arc<Resource>,
    source: Source,
}

#[derive(Clone)]
enum Source {
    /// Shown with this revision: that of the entry, or of its deletion.
    Entry(Arc<Entry>, u64),
    Tree(Arc<Value>),
}

impl Object {
    /// A stored object.
    #[must_use]
    pub fn stored(resource: &Arc<Resource>, entry: Arc<Entry>) -> Self {
        let revision = entry.mod_revision.0;
        Self {
            resource: resource.clone(),
            source: Source::Entry(entry, revision),
        }
    }

    /// A stored object shown with another revision, such as that of its deletion.
    #[must_use]
    pub fn at_revision(resource: &Arc<Resource>, entry: Arc<Entry>, revision: u64) -> Self {
        Self {
            resource: resource.clone(),
            source: Source::Entry(entry, revision),
        }
    }

    /// An object that is not stored in this form.
    #[must_use]
    pub fn tree(resource: &Arc<Resource>, value: Value) -> Self {
        Self {
            resource: resource.clone(),
            source: Source::Tree(Arc::new(value)),
        }
    }

    /// The resource it belongs to.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Its bytes in served form, where these are the stored ones with the version put in.
    ///
    /// # Errors
    /// For a stored object that cannot be decoded.
    pub fn raw(&self) -> Result<Option<RawObject>> {
        match &self.source {
            Source::Entry(entry, revision) if self.resource.serves_as_stored(entry) => {
                if !self.resource.is_readable(entry) {
                    return Err(undecodable(entry));
                }
                let at = View::of(entry)?.offset(entry)?;
                Ok(Some(RawObject::new(&entry.value, at, *revision)))
            }
            _ => Ok(None),
        }
    }

    /// Appends the object as JSON.
    ///
    /// # Errors
    /// For a stored object that cannot be decoded.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<()> {
        match (self.raw()?, &self.source) {
            (Some(raw), _) => raw.write_to(out),
            (None, Source::Tree(value)) => {
                serde_json::to_writer(out, &**value).map_err(Error::internal)?
            }
            (None, Source::Entry(..)) => {
                serde_json::to_writer(out, &self.to_value()?).map_err(Error::internal)?
            }
        }
        Ok(())
    }

    /// The object as a tree in served form, with its resource version.
    ///
    /// # Errors
    /// For a stored object that cannot be decoded.
    pub fn to_value(&self) -> Result<Value> {
        match &self.source {
            Source::Tree(value) => Ok(Value::clone(value)),
            Source::Entry(entry, revision) => {
                let mut value = self.resource.decode(entry)?;
                crate::system_meta::set_revision(&mut value, *revision);
                Ok(value)
            }
        }
    }
}
