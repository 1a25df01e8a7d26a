//! What each built-in kind does beyond its schema.
//!
//! The generated tables of `k3s-api` say which fields a kind has; this crate says how the kind
//! behaves: defaults, strategy (what a client may set on create, update and status update),
//! validation, selectable fields and the columns `kubectl get` prints. One folder per group, one
//! folder per kind, each with the same files: `mod.rs` (its [`Rules`]: what sets it apart),
//! `defaults.rs`, `strategy.rs`, `validation.rs`, `convert.rs`, `delete.rs` and `columns.rs` as far as
//! the kind has them. Rules for pod specs and pod templates, which nine kinds share, live once in
//! `core/podspec`. What the server does for every kind around these rules is in [`Strategy`].
//!
//! Invariants:
//! - Everything works on the dynamic tree, so a field this code has never heard of survives.
//! - Defaults are idempotent: they run on every decode and again after mutating admission.
//! - Messages are those of upstream's `pkg/apis/*/validation`, since clients match on them.
//! - Nothing here does I/O, reads a clock or keeps state; rules are `'static` values.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod address_warnings;
mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
mod checks;
mod column;
mod conditions;
mod context;
mod convert;
mod coordination;
mod core;
mod custom;
mod delete;
mod discovery;
mod equality;
mod events;
mod flowcontrol;
mod generation;
mod generic;
mod k3s;
mod lookup;
mod networking;
mod node;
mod object_meta;
mod policy;
mod print;
mod quantity;
mod rbac;
mod resource;
mod rules;
mod scheduling;
mod selectable;
mod storage;
mod strategy;
mod subresource;
mod webhook_client;

pub use apiextensions::{definition_schema_errors, is_protected_group};
pub use autoscaling::scale::validate as validate_scale;
pub use batch::cronjob::schedule;
pub use column::Column;
pub use context::Context;
pub use convert::Conversion;
pub use core::binding::validation::validate as validate_binding;
pub use core::pod::binding::{BindError, bind_pod};
pub use core::podspec::amounts;
pub use core::resourcequota::usage as quota;
pub use core::service::cluster_validation::validate_cluster_fields;
pub use custom::{CustomRules, ScalePaths};
pub use delete::{DeletePolicy, GarbageCollection};
pub use generation::Generation;
pub use object_meta::NameRule;
pub use rules::Rules;
pub use selectable::SelectableField;
pub use strategy::Strategy;
pub use subresource::Subresource;
