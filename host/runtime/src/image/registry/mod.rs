//! A client of one registry endpoint, by the OCI distribution specification.
//!
//! Credentials are for the origin (scheme, host and port) of the configured endpoint. Redirects to
//! another one are followed without them (blobs are often on another host), and a challenge from there is
//! an error. The endpoint's own challenge is answered once with a token or basic credentials. A broken
//! download resumes where it broke.

mod auth;
mod error;
mod tls;

use std::path::Path;
use std::time::Duration;

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
use tokio::io::AsyncWriteExt;

use super::registries::{Credentials, Endpoint};
use super::room::Room;
use super::store::DOCUMENT_LIMIT_BYTES;
use error::IDLE_TIMEOUT;
pub(crate) use error::RegistryError;
use tls::tls_config;

const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*";
const REDIRECT_LIMIT: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

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
    /// `pull_secret` takes precedence over the credentials of registries.yaml.
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
        let mut room = Room::of(path.parent().unwrap_or(Path::new(".")))?;
        room.require(limit_bytes.saturating_sub(have))?;
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
            room.wrote(frame.len())?;
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
        let mut answer = self.follow(url, accept, from).await?;
        if answer.response.status() == StatusCode::UNAUTHORIZED {
            if !answer.is_of_endpoint {
                return Err(RegistryError::Unauthorized {
                    url: url.to_owned(),
                    detail: format!("{}, a redirect's target, wants credentials", answer.at),
                });
            }
            let challenges: Vec<String> = answer
                .response
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .filter_map(|value| value.to_str().ok().map(str::to_owned))
                .collect();
            let authorization = self.answer_challenge(url, &challenges).await?;
            *self.authorization.lock() = Some(authorization);
            answer = self.follow(url, accept, from).await?;
        }
        let response = answer.response;
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
    ) -> Result<Answer, RegistryError> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECT_LIMIT {
            let mut headers = HeaderMap::new();
            insert(&mut headers, ACCEPT, accept);
            if let Some(from) = from {
                insert(&mut headers, RANGE, &format!("bytes={from}-"));
            }
            let is_of_endpoint = Origin::of(&at).is_some_and(|it| Some(it) == Origin::of(url));
            let authorization = self.authorization.lock().clone();
            if let Some(authorization) = authorization.filter(|_| is_of_endpoint) {
                insert(&mut headers, AUTHORIZATION, authorization.reveal());
            }
            let response = self.send(&at, Method::GET, headers, Bytes::new()).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            match location {
                Some(location) if response.status().is_redirection() => at = join(&at, location),
                _ => {
                    return Ok(Answer {
                        response,
                        at,
                        is_of_endpoint,
                    });
                }
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
            Ok(response) => response.map_err(|error| transport(Box::new(error))),
            Err(_) => Err(RegistryError::Idle {
                url: url.to_owned(),
            }),
        }
    }
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

/// What a request led to, redirects followed.
struct Answer {
    response: Response<Incoming>,
    /// Who answered.
    at: String,
    /// Whether that is the endpoint itself.
    is_of_endpoint: bool,
}

/// Scheme, host and port of a URL: who gets what is sent there.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let default_port = if scheme == "https" { 443 } else { 80 };
        Some(Self {
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(default_port),
            scheme,
        })
    }

    fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }
}

fn join(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or_default();
    if let Some(elsewhere) = location.strip_prefix("//") {
        return format!("{scheme}://{elsewhere}");
    }
    let root = format!("{scheme}://{}", rest.split('/').next().unwrap_or_default());
    format!("{}/{}", root, location.trim_start_matches('/'))
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
