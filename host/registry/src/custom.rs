//! Resources that are defined at run time, and the set of them that is served.
//!
//! A set is made whole and then put in place of the one before, so a request sees one or the other.
//! Built-in resources are looked up first and never touch it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use k3s_api::define::{Definition, TooMany, define};
use k3s_api::discovery::Row;
use k3s_api::openapi::{self, CustomKind};
use k3s_kinds::CustomRules;
use k3s_meta::gvk::api_version;
use k3s_meta::{object, tree};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::resource::Rules;
use crate::{Resource, keys};

/// What a resource that is defined at run time has beyond the others.
pub struct Custom {
    /// The name of its definition: `crontabs.stable.example.com`.
    pub definition: String,
    /// Its schema, as clients are told of it.
    pub openapi: CustomKind,
    /// What users of this version are warned of, if it is deprecated.
    pub deprecation: Option<String>,
    /// The API version in which objects are stored.
    pub(crate) storage_version: String,
    /// Objects written after this revision have the form of this definition; older ones are brought
    /// into it when they are read.
    pub(crate) fresh_from: u64,
    terminating: AtomicBool,
    retired: CancellationToken,
}

impl Custom {
    /// Whether the definition is being deleted, so that no object may be created any more.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::Relaxed)
    }

    /// From now on no object may be created.
    pub fn terminate(&self) {
        self.terminating.store(true, Ordering::Relaxed);
    }

    /// Ends the watches: the definition changed or is gone.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }

    pub(crate) fn retired(&self) -> &CancellationToken {
        &self.retired
    }
}

/// One version of a definition as a resource. `names` are the accepted names of its status, `revision`
/// the state of the store when it is put in use.
///
/// # Errors
/// When the process has kept too many different definitions.
pub fn resource(
    definition: &Value,
    names: &Value,
    version: &Value,
    revision: u64,
) -> Result<Arc<Resource>, TooMany> {
    let group = tree::text(definition, "spec.group");
    let texts = |key: &str| -> Vec<String> {
        tree::list(names, key)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let name = |key: &str| tree::text(names, key).to_owned();
    let version_name = tree::text(version, "name");
    let kind = define(&Definition {
        group: group.to_owned(),
        version: version_name.to_owned(),
        plural: name("plural"),
        singular: name("singular"),
        kind: name("kind"),
        list_kind: name("listKind"),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        namespaced: tree::text(definition, "spec.scope") == "Namespaced",
        status: tree::get(version, "subresources.status").is_some(),
        scale: tree::get(version, "subresources.scale").is_some(),
    })?;
    let schema = tree::get(version, "schema.openAPIV3Schema").unwrap_or(&Value::Null);
    let served = api_version(group, version_name);
    let custom = Custom {
        definition: object::name(definition).to_owned(),
        openapi: CustomKind::new(kind, schema),
        deprecation: deprecation(version, &served, kind.kind),
        storage_version: storage_version(definition, group),
        fresh_from: revision,
        terminating: AtomicBool::new(object::deletion_timestamp(definition).is_some()),
        retired: CancellationToken::new(),
    };
    Ok(Arc::new(Resource {
        kind,
        rules: Rules::Custom(Arc::new(CustomRules::read(version)?)),
        prefix: keys::custom_prefix(group, kind.plural).into(),
        convert: None,
        api_version: served,
        hooks: None,
        decoded: AtomicU64::new(0),
        custom: Some(custom),
    }))
}

fn storage_version(definition: &Value, group: &str) -> String {
    let versions = tree::list(definition, "spec.versions");
    let storage = versions
        .iter()
        .find(|version| tree::flag(version, "storage"));
    api_version(
        group,
        storage.map_or("", |version| tree::text(version, "name")),
    )
}

fn deprecation(version: &Value, api_version: &str, kind: &str) -> Option<String> {
    if !tree::flag(version, "deprecated") {
        return None;
    }
    Some(match tree::text(version, "deprecationWarning") {
        "" => format!("{api_version} {kind} is deprecated"),
        text => text.to_owned(),
    })
}

/// The resources defined at run time that are served.
#[derive(Default)]
pub struct CustomSet {
    /// Sorted by group, version and plural.
    resources: Vec<Arc<Resource>>,
    openapi: Vec<CustomKind>,
    digest: String,
}

impl CustomSet {
    /// A set of resources that [`resource`] made.
    #[must_use]
    pub fn new(mut resources: Vec<Arc<Resource>>) -> Self {
        resources.sort_by_key(|resource| name(resource));
        let custom = resources
            .iter()
            .filter_map(|resource| resource.custom.as_ref());
        let openapi: Vec<CustomKind> = custom.map(|custom| custom.openapi.clone()).collect();
        let digest = openapi::digest(openapi.iter());
        Self {
            resources,
            openapi,
            digest,
        }
    }

    /// The resource served under this name.
    #[must_use]
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let at = self
            .resources
            .binary_search_by_key(&(group, version, plural), |resource| name(resource))
            .ok()?;
        self.resources.get(at)
    }

    /// All of them.
    #[must_use]
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// Their schemas.
    #[must_use]
    pub fn openapi(&self) -> &[CustomKind] {
        &self.openapi
    }

    /// Changes whenever something in the set does; that of the built-in documents when it is empty.
    #[must_use]
    pub fn digest(&self) -> &str {
        if self.digest.is_empty() {
            openapi::DIGEST
        } else {
            &self.digest
        }
    }

    /// Their rows in discovery.
    pub fn rows(&self) -> impl Iterator<Item = Row<'static>> {
        self.resources
            .iter()
            .map(|resource| Row::from(resource.kind))
    }

    /// Ends the watches of resources that `next` does not have.
    pub(crate) fn retire_for(&self, next: &Self) {
        for old in &self.resources {
            let kept = next.resources.iter().any(|new| Arc::ptr_eq(new, old));
            if let Some(custom) = old.custom.as_ref().filter(|_| !kept) {
                custom.retire();
            }
        }
    }
}

fn name(resource: &Resource) -> (&'static str, &'static str, &'static str) {
    (
        resource.kind.group,
        resource.kind.version,
        resource.kind.plural,
    )
}
