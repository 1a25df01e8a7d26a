//! What every component needs and none should define itself: time that tests can drive,
//! seeded randomness, backoff with a cap, secrets that cannot be printed by accident, and errors
//! printed with their causes.
//!
//! Nothing here does I/O, and nothing here knows Kubernetes.

pub mod backoff;
pub mod backoffs;
pub mod clock;
pub mod error;
pub mod random;
pub mod secret;
pub mod shrink;

pub use backoff::{Backoff, BackoffPolicy};
pub use backoffs::Backoffs;
pub use clock::Clock;
pub use random::Random;
pub use secret::Secret;
pub use shrink::Shrink;
