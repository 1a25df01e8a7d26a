//! One registry endpoint, spoken to as the OCI distribution specification says.
//!
//! Redirects are followed without credentials (blobs often lie on another host), a challenge is
//! answered once with a token or basic credentials, and a broken download goes on where it broke.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE, USER_AGENT,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k3s_base::Secret;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use super::registries::{Credentials, Endpoint, Tls};
use super::store::DOCUMENT_LIMIT_BYTES;

const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*";
const REDIRECT_LIMIT: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A peer that sends nothing for this long is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Where distributions keep the authorities they trust; the list of Go's crypto/x509.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why a registry gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("{url}: {source}")]
    Transport {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url}: no data for {}s", IDLE_TIMEOUT.as_secs())]
    Idle { url: String },
    #[error("{url}: unexpected status {status}: {body}")]
    Status {
        url: String,
        status: StatusCode,
        body: String,
    },
    #[error("{url}: not found")]
    NotFound { url: String },
    #[error("{url}: authorization failed: {detail}")]
    Unauthorized { url: String, detail: String },
    #[error("TLS settings of {host}: {source}")]
    Tls {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{url}: {detail}")]
    Content { url: String, detail: String },
    #[error(transparent)]
    File(#[from] io::Error),
}

impl RegistryError {
    /// Another try at the same place may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Idle { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            _ => false,
        }
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client of one endpoint.
pub(crate) struct Registry {
    endpoint: Endpoint,
    client: HttpClient,
    credentials: Option<Credentials>,
    /// The value of the Authorization header that the last challenge was answered with.
    authorization: Mutex<Option<Secret>>,
}

impl Registry {
    /// `pull_secret` goes before what registries.yaml says.
    pub(crate) fn new(
        endpoint: Endpoint,
        pull_secret: Option<Credentials>,
    ) -> Result<Self, RegistryError> {
        let tls = tls_config(&endpoint.tls).map_err(|source| RegistryError::Tls {
            host: endpoint.host.clone(),
            source,
        })?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let credentials = pull_secret.or_else(|| endpoint.credentials.clone());
        let authorization = match &credentials {
            Some(Credentials::Bearer(token)) => {
                Some(Secret::new(format!("Bearer {}", token.reveal())))
            }
            _ => None,
        };
        Ok(Self {
            endpoint,
            client,
            credentials,
            authorization: Mutex::new(authorization),
        })
    }

    /// The manifest called `selector` (tag or digest) with its media type.
    pub(crate) async fn manifest(&self, selector: &str) -> Result<(Bytes, String), RegistryError> {
        let url = self.url("manifests", selector);
        let response = self.get(&url, ACCEPT_MANIFESTS, None).await?;
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((collect(&url, response).await?, kind))
    }

    /// A small blob.
    pub(crate) async fn blob(&self, digest: &str) -> Result<Bytes, RegistryError> {
        let url = self.url("blobs", digest);
        collect(&url, self.get(&url, "*/*", None).await?).await
    }

    /// Appends the rest of a blob to `path`, which may hold its beginning.
    pub(crate) async fn download(
        &self,
        digest: &str,
        path: &Path,
        limit_bytes: u64,
    ) -> Result<(), RegistryError> {
        let url = self.url("blobs", digest);
        let have = tokio::fs::metadata(path)
            .await
            .map_or(0, |metadata| metadata.len());
        if have >= limit_bytes && have > 0 {
            return Ok(());
        }
        let response = self.get(&url, "*/*", (have > 0).then_some(have)).await?;
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .append(resumed)
            .truncate(!resumed)
            .open(path)
            .await?;
        let mut written = if resumed { have } else { 0 };
        let mut body = response.into_body();
        while let Some(frame) = next_frame(&url, &mut body).await? {
            written += u64::try_from(frame.len()).unwrap_or(u64::MAX);
            if written > limit_bytes {
                return Err(RegistryError::Content {
                    url,
                    detail: format!("more than the {limit_bytes} bytes the manifest states"),
                });
            }
            file.write_all(&frame).await?;
        }
        file.flush().await?;
        Ok(())
    }

    fn url(&self, what: &str, which: &str) -> String {
        let query = self
            .endpoint
            .namespace
            .as_ref()
            .map(|namespace| format!("?ns={namespace}"))
            .unwrap_or_default();
        format!(
            "{}/{}/{what}/{which}{query}",
            self.endpoint.base, self.endpoint.repository
        )
    }

    async fn get(
        &self,
        url: &str,
        accept: &str,
        from: Option<u64>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut response = self.follow(url, accept, from).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenges: Vec<String> = response
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok().map(str::to_owned))
                .collect();
            let authorization = self.answer(url, &challenges).await?;
            *self.authorization.lock() = Some(authorization);
            response = self.follow(url, accept, from).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound {
                url: url.to_owned(),
            }),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(RegistryError::Unauthorized {
                    url: url.to_owned(),
                    detail: format!("{status}: {}", excerpt(response).await),
                })
            }
            status => Err(RegistryError::Status {
                url: url.to_owned(),
                status,
                body: excerpt(response).await,
            }),
        }
    }

    async fn follow(
        &self,
        url: &str,
        accept: &str,
        from: Option<u64>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECT_LIMIT {
            let mut headers = HeaderMap::new();
            insert(&mut headers, ACCEPT, accept);
            if let Some(from) = from {
                insert(&mut headers, RANGE, &format!("bytes={from}-"));
            }
            // Only the endpoint itself gets what was made for it.
            let authorization = self
                .authorization
                .lock()
                .clone()
                .filter(|_| authority(&at) == authority(url));
            if let Some(authorization) = authorization {
                insert(&mut headers, AUTHORIZATION, authorization.reveal());
            }
            let response = self.send(&at, Method::GET, headers, Bytes::new()).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            match location {
                Some(location) if response.status().is_redirection() => at = join(&at, location),
                _ => return Ok(response),
            }
        }
        Err(RegistryError::Content {
            url: url.to_owned(),
            detail: "too many redirects".into(),
        })
    }

    async fn send(
        &self,
        url: &str,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let transport =
            |source: Box<dyn std::error::Error + Send + Sync>| RegistryError::Transport {
                url: url.to_owned(),
                source,
            };
        let uri: Uri = url.parse().map_err(|error| transport(Box::new(error)))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body))
            .map_err(|error| transport(Box::new(error)))?;
        *request.headers_mut() = headers;
        insert(
            request.headers_mut(),
            USER_AGENT,
            concat!("k3s/", env!("CARGO_PKG_VERSION")),
        );
        match tokio::time::timeout(IDLE_TIMEOUT, self.client.request(request)).await {
            Ok(response) => response.map_err(|error| transport(Box::new(RootCause(error)))),
            Err(_) => Err(RegistryError::Idle {
                url: url.to_owned(),
            }),
        }
    }

    /// The Authorization header that satisfies a challenge (RFC 7235; distribution's token
    /// specification).
    async fn answer(&self, url: &str, challenges: &[String]) -> Result<Secret, RegistryError> {
        let refused = |detail: String| RegistryError::Unauthorized {
            url: url.to_owned(),
            detail,
        };
        if let Some(challenge) = challenges
            .iter()
            .find_map(|challenge| Challenge::bearer(challenge))
        {
            return self.fetch_token(url, &challenge).await;
        }
        let basic = challenges.iter().any(|challenge| {
            challenge
                .get(..5)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
        });
        match &self.credentials {
            Some(Credentials::Basic { username, password }) if basic => {
                Ok(basic_header(username, password))
            }
            None => Err(refused(
                "the registry wants credentials and none are configured".into(),
            )),
            Some(_) => Err(refused(format!(
                "cannot answer the challenge {challenges:?}"
            ))),
        }
    }

    async fn fetch_token(&self, url: &str, challenge: &Challenge) -> Result<Secret, RegistryError> {
        let scope = challenge
            .scope
            .clone()
            .unwrap_or_else(|| format!("repository:{}:pull", self.endpoint.repository));
        let service = challenge.service.clone().unwrap_or_default();
        let mut headers = HeaderMap::new();
        let response = if let Some(Credentials::Identity(token)) = &self.credentials {
            insert(
                &mut headers,
                CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            );
            let form = format!(
                "grant_type=refresh_token&client_id=k3s&service={}&scope={}&refresh_token={}",
                escape(&service),
                escape(&scope),
                escape(token.reveal())
            );
            self.send(&challenge.realm, Method::POST, headers, Bytes::from(form))
                .await?
        } else {
            if let Some(Credentials::Basic { username, password }) = &self.credentials {
                insert(
                    &mut headers,
                    AUTHORIZATION,
                    basic_header(username, password).reveal(),
                );
            }
            let separator = if challenge.realm.contains('?') {
                '&'
            } else {
                '?'
            };
            let at = format!(
                "{}{separator}service={}&scope={}",
                challenge.realm,
                escape(&service),
                escape(&scope)
            );
            self.send(&at, Method::GET, headers, Bytes::new()).await?
        };
        if !response.status().is_success() {
            let detail = format!(
                "token endpoint {}: {}: {}",
                challenge.realm,
                response.status(),
                excerpt(response).await
            );
            return Err(RegistryError::Unauthorized {
                url: url.to_owned(),
                detail,
            });
        }
        let body = collect(&challenge.realm, response).await?;
        let token: TokenResponse =
            serde_json::from_slice(&body).map_err(|error| RegistryError::Content {
                url: challenge.realm.clone(),
                detail: error.to_string(),
            })?;
        let token = if token.token.is_empty() {
            token.access_token
        } else {
            token.token
        };
        Ok(Secret::new(format!("Bearer {token}")))
    }
}

