//! What every backend must do, as tests: run against the in-memory fake here, against each
//! datastore plugin in the adapters, and by `k3s plugin check` on components of others.
//!
//! The cases panic with what is wrong; [`all`] names the case that runs.

mod faults;
mod gate;
mod leases;
mod linear;
mod lists;
mod log;
mod model;
#[cfg(test)]
mod mutants;
mod others;
mod restart;
mod rig;
mod watches;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;

pub use faults::{Fault, FaultyBackend};
pub use linear::Recorder;

use crate::backend::Backend;

/// Makes backends to test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A new, empty one.
    async fn create(&self) -> Arc<dyn Backend>;

    /// The same data after a restart of the process.
    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend>;
}

/// Runs every case, one after the other.
pub async fn all(fixture: &dyn Fixture) {
    log::all(fixture).await;
    writes::all(fixture).await;
    lists::all(fixture).await;
    watches::all(fixture).await;
    restart::all(fixture).await;
    leases::all(fixture).await;
    faults::all(fixture).await;
    others::all(fixture).await;
    model::all(fixture).await;
    linear::all(fixture).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBackend;

    struct Memory;

    #[async_trait]
    impl Fixture for Memory {
        async fn create(&self) -> Arc<dyn Backend> {
            Arc::new(MemoryBackend::new())
        }

        async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
            backend
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_memory_backend_keeps_the_contract() {
        all(&Memory).await;
    }
}
