//! `GetContainerEvents` as a stream.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use k3s_cri::v1::ContainerEventResponse;
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use crate::pod::events::Sender;

pub(super) type EventStream =
    Pin<Box<dyn Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

/// Events from now on. A client that lags behind gets an error, and lists again.
pub(super) fn stream(sender: &Sender, stopping: k3s_lifecycle::CancellationToken) -> EventStream {
    let events = BroadcastStream::new(sender.subscribe());
    let events = events.map(|event| {
        event.map_err(|_| Status::data_loss("the client was too slow and missed events"))
    });
    Box::pin(events.take_until(async move { stopping.cancelled().await }))
}