/// An error that prints its causes: hyper's own text is only "client error (Connect)".
#[derive(Debug)]
struct RootCause(hyper_util::client::legacy::Error);

impl std::fmt::Display for RootCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(&self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for RootCause {}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct TokenResponse {
    token: String,
    access_token: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    fn bearer(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| parameter(rest, name);
        Some(Self {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
        })
    }
}

/// `name="value"` among comma-separated parameters; values are quoted and may hold commas.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = tail;
    }
    None
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

fn basic_header(username: &str, password: &Secret) -> Secret {
    Secret::new(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD
            .encode(format!("{username}:{}", password.reveal()))
    ))
}

fn authority(url: &str) -> Option<String> {
    url.parse::<Uri>()
        .ok()?
        .authority()
        .map(|authority| authority.as_str().to_owned())
}

fn join(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let root = base
        .split_once("://")
        .map(|(scheme, rest)| format!("{scheme}://{}", rest.split('/').next().unwrap_or_default()));
    format!(
        "{}/{}",
        root.unwrap_or_default(),
        location.trim_start_matches('/')
    )
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|octet| {
            if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            }
        })
        .collect()
}

async fn next_frame(url: &str, body: &mut Incoming) -> Result<Option<Bytes>, RegistryError> {
    loop {
        let Ok(frame) = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await else {
            return Err(RegistryError::Idle {
                url: url.to_owned(),
            });
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(RegistryError::Transport {
                    url: url.to_owned(),
                    source: Box::new(error),
                });
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn collect(url: &str, response: Response<Incoming>) -> Result<Bytes, RegistryError> {
    let limit = usize::try_from(DOCUMENT_LIMIT_BYTES).unwrap_or(usize::MAX);
    let body = tokio::time::timeout(
        IDLE_TIMEOUT,
        Limited::new(response.into_body(), limit).collect(),
    )
    .await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(source)) => Err(RegistryError::Transport {
            url: url.to_owned(),
            source,
        }),
        Err(_) => Err(RegistryError::Idle {
            url: url.to_owned(),
        }),
    }
}

/// The beginning of an error's body, for the user to read.
async fn excerpt(response: Response<Incoming>) -> String {
    const LIMIT_BYTES: usize = 512;
    let length: usize = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if length > LIMIT_BYTES * 16 {
        return String::new();
    }
    let body = collect("", response).await.unwrap_or_default();
    String::from_utf8_lossy(body.get(..body.len().min(LIMIT_BYTES)).unwrap_or_default())
        .trim()
        .to_owned()
}

fn tls_config(tls: &Tls) -> io::Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if tls.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        builder.with_root_certificates(roots(tls.ca_file.as_deref())?)
    };
    match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .map_err(io::Error::other)?
                .collect::<Result<Vec<_>, _>>()
                .map_err(io::Error::other)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(io::Error::other)
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "cert_file and key_file go together",
        )),
    }
}

/// The system's authorities, and the configured one.
fn roots(ca_file: Option<&Path>) -> io::Result<rustls::RootCertStore> {
    let mut store = rustls::RootCertStore::empty();
    if let Some(bundle) = SYSTEM_ROOTS
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
    {
        for certificate in CertificateDer::pem_file_iter(bundle)
            .map_err(io::Error::other)?
            .flatten()
        {
            // Bundles hold certificates that no verifier of today reads; they are no error.
            let _ = store.add(certificate);
        }
    }
    if let Some(path) = ca_file {
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            store
                .add(certificate.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
    }
    Ok(store)
}

/// `insecure_skip_verify: true`.
#[derive(Debug)]
struct AcceptAny(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let challenge = Challenge::bearer(header).unwrap();
        assert_eq!(challenge.realm, "https://auth.docker.io/token");
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(Challenge::bearer("Basic realm=\"x\""), None);
    }

    #[test]
    fn locations_are_absolute_or_of_the_same_host() {
        assert_eq!(join("https://a:5000/v2/x", "/y"), "https://a:5000/y");
        assert_eq!(join("https://a/v2/x", "https://b/z"), "https://b/z");
        assert_eq!(escape("a b/c"), "a%20b%2Fc");
    }
}
