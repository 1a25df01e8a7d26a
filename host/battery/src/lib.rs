//! One engine for every kind of plugin: what a battery is, whatever it decides.
//!
//! A [`Kind`] says what is special about a kind: its contract, capabilities, bindings, and how a fresh
//! instance gets to the desired state. A [`Battery`] does the rest, the same for all:
//!
//! - Calls go to one instance, one at a time, off the runtime's threads; callers beyond a bound
//!   get [`Error::Busy`].
//! - A trap costs the instance. The next call makes a fresh one, which is configured and brought to
//!   the desired state before anything else.
//! - [`Battery::swap`] loads another component beside the active one, tries it, and lets it take over
//!   between two calls; if it fails, the active one is restored. Until then the candidate is shown
//!   nowhere as the active plugin.
//!
//! [`Component`] is the part below turns and swaps, for kinds that run several instances at a time.
//! [`feed`] has what plugins that decide on objects share: interests, masks, differences, batches.
//!
//! Tasks: none; every call is awaited by its caller.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod battery;
mod component;
mod error;
pub mod feed;
mod kind;

pub use battery::{Battery, BatteryOptions, Replaceable};
pub use component::{Component, Environment, Stage};
pub use error::{Error, SwapError};
pub use kind::Kind;
