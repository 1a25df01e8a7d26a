//! A resource as the registry serves it, and the table of all of them.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_api::Kind;
use k3s_kinds::KindRules;
use k3s_meta::{GroupKind, GroupResource};
use k3s_store::Entry;
use serde_json::Value;

use crate::convert::{self, Convert};
use crate::keys;
use crate::{Error, Result};

/// One served resource at one version.
pub struct Resource {
    /// Its row in the tables.
    pub kind: &'static Kind,
    /// Its behaviour.
    pub rules: &'static dyn KindRules,
    /// Where its objects live; ends in a slash.
    pub prefix: Arc<str>,
    /// How the served form differs from the stored one, where it does.
    pub(crate) convert: Option<&'static dyn Convert>,
    /// `apiVersion` as served.
    pub api_version: String,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
}

/// What a resource does around its writes beyond the generic path.
pub trait Hooks: Send + Sync {
    /// Called on a new object before it is prepared and validated. What is reserved is released
    /// again when the reservation is dropped without commit.
    ///
    /// # Errors
    /// When something the object asks for cannot be had.
    fn create(&self, object: &mut Value, dry_run: bool) -> Result<Box<dyn Reservation>>;

    /// The same for a changed object.
    ///
    /// # Errors
    /// When something the object asks for cannot be had.
    fn update(&self, new: &mut Value, old: &Value, dry_run: bool) -> Result<Box<dyn Reservation>>;

    /// The object has been removed.
    fn deleted(&self, old: &Value);
}

/// Something set aside for a write that may still fail.
pub trait Reservation: Send {
    /// The write happened.
    fn commit(self: Box<Self>);
}

/// Nothing is set aside.
impl Reservation for () {
    fn commit(self: Box<Self>) {}
}

impl Resource {
    fn new(kind: &'static Kind, hooks: Option<Arc<dyn Hooks>>) -> Self {
        Self {
            kind,
            rules: k3s_kinds::rules(kind.group, kind.kind),
            prefix: keys::prefix(kind.group, kind.plural).into(),
            convert: convert::of(kind.group, kind.version, kind.kind),
            api_version: k3s_meta::gvk::api_version(kind.group, kind.version),
            hooks,
        }
    }

    /// `pods`, `deployments.apps`.
    #[must_use]
    pub fn gr(&self) -> GroupResource {
        GroupResource::new(self.kind.group, self.kind.plural)
    }

    /// `Pod`, `Deployment.apps`.
    #[must_use]
    pub fn gk(&self) -> GroupKind {
        GroupKind::new(self.kind.group, self.kind.kind)
    }

    /// True for this group and plural.
    #[must_use]
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.kind.group == group && self.kind.plural == plural
    }

    /// The key of one object.
    #[must_use]
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.kind.namespaced {
            format!("{}{namespace}/{name}", self.prefix)
        } else {
            format!("{}{name}", self.prefix)
        }
    }

    /// The prefix of all objects, or of those in one namespace.
    #[must_use]
    pub fn range(&self, namespace: &str) -> String {
        if self.kind.namespaced && !namespace.is_empty() {
            format!("{}{namespace}/", self.prefix)
        } else {
            self.prefix.to_string()
        }
    }

    /// The stored object as a tree in served form, without its resource version.
    ///
    /// # Errors
    /// When the bytes cannot be decoded.
    pub fn decode(&self, entry: &Entry) -> Result<Value> {
        let mut value: Value = serde_json::from_slice(&entry.value)
            .map_err(|e| Error::internal(format_args!("unable to decode the stored object at {}: {e}", entry.key)))?;
        if let Some(convert) = self.convert {
            convert.to_served(&mut value);
        }
        // Objects stored by an older server get today's defaults, as upstream gives them on decode.
        self.rules.default(&mut value);
        Ok(value)
    }

    /// The tree in the form that is stored.
    pub(crate) fn stored_form(&self, value: &mut Value) {
        if let Some(convert) = self.convert {
            convert.to_stored(value);
        }
    }
}

/// All served resources.
pub struct Resources {
    by_name: HashMap<(&'static str, &'static str, &'static str), Arc<Resource>>,
    /// One version of each stored resource, by key prefix.
    by_prefix: HashMap<Arc<str>, Arc<Resource>>,
}

impl Resources {
    /// A table of the given kinds; `hooks` gives those of a group and plural.
    pub fn new(
        kinds: impl IntoIterator<Item = &'static Kind>,
        hooks: impl Fn(&str, &str) -> Option<Arc<dyn Hooks>>,
    ) -> Self {
        let mut table = Self { by_name: HashMap::new(), by_prefix: HashMap::new() };
        for kind in kinds {
            let resource = Arc::new(Resource::new(kind, hooks(kind.group, kind.plural)));
            if resource.convert.is_none() {
                table.by_prefix.entry(resource.prefix.clone()).or_insert_with(|| resource.clone());
            }
            table.by_name.insert((kind.group, kind.version, kind.plural), resource);
        }
        table
    }

    /// The resource served under this name.
    #[must_use]
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        // The keys are static only because the table is; a lookup may borrow for less.
        let kind = k3s_api::by_resource(group, version, plural)?;
        self.by_name.get(&(kind.group, kind.version, kind.plural))
    }

    /// Every resource.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    /// The resource whose objects live under `key`.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&Arc<Resource>> {
        keys::prefixes_of(key).find_map(|prefix| self.by_prefix.get(prefix))
    }
}
