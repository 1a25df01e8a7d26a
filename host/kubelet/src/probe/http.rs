//! HTTP GET for probes and hooks: certificates are not verified, redirects are followed on the same
//! host only (`pkg/probe/http/http.go`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k3s_serve::trust::AnyServerCertificate;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dial::{DialError, PortError, dial, host_port, port_number};

/// As Go's client.
const MAX_REDIRECTS: usize = 10;
/// No more of a body is read: only the status matters.
const BODY_LIMIT_BYTES: usize = 10 << 10;

/// Why a GET failed, in the words of Go's client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("Get \"{url}\"")]
    Exchange {
        url: String,
        #[source]
        source: ExchangeError,
    },
    #[error("Get \"{url}\": stopped after {MAX_REDIRECTS} redirects")]
    Redirects { url: String },
    #[error(
        "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    )]
    Timeout { url: String },
}

/// Why one request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("TLS")]
    Tls(#[from] rustls::Error),
    #[error("TLS handshake")]
    Handshake(#[source] std::io::Error),
    #[error("not a host name")]
    Host(#[from] rustls::pki_types::InvalidDnsNameError),
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Where a request is sent, and what with.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// What the server answered.
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    location: Option<String>,
}

impl Target {
    pub(crate) fn new(
        get: &HTTPGetAction,
        container: &Container,
        pod_ip: &str,
    ) -> Result<Self, HttpError> {
        let path = get.path.clone().unwrap_or_default();
        Ok(Self {
            tls: get.scheme.as_deref() == Some("HTTPS"),
            host: get
                .host
                .clone()
                .filter(|h| !h.is_empty())
                .unwrap_or_else(|| pod_ip.to_owned()),
            port: port_number(&get.port, container)?,
            path: if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            },
            headers: get
                .http_headers
                .iter()
                .flatten()
                .map(|h| (h.name.clone(), h.value.clone()))
                .collect(),
        })
    }

    fn authority(&self) -> String {
        host_port(&self.host, self.port)
    }

    fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    fn url(&self) -> String {
        self.origin() + &self.path
    }

    /// The same target at a new path; `None` where the redirect leaves the host.
    fn redirected(&self, location: &str) -> Option<Self> {
        let path = if location.starts_with('/') && !location.starts_with("//") {
            location
        } else {
            location.strip_prefix(&self.origin())?
        };
        Some(Self {
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            },
            ..self.clone()
        })
    }
}

/// GETs the target within `timeout`, redirects included.
///
/// # Errors
/// See [`HttpError`].
pub(crate) async fn get(
    target: &Target,
    timeout: Duration,
    agent: &str,
) -> Result<HttpResponse, HttpError> {
    let follow = follow(target, timeout, agent);
    let answer = tokio::time::timeout(timeout, follow).await;
    answer.unwrap_or_else(|_elapsed| Err(HttpError::Timeout { url: target.url() }))
}

async fn follow(
    target: &Target,
    timeout: Duration,
    agent: &str,
) -> Result<HttpResponse, HttpError> {
    let mut at = target.clone();
    for _ in 0..MAX_REDIRECTS {
        let answer = once(&at, timeout, agent).await;
        let answer = answer.map_err(|source| HttpError::Exchange {
            url: at.url(),
            source,
        })?;
        let location = answer.location.as_deref();
        let location = location.filter(|_| (300..400).contains(&answer.status));
        match location.and_then(|location| at.redirected(location)) {
            Some(next) => at = next,
            // Leaving the host counts as success with a warning upstream: the status stands.
            None => return Ok(answer),
        }
    }
    Err(HttpError::Redirects { url: target.url() })
}

async fn once(
    target: &Target,
    timeout: Duration,
    agent: &str,
) -> Result<HttpResponse, ExchangeError> {
    let stream = dial(&target.host, target.port, timeout).await?;
    if !target.tls {
        return exchange(target, stream, agent).await;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Probes do not verify who answers: the pod is asked by its address.
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServerCertificate))
        .with_no_client_auth();
    let name = ServerName::try_from(target.host.clone())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(ExchangeError::Handshake)?;
    exchange(target, stream, agent).await
}

async fn exchange(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    agent: &str,
) -> Result<HttpResponse, ExchangeError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request(target, agent)?;
    let talk = async {
        let mut response = sender.send_request(request).await?;
        let mut read = 0;
        while let Some(Ok(frame)) = response.body_mut().frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > BODY_LIMIT_BYTES {
                break;
            }
        }
        let location = response
            .headers()
            .get("location")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        Ok(HttpResponse {
            status: response.status().as_u16(),
            location,
        })
    };
    // The connection lives as long as the exchange; no task outlives it.
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = connection => {
            ended?;
            talk.await
        }
    }
}

/// The request with the headers of Go's client, unless the target sets its own.
fn request(target: &Target, agent: &str) -> Result<http::Request<Empty<Bytes>>, http::Error> {
    let mut request = http::Request::builder().method("GET").uri(&target.path);
    let authority = target.authority();
    let defaults = [
        ("Host", authority.as_str()),
        ("User-Agent", agent),
        ("Accept", "*/*"),
    ];
    for (name, value) in defaults {
        let mut own = target.headers.iter();
        if !own.any(|(header, _)| header.eq_ignore_ascii_case(name)) {
            request = request.header(name, value);
        }
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    request.header("Connection", "close").body(Empty::new())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn server(answers: &'static [&'static str]) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        port
    }

    fn target(port: u16) -> Target {
        Target {
            tls: false,
            host: "127.0.0.1".into(),
            port,
            path: "/healthz".into(),
            headers: vec![],
        }
    }

    #[tokio::test]
    async fn redirects_on_the_host_are_followed() {
        let port = server(&[
            "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 Unavailable\r\nContent-Length: 1\r\n\r\nx",
        ])
        .await;
        assert_eq!(
            get(&target(port), Duration::from_secs(5), "a")
                .await
                .unwrap()
                .status,
            503
        );
    }

    #[tokio::test]
    async fn refusal_is_told_in_gos_words() {
        let port = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let error = get(&target(port), Duration::from_secs(5), "a")
            .await
            .err()
            .unwrap();
        assert_eq!(
            k3s_base::error::chain(&error),
            format!(
                "Get \"http://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"
            )
        );
    }
}
