//! The names that each definition holds and the resources made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k3s_api::define::TooMany;
use k3s_meta::{ErrorList, FieldError, object, tree};
use k3s_registry::Resource;
use k3s_resources::apiextensions::{self, CustomResource};
use serde_json::Value;

use super::names::{Taken, is_true};

/// Definitions by name.
#[derive(Default)]
pub(super) struct Known {
    definitions: BTreeMap<String, Definition>,
    /// UIDs of definitions whose objects are being deleted.
    cleaning: BTreeSet<String>,
}

/// UID and generation.
type Generation = (String, i64);

#[derive(Default)]
struct Definition {
    group: String,
    names: Value,
    /// The generation that the resources were made from.
    served: Generation,
    /// The generation whose schemas were checked, and what they are refused for.
    checked: (Generation, ErrorList),
    resources: Vec<Arc<Resource>>,
}

impl Known {
    /// Enters the names that a definition holds already.
    pub(super) fn claim(&mut self, definition: &Value) {
        let names = tree::get(definition, "status.acceptedNames")
            .cloned()
            .unwrap_or_default();
        let group = tree::text(definition, "spec.group").to_owned();
        self.definitions.insert(
            object::name(definition).to_owned(),
            Definition {
                group,
                names,
                ..Definition::default()
            },
        );
    }

    /// Names that others in the definition's group hold, built-in kinds among them.
    pub(super) fn taken(&self, definition: &Value) -> Taken {
        let (name, group) = (
            object::name(definition),
            tree::text(definition, "spec.group"),
        );
        let mut taken = Taken::default();
        for kind in k3s_api::kinds().iter().filter(|kind| kind.group == group) {
            taken
                .resources
                .extend([kind.plural, kind.singular].map(str::to_owned));
            taken
                .kinds
                .extend([kind.kind, kind.list_kind].map(str::to_owned));
        }
        for (_, one) in self
            .definitions
            .iter()
            .filter(|(other, one)| *other != name && one.group == group)
        {
            let text = |key: &str| tree::text(&one.names, key).to_owned();
            let short = tree::list(&one.names, "shortNames")
                .iter()
                .filter_map(Value::as_str);
            taken.resources.extend(short.map(str::to_owned));
            taken.resources.extend([text("plural"), text("singular")]);
            taken.kinds.extend([text("kind"), text("listKind")]);
        }
        taken.resources.remove("");
        taken.kinds.remove("");
        taken
    }

    /// Whether the schemas of this very generation were checked before.
    pub(super) fn has_checked(&self, definition: &Value) -> bool {
        self.definitions
            .get(object::name(definition))
            .is_some_and(|one| one.checked.0 == generation(definition))
    }

    /// Enters what its schemas are refused for.
    pub(super) fn check(&mut self, definition: &Value, errors: ErrorList) {
        let one = self
            .definitions
            .entry(object::name(definition).to_owned())
            .or_default();
        one.checked = (generation(definition), errors);
    }

    /// What the schemas of a definition are refused for, as far as they were checked.
    pub(super) fn schema_errors(&self, definition: &Value) -> &[FieldError] {
        self.definitions
            .get(object::name(definition))
            .map_or(&[], |one| one.checked.1.as_slice())
    }

    /// Enters a definition and the status it should have. True when what is served has changed.
    pub(super) fn put(
        &mut self,
        definition: &Value,
        status: &Value,
        revision: u64,
    ) -> Result<bool, TooMany> {
        let names = tree::get(status, "acceptedNames")
            .cloned()
            .unwrap_or_default();
        let serve = is_true(status, "Established");
        let one = self
            .definitions
            .entry(object::name(definition).to_owned())
            .or_default();
        tree::text(definition, "spec.group").clone_into(&mut one.group);
        if object::deletion_timestamp(definition).is_some() {
            one.resources
                .iter()
                .filter_map(|resource| CustomResource::of(resource))
                .for_each(|custom| custom.terminate());
            if !one.resources.is_empty() && one.served.0 == object::uid(definition) {
                // Watches continue until the last object is deleted.
                return Ok(false);
            }
        }
        let same = one.served == generation(definition) && one.names == names;
        if same && (serve || one.resources.is_empty()) {
            return Ok(false);
        }
        one.served = generation(definition);
        let before = std::mem::take(&mut one.resources);
        one.names = names;
        if serve {
            let versions = tree::list(definition, "spec.versions").iter();
            let served = versions.filter(|version| tree::flag(version, "served"));
            let made = served
                .map(|version| apiextensions::resource(definition, &one.names, version, revision));
            one.resources = made.collect::<Result<_, _>>()?;
        }
        Ok(!before.is_empty() || !one.resources.is_empty())
    }

    /// Forgets a definition and returns its group.
    pub(super) fn remove(&mut self, name: &str) -> Option<String> {
        let one = self.definitions.remove(name)?;
        self.cleaning.remove(&one.served.0);
        Some(one.group)
    }

    /// Forgets all definitions but these.
    pub(super) fn retain(&mut self, names: &[String]) {
        self.definitions.retain(|name, _| names.contains(name));
    }

    /// The definitions of a group.
    pub(super) fn of_group(&self, group: &str) -> Vec<String> {
        self.definitions
            .iter()
            .filter(|(_, one)| one.group == group)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// True the first time for a definition that is being deleted.
    pub(super) fn begin_cleanup(&mut self, definition: &Value) -> bool {
        self.cleaning.insert(object::uid(definition).to_owned())
    }

    /// All resources.
    pub(super) fn resources(&self) -> Vec<Arc<Resource>> {
        let definitions = self.definitions.values();
        definitions
            .flat_map(|one| one.resources.iter().cloned())
            .collect()
    }
}

fn generation(definition: &Value) -> (String, i64) {
    (
        object::uid(definition).to_owned(),
        object::generation(definition),
    )
}
