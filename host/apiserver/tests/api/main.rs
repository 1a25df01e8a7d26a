//! The API server's behaviour, in process, over the in-memory datastore.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

mod access;
mod admission;
mod api_services;
mod certificates;
mod custom;
mod discovery;
mod escalation;
mod harness;
mod hostile;
mod inflight;
mod lists;
mod objects;
mod patches;
mod pods;
mod services;
mod streams;
mod unreadable;
mod watches;
mod wording;
