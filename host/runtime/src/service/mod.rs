//! The two CRI services: translation between the protocol and [`crate::pod`] and [`crate::image`].

mod events;
pub(crate) mod exec_sync;
mod image;
mod runtime;

use std::sync::Arc;

use crate::image::pull::Puller;
use crate::pod::manager::Manager;
use crate::streaming::Sessions;

/// Serves both services; clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) manager: Arc<Manager>,
    pub(crate) puller: Arc<Puller>,
    pub(crate) sessions: Arc<Sessions>,
}

/// Runs a call that blocks on a thread for such calls.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> crate::error::Result<T> + Send + 'static,
) -> Result<T, tonic::Status> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(tonic::Status::from),
        Err(error) => Err(tonic::Status::internal(format!(
            "the call panicked: {error}"
        ))),
    }
}
