//! The generic resource store: one implementation of create, get, list, watch, update, patch and
//! delete for every kind, over the revision log of `k3s-store`.
//!
//! A kind takes part with data (`k3s_api::Kind`) and behaviour (`k3s_kinds::Strategy`). What needs state
//! of its own takes part through [`Hooks`], resources that are defined at run time as [`Dynamic`] ones;
//! both are implemented in `k3s-resources`. The order of a write is upstream's: decode, default,
//! mutating admission, default again, prepare, reserve, validate, validating admission, store. An
//! update repeats all of it on the current object after a write conflict.
//!
//! [`mirror`] keeps decoded views of stored objects for those who are asked on every request.
//!
//! Invariants: no kind is named here, which `tests/tidy` checks; objects are stored as canonical JSON
//! without `metadata.resourceVersion`, which is
//! spliced in when they are served; nothing here knows HTTP; a stored object that
//! cannot be decoded is an error where it is asked for, is left out of lists and watches with a line in
//! the log, and can be deleted.
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
mod create;
pub mod delete;
mod dynamic;
mod encoding;
mod error;
mod keys;
pub mod list;
pub mod mirror;
mod object;
mod registry;
mod resource;
mod system_meta;
mod update;
mod view;
pub mod watch;

pub use admission::{Admission, Attributes, Held, NoAdmission, Operation, Share};
pub use call::{Call, Warnings};
pub use create::check_namespace;
pub use create::receive;
pub use delete::{DeleteOptions, Deleted, Preconditions, Propagation};
pub use dynamic::{Dynamic, DynamicSet};
pub use encoding::{RawObject, encode};
pub use error::{Error, Result};
pub use list::{ContinueToken, ListRequest, ListResult, Selectors, VersionMatch};
pub use object::Object;
pub use registry::Registry;
pub use resource::{Hooks, Reservation, Resource, Resources};
pub use update::{Scope, Update, Updated};
pub use view::View;
pub use watch::{Change, WatchItem, WatchRequest, WatchStream};
