//! The generic resource store: one implementation of create, get, list, watch, update, patch and
//! delete for every kind, over the revision log of `k3s-store`.
//!
//! A kind takes part with data (`k3s_api::Kind`) and rules (`k3s_kinds::KindRules`); what needs
//! state of its own (service addresses) hooks into the write path. The order of a write is
//! upstream's: decode, default, mutating admission, default again, prepare, validate, validating
//! admission, store; an update repeats all of it on the current object when somebody else was
//! faster.
//!
//! [`mirror`] keeps decoded views of stored objects for those who are asked on every request.
//!
//! Invariants: objects are stored as canonical JSON without `metadata.resourceVersion`, which is
//! spliced in when they are served; nothing here knows HTTP; an object that cannot be decoded is an
//! error and never silently left out.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod admission;
mod call;
mod convert;
mod create;
pub mod custom;
pub mod delete;
mod encoding;
mod error;
mod keys;
pub mod list;
mod meta;
pub mod mirror;
mod object;
mod registry;
mod resource;
pub mod service;
pub mod subresource;
mod update;
mod view;
pub mod watch;

pub use admission::{Admission, Attributes, NoAdmission, Operation};
pub use call::{Call, Warnings};
pub use custom::{Custom, CustomSet};
pub use delete::{DeleteOptions, Deleted, Preconditions, Propagation};
pub use encoding::{RawObject, encode};
pub use error::{Error, Result};
pub use list::{ListRequest, ListResult, Selectors, VersionMatch};
pub use object::Object;
pub use registry::{Prepared, Registry, RegistryConfig};
pub use resource::{Hooks, Reservation, Resource, Resources, Rules};
pub use update::{Scope, Update, Updated};
pub use view::View;
pub use watch::{Change, WatchItem, WatchRequest, WatchStream};
