//! What the host can do for this plugin, behind a trait for tests.

use crate::bindings::k3s::volumes::directories::{Error, Owner, Space};

/// The `directories` import, and randomness.
pub(crate) trait Host {
    fn make(&self, path: &str, mode: u32, owner: Option<Owner>) -> Result<bool, Error>;
    fn remove(&self, path: &str) -> Result<(), Error>;
    fn space(&self, path: &str) -> Result<Space, Error>;
    /// A number below `limit`, which is at least one.
    fn pick(&self, limit: usize) -> usize;
}
