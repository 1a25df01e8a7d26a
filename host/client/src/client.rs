//! The client: a transport, a time limit, and the mapping of answers to results.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k3s_meta::Status;
use k3s_meta::user::UserInfo;
use serde_json::Value;
use tower::Service;

use crate::body::{Body, BoxError, empty, full};
use crate::error::{Error, Result};
use crate::transport::{
    CaSource, Https, Identity, Impersonating, InProcess, Transport, load_kubeconfig,
};

/// How long a request other than a watch may take: the API server's own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer is read beyond this: ten thousand large objects in one unpaged list fit.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// A client of the API with one identity. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Over any transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            timeout: REQUEST_TIMEOUT,
        }
    }

    /// Calls `service` directly as `user`.
    pub fn in_process<S>(service: S, user: UserInfo) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
    {
        Self::new(Arc::new(InProcess::new(service, user)))
    }

    /// Over HTTPS; `server` is `https://host:port`.
    pub fn https(server: &str, ca: CaSource, identity: Identity) -> Result<Self> {
        Ok(Self::new(Arc::new(Https::new(server, ca, identity)?)))
    }

    /// Over HTTPS as the kubeconfig's current context says.
    pub fn from_kubeconfig(path: &Path) -> Result<Self> {
        Self::from_kubeconfig_context(path, None).map(|(client, _)| client)
    }

    /// The same with a context of choice; also gives the context's namespace.
    pub fn from_kubeconfig_context(
        path: &Path,
        context: Option<&str>,
    ) -> Result<(Self, Option<String>)> {
        let loaded = load_kubeconfig(path, context)?;
        Ok((
            Self::https(&loaded.server, loaded.ca, loaded.identity)?,
            loaded.namespace,
        ))
    }

    /// Acts as `user` through impersonation headers.
    #[must_use]
    pub fn impersonate(&self, user: UserInfo) -> Self {
        Self {
            transport: Arc::new(Impersonating::new(self.transport.clone(), user)),
            timeout: self.timeout,
        }
    }

    /// The same client with another limit for requests that are not watches.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            transport: self.transport.clone(),
            timeout,
        }
    }

    /// Sends any request; the answer comes back as it is, failure or not, with its body unread.
    /// The URI holds path and query only. No time limit applies.
    pub async fn raw(&self, request: Request<Body>) -> Result<Response<Body>> {
        self.transport.send(request).await
    }

    /// Reads a path of the API that is not a resource, for instance `/apis` or `/version`.
    pub async fn get_path(&self, path: &str) -> Result<Value> {
        let bytes = self
            .call(Method::GET, path.to_owned(), "application/json", None)
            .await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::decode(path, e))
    }

    /// One request with a JSON (or patch) body and a JSON answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: String,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Bytes> {
        let request = build(method, &path, accept, body)?;
        let exchange = async {
            let response = self.transport.send(request).await?;
            collect(response, &path).await
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| Error::Timeout(self.timeout))?
    }

    /// Starts a watch: the time limit covers the head of the answer only.
    pub(crate) async fn open(&self, path: String, accept: &str) -> Result<Response<Body>> {
        let request = build(Method::GET, &path, accept, None)?;
        let response = tokio::time::timeout(self.timeout, self.transport.send(request))
            .await
            .map_err(|_| Error::Timeout(self.timeout))??;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(collect(response, &path)
            .await
            .err()
            .unwrap_or_else(|| Error::Request("a failed watch had no failure".into())))
    }
}

fn build(
    method: Method,
    path: &str,
    accept: &str,
    body: Option<(&str, &Value)>,
) -> Result<Request<Body>> {
    let builder = Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, accept);
    let built = match body {
        Some((content_type, value)) => {
            let bytes = serde_json::to_vec(value)
                .map_err(|e| Error::Request(format!("cannot encode the request: {e}")))?;
            builder.header(CONTENT_TYPE, content_type).body(full(bytes))
        }
        None => builder.body(empty()),
    };
    built.map_err(|e| Error::Request(format!("cannot build a request for {path}: {e}")))
}

async fn collect(response: Response<Body>, path: &str) -> Result<Bytes> {
    let (head, body) = response.into_parts();
    let bytes = read_all(body).await?;
    if head.status.is_success() {
        return Ok(bytes);
    }
    Err(Error::Status(Box::new(failure(
        head.status.as_u16(),
        &bytes,
        path,
    ))))
}

async fn read_all(mut body: Body) -> Result<Bytes> {
    // Most answers are one frame, which is handed on without a copy.
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::Transport)?.into_data() else {
            continue;
        };
        if all.len() + data.len() > MAX_ANSWER_BYTES {
            return Err(Error::decode("an answer", "it is too large"));
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(earlier) => {
                all.extend_from_slice(&earlier);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// The failure's `Status`; a proxy or an endpoint of another kind may answer with plain text.
fn failure(code: u16, bytes: &[u8], path: &str) -> Status {
    if let Ok(mut status) = serde_json::from_slice::<Status>(bytes)
        && !status.message.is_empty()
    {
        status.code = code;
        return status;
    }
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(1024)).unwrap_or_default());
    let mut status = Status::internal(&format!(
        "the server answered {code} to {path}: {}",
        text.trim()
    ));
    status.code = code;
    status
}

/// Makes clients that act as a given user.
#[derive(Clone)]
pub struct ClientFactory(Arc<dyn Fn(UserInfo) -> Client + Send + Sync>);

impl std::fmt::Debug for ClientFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientFactory")
    }
}

impl ClientFactory {
    /// Clients that call `service` directly.
    pub fn in_process<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
    {
        Self(Arc::new(move |user| {
            Client::in_process(service.clone(), user)
        }))
    }

    /// Clients that impersonate over `client`.
    #[must_use]
    pub fn impersonating(client: Client) -> Self {
        Self(Arc::new(move |user| client.impersonate(user)))
    }

    /// A client that acts as `user`.
    #[must_use]
    pub fn for_user(&self, user: UserInfo) -> Client {
        (self.0)(user)
    }

    /// A client that acts as a service account of `kube-system`.
    #[must_use]
    pub fn for_controller(&self, service_account: &str) -> Client {
        self.for_user(UserInfo {
            name: format!("system:serviceaccount:kube-system:{service_account}"),
            groups: [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
                "system:authenticated",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..UserInfo::default()
        })
    }
}
