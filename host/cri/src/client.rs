//! Connecting to a CRI socket.

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::MESSAGE_LIMIT_BYTES;

/// Client of `runtime.v1.RuntimeService`.
pub type RuntimeClient = RuntimeServiceClient<Channel>;
/// Client of `runtime.v1.ImageService`.
pub type ImageClient = ImageServiceClient<Channel>;

/// Why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not a Unix socket.
    #[error("container runtime endpoint {0:?} is not a unix socket (want unix:///path or /path)")]
    Endpoint(String),
    /// Nothing answers there; the caller may retry.
    #[error("container runtime at {endpoint} does not answer")]
    Transport {
        /// The endpoint as given.
        endpoint: String,
        /// The transport's reason.
        #[source]
        source: tonic::transport::Error,
    },
}

/// The socket behind `unix:///path`, `unix:/path` or `/path`.
///
/// # Errors
/// For any other scheme: CRI over TCP has no authentication.
fn socket_path(endpoint: &str) -> Result<PathBuf, ConnectError> {
    let path = endpoint
        .strip_prefix("unix://")
        .or_else(|| endpoint.strip_prefix("unix:"))
        .unwrap_or(endpoint);
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(ConnectError::Endpoint(endpoint.to_owned()))
    }
}

/// A channel to `endpoint` that connects now and reconnects after a loss.
///
/// # Errors
/// When the endpoint is not a Unix socket or nothing listens there yet.
async fn connect_channel(endpoint: &str) -> Result<Channel, ConnectError> {
    let path = socket_path(endpoint)?;
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Transport {
            endpoint: endpoint.to_owned(),
            source,
        })
}

/// Clients of both services over one connection. Calls made after the runtime restarted reconnect.
///
/// # Errors
/// As [`connect_channel`].
pub async fn connect(endpoint: &str) -> Result<(RuntimeClient, ImageClient), ConnectError> {
    let channel = connect_channel(endpoint).await?;
    let runtime = RuntimeServiceClient::new(channel.clone())
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    let image = ImageServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    Ok((runtime, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_unix_sockets_only() {
        for endpoint in ["unix:///run/a.sock", "unix:/run/a.sock", "/run/a.sock"] {
            assert_eq!(socket_path(endpoint).unwrap(), PathBuf::from("/run/a.sock"));
        }
        assert!(socket_path("tcp://127.0.0.1:1").is_err());
        assert!(socket_path("relative.sock").is_err());
    }
}
