//! The driver of every controller: informers in, a deduplicating queue, workers, and a status for
//! health and metrics.
//!
//! A controller declares which resources it watches and which of its keys each change concerns
//! ([`Controller::watch`]); the driver calls its [`Reconciler`] with one key at a time per key,
//! retries failures with back-off, contains panics, and counts. A key names what to reconcile, never
//! what happened: a reconciler compares desired and observed state afresh each time.
//!
//! Tasks owned: one per watched source, one per worker.

mod driver;
mod error;
mod status;

pub use driver::{Controller, Key, Outcome, Reconciler};
pub use error::Error;
pub use status::{ControllerStatus, Statuses};
