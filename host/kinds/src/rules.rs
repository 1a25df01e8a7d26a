//! What a kind may say about itself.
//!
//! Upstream spreads this over `RESTCreateStrategy`, `RESTUpdateStrategy`, `RESTDeleteStrategy`,
//! `Defaulter`, `TableConvertor`, field label conversion and fields of `genericregistry.Store`. Here it
//! is one struct of data and function pointers, so that a kind writes down only what sets it apart
//! from [`Rules::PLAIN`].

use std::time::Duration;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::address_warnings::AddressField;
use crate::column::Column;
use crate::context::Context;
use crate::convert::Conversion;
use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::generic;
use crate::object_meta::NameRule;
use crate::selectable::SelectableField;
use crate::subresource::Subresource;

/// Behaviour of one kind. All functions work on the served form of the object. What the server does
/// for every kind around them is in [`crate::Strategy`].
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Upstream's `SetDefaults_*`. Runs on every decode, so it must be idempotent.
    pub defaults: fn(&mut Value),
    /// The rule for `metadata.name`.
    pub name: NameRule,
    /// Whether that rule holds for updates as well: where upstream's validation of an update is that of a
    /// new object and more. Elsewhere the name of an update is any path segment.
    pub name_on_update: bool,
    /// Whether `status` belongs to the `/status` subresource alone.
    pub status: bool,
    /// Whether finalizers may have any qualified name. Of most kinds they have a domain, unless they are
    /// the system's own.
    pub any_finalizer: bool,
    /// Whether a new object keeps the status that the client gave it.
    pub status_on_create: bool,
    /// Names below `metadata` that a status update leaves as stored (`labels` for
    /// Deployments).
    pub status_keeps: &'static [&'static str],
    /// Whether PUT on a missing object creates it (`AllowCreateOnUpdate`).
    pub create_on_update: bool,
    /// Whether an update without `resourceVersion` is accepted (`AllowUnconditionalUpdate`).
    pub unconditional_update: bool,
    /// What raises `metadata.generation`.
    pub generation: Generation,
    /// Selectable fields beyond `metadata.name` and `metadata.namespace`.
    pub fields: &'static [SelectableField],
    /// What upstream says of a field that is not among them.
    pub unknown_field: fn(&str) -> String,
    /// `PrepareForCreate`: sets initial fields and drops what a client may not set. A status has been
    /// removed and defaulted before.
    pub prepare_create: fn(&mut Value, &Context<'_>),
    /// `PrepareForUpdate` (new, old): puts back what an update of the main resource may not change. A
    /// status has been put back before.
    pub prepare_update: fn(&mut Value, &Value, &Context<'_>),
    /// `PrepareForUpdate` of the status strategy (new, old). Everything but status and open metadata
    /// has been put back before.
    pub prepare_status_update: fn(&mut Value, &Value, &Context<'_>),
    /// Errors of a new object, without its metadata.
    pub validate: fn(&Value) -> ErrorList,
    /// Errors of the step from old to new (new, old); `None` for the rules of a new object.
    pub validate_update: Option<fn(&Value, &Value) -> ErrorList>,
    /// Errors of a status update (new, old).
    pub validate_status_update: fn(&Value, &Value) -> ErrorList,
    /// Texts for `Warning:` headers on create, and on update where that has none of its own.
    pub warnings: fn(&Value) -> Vec<String>,
    /// Texts for `Warning:` headers on update (new, old).
    pub(crate) update_warnings: Option<fn(&Value, &Value) -> Vec<String>>,
    /// Fields whose addresses are warned of in a form that only older rules allow.
    pub(crate) addresses: &'static [AddressField],
    /// Subresources that change a part of the object, besides `status`.
    pub subresources: &'static [Subresource],
    /// Served versions that differ from the stored one.
    pub conversions: &'static [Conversion],
    /// The path below `/registry/` where objects are stored, if it is not the plural name. Upstream:
    /// `pkg/kubeapiserver/default_storage_factory_builder.go`.
    pub storage_path: Option<&'static str>,
    /// How long an object is kept without being written again.
    pub ttl: Option<Duration>,
    /// What a deletion does.
    pub delete: DeletePolicy,
    /// Columns of the table form. The first is the name in all kinds but events.
    pub columns: &'static [Column],
    /// One cell per column, in order.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// `conditions` of the table row, by which clients recognize finished objects.
    pub row_conditions: fn(&Value) -> Vec<Value>,
}

impl Rules {
    /// A kind without behaviour of its own: metadata is validated, the table has name and age.
    pub const PLAIN: Self = Self {
        defaults: |_| {},
        name: NameRule::Subdomain,
        name_on_update: false,
        status: false,
        status_on_create: false,
        any_finalizer: false,
        status_keeps: &[],
        create_on_update: false,
        unconditional_update: true,
        generation: Generation::None,
        fields: &[],
        unknown_field: |field| format!("field label not supported: {field}"),
        prepare_create: |_, _| {},
        prepare_update: |_, _, _| {},
        prepare_status_update: |_, _, _| {},
        validate: |_| ErrorList::new(),
        validate_update: None,
        validate_status_update: |_, _| ErrorList::new(),
        warnings: |_| Vec::new(),
        update_warnings: None,
        addresses: &[],
        subresources: &[],
        conversions: &[],
        storage_path: None,
        ttl: None,
        delete: DeletePolicy::PLAIN,
        columns: generic::COLUMNS,
        cells: generic::cells,
        row_conditions: |_| Vec::new(),
    };

    /// The conversion of a served version; `None` where it is the stored one.
    #[must_use]
    pub fn conversion(&self, version: &str) -> Option<&'static Conversion> {
        self.conversions.iter().find(|it| it.version == version)
    }

    /// The subresource of this name that changes a part of the object.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|it| it.name == name)
    }
}
