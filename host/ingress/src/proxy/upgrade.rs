//! Upgraded connections (WebSocket): joins both sides and copies bytes between them.

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};

/// Bytes held per direction.
const BUFFER_BYTES: usize = 16 << 10;

/// Joins both sides as soon as the client has the response that allows it.
pub(crate) fn join(client: OnUpgrade, response: &mut Response<Incoming>, tunnels: &Tasks) {
    let server = hyper::upgrade::on(response);
    tunnels.spawn_until_stopped("ingress tunnel", async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(error = chain(&error), "an upgrade failed"),
        };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        let copied =
            copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES)
                .await;
        if let Err(error) = copied {
            tracing::debug!(error = chain(&error), "a tunnel ended");
        }
        // A shutdown of a connection that the peer has closed fails, and that is fine.
        let (_client, _server) = (client.shutdown().await, server.shutdown().await);
    });
}
