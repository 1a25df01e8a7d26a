//! A resource as the registry serves it, and the table of all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use k3s_api::{Kind, fields};
use k3s_kinds::{Conversion, Strategy};
use k3s_meta::{GroupKind, GroupResource};
use k3s_store::Entry;
use serde_json::Value;

use crate::dynamic::{Dynamic, DynamicSet};
use crate::error::{Error, Result};
use crate::keys;
use crate::registry::Registry;
use crate::view::{View, undecodable};

/// One served resource at one version.
pub struct Resource {
    /// Its row in the tables.
    pub kind: &'static Kind,
    /// Its behaviour.
    pub strategy: Strategy,
    /// Where its objects live; ends in a slash.
    pub prefix: Arc<str>,
    /// How the served form differs from the stored one, where it does.
    pub(crate) conversion: Option<&'static Conversion>,
    /// `apiVersion` as served.
    pub api_version: String,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    /// How many stored objects were decoded; see [`Resource::decoded`].
    pub(crate) decoded: AtomicU64,
    /// How many entries were met that are no objects; see [`Resource::is_readable`].
    pub(crate) unreadable: AtomicU64,
    /// What it has beyond built-in resources if it is defined at run time.
    pub dynamic: Option<Dynamic>,
}

/// State of a resource's own that takes part in its writes: upstream's `BeginCreate`, `BeginUpdate` and
/// `AfterDelete`.
pub trait Hooks: Send + Sync {
    /// Reads the stored objects before the first request.
    ///
    /// # Errors
    /// When a stored object cannot be decoded.
    fn load(&self, resource: &Resource, registry: &Registry) -> Result<()>;

    /// Called on a new object after it is prepared and before it is validated. What is reserved is
    /// released when the reservation is dropped without commit.
    ///
    /// # Errors
    /// When something that the object asks for cannot be reserved.
    fn begin_create(&self, object: &mut Value, dry_run: bool) -> Result<Box<dyn Reservation>>;

    /// The same for a changed object.
    ///
    /// # Errors
    /// When something that the object asks for cannot be reserved.
    fn begin_update(
        &self,
        new: &mut Value,
        old: &Value,
        dry_run: bool,
    ) -> Result<Box<dyn Reservation>>;

    /// The object has been removed.
    fn after_delete(&self, old: &Value);
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
        let strategy = Strategy::built_in(kind.group, kind.kind);
        Self {
            kind,
            prefix: keys::prefix(strategy.rules().storage_path.unwrap_or(kind.plural)).into(),
            conversion: strategy.rules().conversion(kind.version),
            strategy,
            api_version: k3s_meta::gvk::api_version(kind.group, kind.version),
            hooks,
            decoded: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            dynamic: None,
        }
    }

    /// A resource that is defined at run time.
    #[must_use]
    pub fn defined(kind: &'static Kind, strategy: Strategy, dynamic: Dynamic) -> Self {
        Self {
            kind,
            strategy,
            prefix: keys::prefix_in_group(kind.group, kind.plural).into(),
            conversion: None,
            api_version: k3s_meta::gvk::api_version(kind.group, kind.version),
            hooks: None,
            decoded: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            dynamic: Some(dynamic),
        }
    }

    /// Group, version and plural.
    pub(crate) fn name(&self) -> (&'static str, &'static str, &'static str) {
        (self.kind.group, self.kind.version, self.kind.plural)
    }

    /// `pods`, `deployments.apps`.
    #[must_use]
    pub fn gr(&self) -> GroupResource {
        GroupResource::new(self.kind.group, self.kind.plural)
    }

    /// The same as errors of the storage name it: by the group of upstream's internal type.
    #[must_use]
    pub fn stored_gr(&self) -> GroupResource {
        GroupResource::new(self.kind.internal_group(), self.kind.plural)
    }

    /// `Pod`, `Deployment.apps`: the kind as errors name it.
    #[must_use]
    pub fn gk(&self) -> GroupKind {
        GroupKind::new(self.kind.internal_group(), self.kind.kind)
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
        self.decoded.fetch_add(1, Ordering::Relaxed);
        let mut value: Value = serde_json::from_slice(&entry.value).map_err(|e| {
            Error::internal(format_args!(
                "unable to decode the stored object at {}: {e}",
                entry.key
            ))
        })?;
        if !value.get("metadata").is_some_and(Value::is_object) {
            return Err(undecodable(entry));
        }
        if let Some(conversion) = self.conversion {
            (conversion.to_served)(&mut value);
            fields::settle(&mut value);
        }
        if self.dynamic.is_some() {
            set_api_version(&mut value, &self.api_version);
            // Drop fields that an older definition had and this one does not.
            self.strategy.prune(&mut value);
        }
        // Objects stored by an older server get today's defaults, as upstream gives them on decode.
        self.strategy.default(&mut value);
        Ok(value)
    }

    /// Whether the stored bytes can be decoded. Lists, watches and selectors leave out an object that
    /// cannot be: one of them must not hide all others. The first question about it writes a line to the
    /// log and counts it.
    #[must_use]
    pub fn is_readable(&self, entry: &Entry) -> bool {
        let report = || {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                key = %entry.key,
                "a stored object cannot be decoded: lists and watches leave it out until it is deleted"
            );
        };
        View::of(entry).is_ok_and(|view| view.is_readable(report))
    }

    /// How many stored objects were decoded since the start: the work that reads cost beyond
    /// passing bytes on.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Whether the stored bytes are what is served.
    pub(crate) fn serves_as_stored(&self, entry: &Entry) -> bool {
        self.conversion.is_none()
            && self.dynamic.as_ref().is_none_or(|dynamic| {
                dynamic.storage_version == self.api_version
                    && entry.mod_revision.0 > dynamic.fresh_from
            })
    }

    /// Gives zero values the form that a round trip through upstream's types leaves them in. Objects of kinds
    /// that are defined at run time have no zero values but those that they were sent with.
    pub(crate) fn settle(&self, value: &mut Value) {
        if self.dynamic.is_none() {
            fields::settle(value);
        }
    }

    /// The tree in the form that is stored.
    pub(crate) fn stored_form(&self, value: &mut Value) {
        if let Some(conversion) = self.conversion {
            (conversion.to_stored)(value);
            fields::settle(value);
        }
        if let Some(dynamic) = &self.dynamic {
            set_api_version(value, &dynamic.storage_version);
        }
    }
}

