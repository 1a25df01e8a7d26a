//! The client: kube's, a time limit, and answers as the bytes they came as.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt;
use k3s_base::Clock;
use k3s_meta::Status;
use k3s_meta::user::UserInfo;
use kube::client::Body as ClientBody;
use serde::de::DeserializeOwned;
use tower::Service;

use crate::body::{Body, BoxError};
use crate::error::{Error, Result};
use crate::informer::SharedObjects;
use crate::transport::credentials::KubeconfigSource;
use crate::transport::in_process::Asserting;
use crate::transport::{Loaded, Reload};

/// How long a request other than a watch may take: the API server's own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer is read beyond this: ten thousand large objects in one unpaged list fit.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// A client of the API with one identity. Cheap to clone; clones share connections. Making one
/// takes a tokio runtime, since kube queues requests in a task of its own.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    shared: Arc<SharedObjects>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl From<kube::Client> for Client {
    /// Over any stack of tower services.
    fn from(kube: kube::Client) -> Self {
        Self {
            kube,
            shared: Arc::default(),
        }
    }
}

impl Client {
    /// Calls `service` directly as `user`. Bodies of requests are read whole first.
    pub fn in_process<S>(service: S, user: UserInfo) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
    {
        let service = Asserting::new(service, user);
        kube::Client::new(service, "default").into()
    }

    /// Over HTTPS as a kubeconfig says. The kubeconfig and the files that it names are read again
    /// when they change.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`], [`Error::InsecureTls`] or [`Error::Credentials`].
    pub fn from_kubeconfig(source: impl Into<KubeconfigSource>) -> Result<Self> {
        let source = source.into();
        let (first, config) = source.load()?;
        let mut first = Some(first);
        let load = move || -> Result<Loaded<_>> {
            match first.take() {
                Some(loaded) => Ok(loaded),
                None => Ok(source.load()?.0),
            }
        };
        let service = Reload::new(load, Clock::system())?;
        Ok(kube::Client::new(service, config.default_namespace).into())
    }

    /// The same client, whose informers hold objects together with those of other clients.
    #[must_use]
    pub(crate) fn sharing(mut self, shared: Arc<SharedObjects>) -> Self {
        self.shared = shared;
        self
    }

    pub(crate) fn shared(&self) -> &SharedObjects {
        &self.shared
    }

    /// kube's client over the same transport, for typed and dynamic access (`kube::Api`),
    /// discovery, exec and port-forward. No time limit applies there.
    #[must_use]
    pub fn kube(&self) -> &kube::Client {
        &self.kube
    }

    /// Sends any request; the answer comes back as it is, failure or not, with its body unread.
    /// The URI holds path and query only. No time limit applies.
    ///
    /// # Errors
    /// [`Error::Transport`].
    pub async fn raw(&self, request: Request<Vec<u8>>) -> Result<Response<ClientBody>> {
        let response = self.kube.send(request.map(ClientBody::from)).await;
        response.map_err(|error| match error {
            kube::Error::Service(source) => Error::Transport(source),
            other => Error::Transport(other.into()),
        })
    }

    /// Reads a path of the API that is not a resource, for instance `/version`.
    ///
    /// # Errors
    /// Those of a GET, and [`Error::Decode`] where the answer is not a `T`.
    pub async fn get_path<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let request = Request::get(path).body(Vec::new()).map_err(Error::build)?;
        let bytes = self.call(request).await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::decode(path, e))
    }

    /// Sends a request and reads its answer, or the failure it was answered with.
    pub(crate) async fn call(&self, request: Request<Vec<u8>>) -> Result<Bytes> {
        let path = request.uri().path().to_owned();
        limited(async {
            let response = self.raw(request).await?;
            collect(response, &path).await
        })
        .await
    }

    /// Starts a watch: the time limit covers the head of the answer only.
    pub(crate) async fn open(&self, request: Request<Vec<u8>>) -> Result<ClientBody> {
        let path = request.uri().path().to_owned();
        let response = limited(self.raw(request)).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let code = response.status().as_u16();
        let bytes = read_all(response.into_body()).await?;
        Err(Error::Status(Box::new(failure(code, &bytes, &path))))
    }
}

/// Waits for a request as long as a request may take.
pub(crate) async fn limited<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(|_| Error::Timeout(REQUEST_TIMEOUT))?
}

async fn collect(response: Response<ClientBody>, path: &str) -> Result<Bytes> {
    let status = response.status();
    let bytes = read_all(response.into_body()).await?;
    if status.is_success() {
        return Ok(bytes);
    }
    let status = failure(status.as_u16(), &bytes, path);
    Err(Error::Status(Box::new(status)))
}

async fn read_all(mut body: ClientBody) -> Result<Bytes> {
    // Most answers are one frame, which is handed on without a copy.
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::Transport(e.into()))?;
        let Ok(data) = frame.into_data() else {
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
