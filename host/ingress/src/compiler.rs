//! The port to whoever decides on routes: a component in its adapter, a fake in tests.

pub mod rehearse;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use k3s_client::Object;

use crate::model::{Change, Interest, ObjectKey};

/// What changed in the cluster since the last call.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// New objects and new states, whole; the compiler sees the fields that it asked for.
    pub upserts: Vec<(ObjectKey, Object)>,
    /// Objects that were deleted.
    pub removals: Vec<ObjectKey>,
}

/// What follows.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The changes cover every object there is: what they do not name is gone.
    pub complete: bool,
    /// Per object.
    pub changes: Vec<Change>,
}

/// No decision was made. The batch was noted all the same and need not be passed again.
#[derive(Debug, thiserror::Error)]
#[error("the ingress plugin gave no answer")]
pub struct CompilerError {
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
    /// When to call again, with an empty batch if nothing else happened.
    pub retry_after: Duration,
}

/// Decides on routes.
#[async_trait]
pub trait Compiler: Send + Sync {
    /// The kinds to pass, asked once.
    async fn interests(&self) -> Result<Vec<Interest>, CompilerError>;

    /// Takes a batch and decides on all that is undecided.
    async fn compile(&self, batch: Batch) -> Result<Compiled, CompilerError>;

    /// Resolves when decisions changed without a batch: another component took over. Then `compile`
    /// is called with an empty one.
    async fn changed(&self);
}