fn set_api_version(object: &mut Value, api_version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), api_version.into());
    }
}

/// All served resources.
pub struct Resources {
    by_name: HashMap<(&'static str, &'static str, &'static str), Arc<Resource>>,
    /// One version of each stored resource, by key prefix.
    by_prefix: HashMap<Arc<str>, Arc<Resource>>,
    dynamic: ArcSwap<DynamicSet>,
}

impl Resources {
    /// A table of the given kinds; `hooks` gives those of a group and plural.
    pub fn new(
        kinds: impl IntoIterator<Item = &'static Kind>,
        hooks: impl Fn(&str, &str) -> Option<Arc<dyn Hooks>>,
    ) -> Self {
        let mut table = Self {
            by_name: HashMap::new(),
            by_prefix: HashMap::new(),
            dynamic: ArcSwap::from_pointee(DynamicSet::default()),
        };
        for kind in kinds {
            let resource = Arc::new(Resource::new(kind, hooks(kind.group, kind.plural)));
            if resource.conversion.is_none() {
                table
                    .by_prefix
                    .entry(resource.prefix.clone())
                    .or_insert_with(|| resource.clone());
            }
            table
                .by_name
                .insert((kind.group, kind.version, kind.plural), resource);
        }
        table
    }

    /// The resource served under this name, whether it is compiled in or defined at run time.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let built_in = self.get(group, version, plural).cloned();
        built_in.or_else(|| self.dynamic.load().get(group, version, plural).cloned())
    }

    /// The resources defined at run time.
    #[must_use]
    pub fn dynamic(&self) -> Arc<DynamicSet> {
        self.dynamic.load_full()
    }

    /// Replaces the set of resources defined at run time. Watches of those that are no longer in it
    /// end.
    pub fn install(&self, set: DynamicSet) {
        let next = Arc::new(set);
        let before = self.dynamic.swap(next.clone());
        before.retire_for(&next);
    }

    /// The built-in resource served under this name.
    #[must_use]
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        // The keys are static only because the table is; a lookup may borrow for less.
        let kind = k3s_api::by_resource(group, version, plural)?;
        self.by_name.get(&(kind.group, kind.version, kind.plural))
    }

    /// Every built-in resource.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    /// How many stored objects that cannot be decoded were met since the start.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        let dynamic = self.dynamic.load();
        let all = self.iter().chain(dynamic.iter());
        all.map(|resource| resource.unreadable.load(Ordering::Relaxed))
            .sum()
    }

    /// The built-in resource whose objects live under `key`.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&Arc<Resource>> {
        keys::prefixes_of(key).find_map(|prefix| self.by_prefix.get(prefix))
    }
}
