//! The port to whoever assigns Services to nodes: a component in its adapter, a fake in tests.

use std::error::Error;

use async_trait::async_trait;

use crate::inputs::Changes;
use crate::model::Assignment;

/// The balancer gave no answer. It keeps the changes: repeat the call without any.
#[derive(Debug, thiserror::Error)]
#[error("the load balancer gave no answer")]
pub struct BalancerError(#[source] pub Box<dyn Error + Send + Sync>);

/// Assigns Services to nodes.
#[async_trait]
pub trait Balancer: Send + Sync + 'static {
    /// Passes on what changed, and answers with the assignments that are new or different.
    ///
    /// # Errors
    /// When there is no answer.
    async fn update(&self, changes: Changes) -> Result<Vec<Assignment>, BalancerError>;

    /// Waits until another plugin took over; [`Balancer::update`] then answers with its assignments.
    async fn replaced(&self);
}
