//! The contract between the generic handler chain and a kind.
//!
//! Upstream spreads this over `RESTCreateStrategy`, `RESTUpdateStrategy`, `Defaulter`,
//! `TableConvertor` and field label conversion; here it is one trait whose provided methods are
//! what most kinds do, so that a kind writes down only what sets it apart.

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::custom::ScalePaths;
use crate::equality::semantic_eq;
use crate::{generic, object_meta};

/// Which change of an object counts as a new `metadata.generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The kind leaves the generation alone.
    None,
    /// 1 on create, one more on each change of `spec`.
    Spec,
    /// 1 on create, one more on each change below any of these dotted paths.
    Content(&'static [&'static str]),
    /// 1 on create, one more on each change of anything but metadata; of `status` only where it is said.
    Body {
        /// Whether `status` counts.
        status: bool,
    },
}

impl Generation {
    /// The generation a new object starts with; `None` when the kind does not use it.
    #[must_use]
    pub fn initial(self) -> Option<i64> {
        (self != Self::None).then_some(1)
    }

    /// Whether the step from `old` to `new` raises the generation.
    #[must_use]
    pub fn changed(self, new: &Value, old: &Value) -> bool {
        let paths = match self {
            Self::None => return false,
            Self::Spec => &["spec"][..],
            Self::Content(paths) => paths,
            Self::Body { status } => return body_changed(new, old, status),
        };
        paths
            .iter()
            .any(|path| !semantic_eq(tree::get(new, path), tree::get(old, path)))
    }
}

fn body_changed(new: &Value, old: &Value, status: bool) -> bool {
    let counts = |key: &str| match key {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => status,
        _ => true,
    };
    let fields = [new, old].into_iter().filter_map(Value::as_object);
    fields
        .flat_map(|fields| fields.keys())
        .any(|key| counts(key) && new.get(key) != old.get(key))
}

/// How an object of a kind may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Lower case DNS subdomain, up to 253 characters: the usual rule.
    Subdomain,
    /// DNS label of RFC 1123, up to 63 characters (namespaces).
    Label,
    /// DNS label of RFC 1035, up to 63 characters, starts with a letter (services before relaxation).
    Rfc1035Label,
    /// Any path segment: not `.`, `..`, without `/` and `%` (RBAC).
    PathSegment,
    /// The canonical text of an IP address (`IPAddress`).
    IpAddress,
}

/// Behaviour of one kind. All methods work on the served form of the object.
pub trait KindRules: Send + Sync {
    /// Upstream's `SetDefaults_*`. Runs on every decode, so it must be idempotent.
    fn default(&self, _object: &mut Value) {}

    /// Removes fields that the kind does not have and names each as `unknown field "spec.foo"`. Built-in
    /// kinds are decoded by their tables instead and have nothing left to remove.
    fn prune(&self, _object: &mut Value) -> Vec<String> {
        Vec::new()
    }

    /// Whether `status` belongs to the `/status` subresource alone.
    fn has_status(&self) -> bool {
        false
    }

    /// Dotted paths below `metadata` that a status update keeps as stored (`labels` for most workloads).
    fn status_keeps(&self) -> &'static [&'static str] {
        &[]
    }

    /// The rule for `metadata.name`.
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Whether PUT on a missing object creates it (`AllowCreateOnUpdate`).
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without `resourceVersion` is accepted (`AllowUnconditionalUpdate`).
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// `PrepareForCreate`: drops what a client may not set and fills in initial fields.
    fn prepare_create(&self, object: &mut Value) {
        if self.has_status() {
            tree::remove(object, "status");
            self.default(object);
        }
    }

    /// `PrepareForUpdate`: puts back what an update of the main resource may not change.
    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.has_status() {
            tree::copy(new, old, "status");
        }
    }

    /// `PrepareForUpdate` of the status strategy: everything but `status` and open metadata stays.
    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        generic::keep_all_but_status(new, old, self.status_keeps());
    }

    /// Errors of the object itself, without its metadata (see [`validate_create`]).
    fn validate(&self, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    /// Errors of the step from `old` to `new`; by default the rules for a new object.
    fn validate_update(&self, new: &Value, _old: &Value) -> ErrorList {
        self.validate(new)
    }

    /// Errors of a status update.
    fn validate_status_update(&self, _new: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    /// What raises `metadata.generation`.
    fn generation(&self) -> Generation {
        Generation::None
    }

    /// Selectable fields beyond `metadata.name` and `metadata.namespace`; every supported name is
    /// present, with an empty text where the object has no value.
    fn fields(&self, _object: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Columns of the table form. The first is the name in all kinds but events.
    fn columns(&self) -> &'static [Column] {
        generic::COLUMNS
    }

    /// The columns as `metav1.TableColumnDefinition`.
    fn column_definitions(&self) -> Value {
        self.columns().iter().map(Column::definition).collect()
    }

    /// Where the `scale` subresource finds its numbers; `None` where workloads have them.
    fn scale(&self) -> Option<&ScalePaths> {
        None
    }

    /// One cell per column, in order.
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        generic::cells(object, now)
    }

    /// `conditions` of the table row, by which clients tell finished objects apart.
    fn row_conditions(&self, _object: &Value) -> Vec<Value> {
        Vec::new()
    }

    /// Texts for `Warning:` headers on create and update.
    fn warnings(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }
}

/// All errors of a new object: its metadata by the kind's naming rule, then the kind's own.
#[must_use]
pub fn validate_create(rules: &dyn KindRules, object: &Value, namespaced: bool) -> ErrorList {
    let mut errors = object_meta::validate_object_meta(object, namespaced, rules.name_rule());
    errors.extend(rules.validate(object));
    errors
}

/// All errors of an update of the main resource.
#[must_use]
pub fn validate_update(
    rules: &dyn KindRules,
    new: &Value,
    old: &Value,
    namespaced: bool,
) -> ErrorList {
    let mut errors = object_meta::validate_object_meta(new, namespaced, NameRule::PathSegment);
    errors.extend(object_meta::validate_object_meta_update(new, old));
    errors.extend(rules.validate_update(new, old));
    errors
}

/// All errors of an update of the `status` subresource.
#[must_use]
pub fn validate_status_update(
    rules: &dyn KindRules,
    new: &Value,
    old: &Value,
    namespaced: bool,
) -> ErrorList {
    let mut errors = object_meta::validate_object_meta(new, namespaced, NameRule::PathSegment);
    errors.extend(object_meta::validate_object_meta_update(new, old));
    errors.extend(rules.validate_status_update(new, old));
    errors
}

/// The two column methods of a kind that keeps its table in a module `columns`.
macro_rules! columns {
    () => {
        fn columns(&self) -> &'static [crate::Column] {
            columns::COLUMNS
        }

        fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
            columns::cells(object, now)
        }
    };
}
pub(crate) use columns;

/// A kind without rules of its own: the provided methods alone.
pub(crate) struct Plain;

impl KindRules for Plain {}
