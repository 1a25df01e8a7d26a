//! The behaviour of a resource: what the server does for every kind, around what its rules say.

use std::sync::Arc;

use jiff::Timestamp;
use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::address_warnings;
use crate::column::Column;
use crate::context::Context;
use crate::custom::{CustomRules, ScalePaths};
use crate::generic;
use crate::lookup;
use crate::object_meta;
use crate::rules::Rules;
use crate::subresource::Subresource;

/// The behaviour of one resource. Cheap to clone: every stored object carries one.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// Of a kind that is compiled in.
    BuiltIn(&'static Rules),
    /// Of a kind that is defined at run time.
    Custom(Arc<CustomRules>),
}

impl Strategy {
    /// The behaviour of a kind that is compiled in.
    #[must_use]
    pub fn built_in(group: &str, kind: &str) -> Self {
        Self::BuiltIn(lookup::rules(group, kind))
    }

    /// The rules as data. Functions among them do nothing for a kind that is defined at run time;
    /// its behaviour is behind the methods of this type alone.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        match self {
            Self::BuiltIn(rules) => rules,
            Self::Custom(custom) => custom.rules(),
        }
    }

    /// Fills in defaults; idempotent.
    pub fn default(&self, object: &mut Value) {
        match self {
            Self::BuiltIn(rules) => (rules.defaults)(object),
            Self::Custom(custom) => custom.default(object),
        }
    }

    /// Removes fields that the kind does not have and names each as `unknown field "spec.foo"`.
    /// Built-in kinds are decoded by their tables instead and have nothing left to remove.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        match self {
            Self::BuiltIn(_) => Vec::new(),
            Self::Custom(custom) => custom.prune(object),
        }
    }

    /// Prepares a new object for validation.
    pub fn prepare_create(&self, object: &mut Value, context: &Context<'_>) {
        let rules = self.rules();
        if rules.status && !rules.status_on_create {
            tree::remove(object, "status");
            // Built-in kinds show the zero values of their status from the start.
            (rules.defaults)(object);
        }
        (rules.prepare_create)(object, context);
    }

    /// Prepares an update of the main resource for validation.
    pub fn prepare_update(&self, new: &mut Value, old: &Value, context: &Context<'_>) {
        let rules = self.rules();
        if rules.status {
            tree::copy(new, old, "status");
        }
        (rules.prepare_update)(new, old, context);
    }

    /// Prepares an update of `/status` for validation.
    pub fn prepare_status_update(&self, new: &mut Value, old: &Value, context: &Context<'_>) {
        let rules = self.rules();
        match self {
            Self::BuiltIn(_) => generic::keep_all_but_status(new, old, rules.status_keeps),
            Self::Custom(_) => generic::keep_all_of_old_but_status(new, old),
        }
        (rules.prepare_status_update)(new, old, context);
    }

    /// All errors of a new object: its metadata by the kind's naming rule, then the kind's own.
    #[must_use]
    pub fn validate_create(&self, object: &Value, namespaced: bool) -> ErrorList {
        let name = self.rules().name;
        let mut errors = object_meta::validate_object_meta(object, namespaced, name);
        errors.append(self.validate_finalizers(object));
        errors.append(match self {
            Self::BuiltIn(rules) => (rules.validate)(object),
            Self::Custom(custom) => custom.validate(object, None),
        });
        errors
    }

    fn validate_finalizers(&self, object: &Value) -> ErrorList {
        match self {
            Self::BuiltIn(rules) if !rules.any_finalizer => object_meta::validate_domains(object),
            _ => ErrorList::new(),
        }
    }

    /// All errors of an update of the main resource.
    #[must_use]
    pub fn validate_update(&self, new: &Value, old: &Value, namespaced: bool) -> ErrorList {
        let mut errors = object_meta::validate_meta_update(new, old, namespaced);
        if self.rules().name_on_update {
            errors.append(object_meta::validate_name(new, self.rules().name));
        }
        errors.append(self.validate_finalizers(new));
        errors.append(match self {
            Self::BuiltIn(rules) => match rules.validate_update {
                Some(validate_update) => validate_update(new, old),
                None => (rules.validate)(new),
            },
            Self::Custom(custom) => custom.validate(new, Some(old)),
        });
        errors
    }

    /// All errors of an update of `/status`.
    #[must_use]
    pub fn validate_status_update(&self, new: &Value, old: &Value, namespaced: bool) -> ErrorList {
        let mut errors = object_meta::validate_meta_update(new, old, namespaced);
        errors.append(match self {
            Self::BuiltIn(rules) => (rules.validate_status_update)(new, old),
            Self::Custom(custom) => custom.validate(new, Some(old)),
        });
        errors
    }

    /// All errors of an update of another subresource.
    #[must_use]
    pub fn validate_subresource(
        &self,
        subresource: &Subresource,
        new: &Value,
        old: &Value,
        namespaced: bool,
    ) -> ErrorList {
        match subresource.validate {
            Some(validate) => validate(new, old),
            None => self.validate_update(new, old, namespaced),
        }
    }

    /// Texts for `Warning:` headers on create, and on update of an `old` object.
    #[must_use]
    pub fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let rules = self.rules();
        let mut warnings = match (old, rules.update_warnings) {
            (Some(old), Some(of_update)) => of_update(object, old),
            _ => (rules.warnings)(object),
        };
        let addresses = address_warnings::of(object, &Path::root(), rules.addresses);
        warnings.extend(addresses);
        warnings
    }

    /// Selectable fields beyond `metadata.name` and `metadata.namespace` and their values, an empty
    /// text where the object has none.
    #[must_use]
    pub fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        match self {
            Self::BuiltIn(rules) => {
                let fields = rules.fields.iter();
                fields
                    .map(|field| (field.name, field.value(object)))
                    .collect()
            }
            Self::Custom(custom) => custom.fields(object),
        }
    }

    /// The columns of the table form as a list of `metav1.TableColumnDefinition`.
    #[must_use]
    pub fn column_definitions(&self) -> Value {
        match self {
            Self::BuiltIn(rules) => rules.columns.iter().map(Column::definition).collect(),
            Self::Custom(custom) => custom.column_definitions(),
        }
    }

    /// One cell per column, in order.
    #[must_use]
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match self {
            Self::BuiltIn(rules) => (rules.cells)(object, now),
            Self::Custom(custom) => custom.cells(object, now),
        }
    }

    /// Where the `scale` subresource finds its numbers; `None` where workloads have them.
    #[must_use]
    pub fn scale(&self) -> Option<&ScalePaths> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Custom(custom) => custom.scale(),
        }
    }
}
