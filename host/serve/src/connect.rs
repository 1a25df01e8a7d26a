//! Reaching another HTTP server over a byte stream that the caller has dialled.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::body::Body;
use crate::error::ServeError;
use crate::extensions::PeerCertificates;
use crate::io::BoxIo;

/// Speaks TLS over `io` as a client that expects `server`.
///
/// # Errors
/// [`ServeError::Io`] where the handshake fails, for instance on a certificate that is not trusted.
pub async fn tls(
    io: BoxIo,
    server: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<BoxIo, ServeError> {
    Ok(tls_with_peer(io, server, config).await?.0)
}

/// As [`tls`], with the certificates that the server showed, for callers to whom a trusted one is not enough.
///
/// # Errors
/// As [`tls`].
pub async fn tls_with_peer(
    io: BoxIo,
    server: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<(BoxIo, PeerCertificates), ServeError> {
    let stream = TlsConnector::from(config).connect(server, io).await?;
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default();
    let peer = PeerCertificates(
        certificates
            .iter()
            .map(|it| it.clone().into_owned())
            .collect(),
    );
    Ok((Box::new(stream), peer))
}

/// Sends one HTTP/1.1 request over `io` and returns the response, whose body streams. The
/// connection lives as a task of `tasks` until the body is read or dropped, or the upgrade ends.
///
/// # Errors
/// [`ServeError::Http`] where the peer does not answer in HTTP.
pub async fn send(
    io: BoxIo,
    request: Request<Body>,
    tasks: &Tasks,
) -> Result<Response<Incoming>, ServeError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tasks.spawn_until_stopped("outbound connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = %chain(&error), "outbound connection ended");
        }
    });
    Ok(sender.send_request(request).await?)
}
