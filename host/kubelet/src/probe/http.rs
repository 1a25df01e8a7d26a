//! HTTP GET for probes and hooks: certificates are not verified, redirects are followed on the same
//! host only (`pkg/probe/http/http.go`).

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{dial, port_number};

/// As Go's client.
const MAX_REDIRECTS: usize = 10;
/// Of a body no more is read: the status is what counts.
const BODY_LIMIT_BYTES: usize = 10 << 10;

/// Where to and what to send.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    location: Option<String>,
}

impl Target {
    pub(crate) fn new(
        get: &HTTPGetAction,
        container: &Container,
        pod_ip: &str,
    ) -> Result<Self, String> {
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
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn url(&self) -> String {
        format!(
            "{}://{}{}",
            if self.tls { "https" } else { "http" },
            self.authority(),
            self.path
        )
    }

    /// The same target at a new path; `None` where the redirect leaves the host.
    fn redirected(&self, location: &str) -> Option<Self> {
        let scheme = format!(
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.authority()
        );
        let path = if location.starts_with('/') && !location.starts_with("//") {
            location
        } else {
            location.strip_prefix(&scheme)?
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

/// GETs the target within `timeout`.
pub(crate) async fn get(target: &Target, timeout: Duration, agent: &str) -> Result<Answer, String> {
    let follow = async {
        let mut at = target.clone();
        for _ in 0..MAX_REDIRECTS {
            let answer = once(&at, timeout, agent)
                .await
                .map_err(|e| format!("Get \"{}\": {e}", at.url()))?;
            let next = answer
                .location
                .as_deref()
                .filter(|_| (300..400).contains(&answer.status))
                .and_then(|l| at.redirected(l));
            match next {
                Some(next) => at = next,
                // Leaving the host counts as success with a warning upstream: the status stands.
                None => return Ok(answer),
            }
        }
        Err(format!(
            "Get \"{}\": stopped after {MAX_REDIRECTS} redirects",
            target.url()
        ))
    };
    tokio::time::timeout(timeout, follow).await.unwrap_or_else(|_| {
        Err(format!(
            "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            target.url()
        ))
    })
}

async fn once(target: &Target, timeout: Duration, agent: &str) -> Result<Answer, String> {
    let stream = dial(&target.host, target.port, timeout).await?;
    if !target.tls {
        return exchange(target, stream, agent).await;
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
    let name = ServerName::try_from(target.host.clone()).map_err(|e| e.to_string())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|e| e.to_string())?;
    exchange(target, stream, agent).await
}

async fn exchange(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    agent: &str,
) -> Result<Answer, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let mut request = http::Request::builder().method("GET").uri(&target.path);
    let has = |name: &str| {
        target
            .headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    if !has("host") {
        request = request.header("Host", target.authority());
    }
    if !has("user-agent") {
        request = request.header("User-Agent", agent);
    }
    if !has("accept") {
        request = request.header("Accept", "*/*");
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request
        .header("Connection", "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|e| e.to_string())?;
    let talk = async {
        let mut response = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?;
        let mut read = 0;
        while let Some(Ok(frame)) = response.body_mut().frame().await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > BODY_LIMIT_BYTES {
                break;
            }
        }
        let location = response
            .headers()
            .get("location")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        Ok(Answer {
            status: response.status().as_u16(),
            location,
        })
    };
    // The connection lives as long as the exchange; no task outlives it.
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = connection => match ended {
            Ok(()) => talk.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Probes do not verify who answers: the pod is asked by its address.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
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
            error,
            format!(
                "Get \"http://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"
            )
        );
    }
}
