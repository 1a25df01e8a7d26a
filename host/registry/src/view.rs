//! What the store keeps beside an object's bytes: where the resource version goes, and (parsed at
//! the first use, then shared by all readers) its labels and selectable fields.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use k3s_kinds::Strategy;
use k3s_store::{Attachment, Entry, Extract};
use serde_json::Value;

use crate::encoding::{is_json, metadata_offset};
use crate::error::{Error, Result};
use crate::keys::ROOT;
use crate::list::Selectors;
use crate::resource::{Resource, Resources};

/// The attachment of every entry below `/registry`.
pub struct View {
    offset: Option<usize>,
    source: Bytes,
    /// `None` for resources defined at run time, whose behaviour can change.
    strategy: Option<Strategy>,
    readable: OnceLock<bool>,
    parsed: OnceLock<Option<Parsed>>,
}

struct Parsed {
    name: Box<str>,
    namespace: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    fields: Box<[(&'static str, Box<str>)]>,
}

impl View {
    /// What the store is to attach to entries.
    #[must_use]
    pub fn extractor(resources: &Arc<Resources>) -> Extract {
        let resources = resources.clone();
        Extract::new(move |key, value| Self::extract(&resources, key, value))
    }

    /// Makes the attachment of one entry; a key that is no object's gets an empty one. Entries come
    /// before the definitions of their resources do, so an unknown resource is one defined at run time.
    fn extract(resources: &Resources, key: &str, value: &Bytes) -> Attachment {
        if !key.starts_with(ROOT) {
            return Arc::new(());
        }
        let resource = resources.of_key(key);
        let strategy = resource.map(|resource| resource.strategy.clone());
        Arc::new(Self {
            offset: metadata_offset(value),
            source: value.clone(),
            strategy,
            readable: OnceLock::new(),
            parsed: OnceLock::new(),
        })
    }

    /// The view of an entry.
    ///
    /// # Errors
    /// For an entry that is no object of a known resource.
    pub fn of(entry: &Entry) -> Result<&Self> {
        entry.attached::<Self>().ok_or_else(|| undecodable(entry))
    }

    /// Whether the bytes are an object. `report` runs once, when the answer turns out to be no.
    pub(crate) fn is_readable(&self, report: impl FnOnce()) -> bool {
        *self.readable.get_or_init(|| {
            let readable = self.offset.is_some() && is_json(&self.source);
            if !readable {
                report();
            }
            readable
        })
    }

    pub(crate) fn offset(&self, entry: &Entry) -> Result<usize> {
        self.offset.ok_or_else(|| undecodable(entry))
    }

    fn parsed(&self, entry: &Entry) -> Result<&Parsed> {
        self.parsed
            .get_or_init(|| Parsed::read(&self.source, self.strategy.as_ref()))
            .as_ref()
            .ok_or_else(|| undecodable(entry))
    }

    /// Whether the entry passes both selectors.
    ///
    /// # Errors
    /// For an entry that cannot be decoded.
    pub fn matches(
        &self,
        entry: &Entry,
        selectors: &Selectors,
        resource: &Resource,
    ) -> Result<bool> {
        if selectors.is_empty() {
            return Ok(true);
        }
        let parsed = self.parsed(entry)?;
        if !selectors.labels.matches(|key| parsed.label(key)) {
            return Ok(false);
        }
        if resource.dynamic.is_none() || selectors.fields_are_metadata() {
            return Ok(selectors.fields_match(|field| parsed.field(field)));
        }
        // Which fields can be selected by may have changed since the entry was written.
        let own = resource.strategy.fields(&resource.decode(entry)?);
        let find = |field: &str| {
            own.iter()
                .find(|(name, _)| *name == field)
                .map(|(_, value)| value.as_str())
        };
        Ok(selectors.fields_match(|field| parsed.field(field).or_else(|| find(field))))
    }
}

impl Parsed {
    fn read(source: &Bytes, strategy: Option<&Strategy>) -> Option<Self> {
        let object: Value = serde_json::from_slice(source).ok()?;
        let labels = k3s_meta::object::labels(&object);
        Some(Self {
            name: k3s_meta::object::name(&object).into(),
            namespace: k3s_meta::object::namespace(&object).into(),
            labels: labels
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            fields: strategy
                .map(|strategy| strategy.fields(&object))
                .into_iter()
                .flatten()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        })
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }

    fn field(&self, field: &str) -> Option<&str> {
        match field {
            "metadata.name" => Some(&self.name),
            "metadata.namespace" => Some(&self.namespace),
            other => self
                .fields
                .iter()
                .find(|(name, _)| *name == other)
                .map(|(_, value)| &**value),
        }
    }
}

pub(crate) fn undecodable(entry: &Entry) -> Error {
    Error::internal(format_args!(
        "unable to decode the stored object at {}",
        entry.key
    ))
}
