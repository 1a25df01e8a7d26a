//! Resources that CustomResourceDefinitions define.
//!
//! The registry knows them as [`Dynamic`] resources; what only custom resources have travels attached
//! to the resource ([`CustomResource`]) and to the set ([`CustomSet`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_api::Kind;
use k3s_api::define::{Definition, TooMany, define};
use k3s_api::discovery::Row;
use k3s_api::openapi::{self, CustomKind};
use k3s_kinds::{CustomRules, Strategy};
use k3s_meta::gvk::api_version;
use k3s_meta::{object, tree};
use k3s_registry::{Dynamic, DynamicSet, Resource, Resources};
use serde_json::Value;

/// Extra state of a resource backed by a CustomResourceDefinition.
pub struct CustomResource {
    /// The name of its definition: `crontabs.stable.example.com`.
    pub definition: String,
    /// The warning for users of this version, if it is deprecated.
    pub deprecation: Option<String>,
    openapi: CustomKind,
    terminating: AtomicBool,
}

impl CustomResource {
    /// The extra state of a resource; `None` for built-in ones.
    #[must_use]
    pub fn of(resource: &Resource) -> Option<&Self> {
        resource.dynamic.as_ref()?.attached()
    }

    /// Whether the definition is being deleted, so that no object may be created.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::Relaxed)
    }

    /// From now on no object may be created.
    pub fn terminate(&self) {
        self.terminating.store(true, Ordering::Relaxed);
    }
}

/// One version of a definition as a resource. `names` are the accepted names of its status, `revision`
/// is the state of the store when the resource is put in use.
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
    let api_version = api_version(group, version_name);
    let custom = CustomResource {
        definition: object::name(definition).to_owned(),
        openapi: CustomKind::new(kind, schema),
        deprecation: deprecation(version, &api_version, kind.kind),
        terminating: AtomicBool::new(object::deletion_timestamp(definition).is_some()),
    };
    let storage_version = storage_version(definition, group);
    let dynamic = Dynamic::new(storage_version, revision, custom);
    let strategy = Strategy::Custom(Arc::new(CustomRules::read(version)?));
    Ok(Arc::new(Resource::defined(kind, strategy, dynamic)))
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

/// What discovery and OpenAPI show of all custom resources that are served.
#[derive(Default)]
pub struct CustomSet {
    kinds: Vec<&'static Kind>,
    openapi: Vec<CustomKind>,
    digest: String,
}

impl CustomSet {
    /// Serves these resources, made by [`resource`], in place of those before.
    pub fn install(resources: &Resources, mut served: Vec<Arc<Resource>>) {
        // In a fixed order, so that the digest depends on the definitions alone.
        served.sort_by_key(|it| (it.kind.group, it.kind.version, it.kind.plural));
        let set = Self::read(&served);
        resources.install(DynamicSet::new(served, Arc::new(set)));
    }

    /// The set that is served now.
    #[must_use]
    pub fn of(resources: &Resources) -> Arc<Self> {
        resources.dynamic().attached().unwrap_or_default()
    }

    fn read(served: &[Arc<Resource>]) -> Self {
        let custom = served.iter().filter_map(|it| CustomResource::of(it));
        let openapi: Vec<CustomKind> = custom.map(|custom| custom.openapi.clone()).collect();
        Self {
            kinds: served.iter().map(|it| it.kind).collect(),
            digest: openapi::digest(openapi.iter()),
            openapi,
        }
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
        self.kinds.iter().copied().map(Row::from)
    }
}
