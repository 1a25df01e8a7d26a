//! `/exec`, `/attach` and `/portForward`: the runtime gives a URL, and the upgraded connection is
//! passed through to it byte for byte, whatever protocol the two ends speak.

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use k3s_base::error::chain;
use k3s_cri::{Code, v1};
use k3s_serve::{Body, body, upgrade};
use tokio::net::TcpStream;

use super::query::Query;
use super::{Server, text};
use crate::cri::CriError;
use crate::model::{Observed, State};

/// The target of a stream, besides the pod.
pub(super) enum Target<'a> {
    Exec { container: &'a str },
    Attach { container: &'a str },
    PortForward,
}

/// Why there is no stream, in upstream's words.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("pod does not exist")]
    NoPod,
    #[error("container not found (\"{0}\")")]
    NoContainer(String),
    #[error("sandbox not found")]
    NoSandbox,
    #[error("you must specify at least 1 of stdin, stdout, stderr")]
    NoStreams,
    #[error("the container runtime does not support this")]
    Unsupported,
    #[error(transparent)]
    Runtime(CriError),
}

impl StreamError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPod | Self::NoContainer(_) | Self::NoSandbox => StatusCode::NOT_FOUND,
            Self::NoStreams => StatusCode::BAD_REQUEST,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Runtime(error) if error.not_found() => StatusCode::NOT_FOUND,
            Self::Runtime(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<CriError> for StreamError {
    fn from(error: CriError) -> Self {
        match error.code {
            Code::Unimplemented => Self::Unsupported,
            _ => Self::Runtime(error),
        }
    }
}

/// Which of the standard streams are carried.
struct Streams {
    tty: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Streams {
    fn of(query: &Query) -> Self {
        let tty = query.flag("tty");
        Self {
            tty,
            stdin: query.flag("input"),
            stdout: query.flag("output"),
            // A terminal has one output.
            stderr: query.flag("error") && !tty,
        }
    }
}

/// Serves a stream of `(namespace, pod)`.
pub(super) async fn serve(
    server: &Server,
    request: Request<Incoming>,
    (namespace, pod): (&str, &str),
    target: Target<'_>,
    query: &Query,
) -> Response<Body> {
    if !upgrade::is_upgrade(request.headers()) {
        return text(StatusCode::BAD_REQUEST, "Upgrade request required");
    }
    match url(server, namespace, pod, target, query).await {
        Ok(url) => forward(server, request, &url).await,
        Err(error) => text(error.status(), error.to_string()),
    }
}

/// Where the runtime serves the stream.
async fn url(
    server: &Server,
    namespace: &str,
    pod: &str,
    target: Target<'_>,
    query: &Query,
) -> Result<String, StreamError> {
    let cri = &server.cri;
    let handle = server.pods.by_name(namespace, pod);
    let handle = handle.ok_or(StreamError::NoPod)?;
    let observed = cri.observe(&handle.uid).await?;
    let url = match target {
        Target::Exec { container } => {
            let request = exec_request(running(&observed, container)?, query)?;
            cri.exec(request).await
        }
        Target::Attach { container } => {
            let request = attach_request(running(&observed, container)?, query);
            cri.attach(request).await
        }
        Target::PortForward => {
            let sandbox = observed.ready_sandbox().ok_or(StreamError::NoSandbox)?;
            let request = v1::PortForwardRequest {
                pod_sandbox_id: sandbox.id.clone(),
                port: ports(query),
            };
            cri.port_forward(request).await
        }
    };
    Ok(url?)
}

/// The id of the container of that name, if it runs.
fn running(observed: &Observed, name: &str) -> Result<String, StreamError> {
    let record = observed.latest(name);
    let record = record.filter(|record| record.state == State::Running);
    let record = record.ok_or_else(|| StreamError::NoContainer(name.to_owned()))?;
    Ok(record.id.clone())
}

fn exec_request(container_id: String, query: &Query) -> Result<v1::ExecRequest, StreamError> {
    let streams = Streams::of(query);
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(StreamError::NoStreams);
    }
    Ok(v1::ExecRequest {
        container_id,
        cmd: query.all("command"),
        tty: streams.tty,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
    })
}

fn attach_request(container_id: String, query: &Query) -> v1::AttachRequest {
    let streams = Streams::of(query);
    v1::AttachRequest {
        container_id,
        stdin: streams.stdin,
        tty: streams.tty,
        stdout: streams.stdout,
        stderr: streams.stderr,
    }
}

/// The ports in `port=80,81&port=82`.
fn ports(query: &Query) -> Vec<i32> {
    let values = query.all("port");
    let numbers = values.iter().flat_map(|value| value.split(','));
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Why the runtime's streaming server cannot be reached.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the URL cannot be used")]
    Url(#[from] http::uri::InvalidUri),
    #[error("the URL names no host")]
    NoHost,
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error(transparent)]
    Upgrade(k3s_serve::ServeError),
}

async fn forward(server: &Server, mut request: Request<Incoming>, url: &str) -> Response<Body> {
    match try_forward(server, &mut request, url).await {
        Ok(response) => response,
        Err(error) => text(
            StatusCode::BAD_GATEWAY,
            format!("streaming server of the runtime: {}", chain(&error)),
        ),
    }
}

async fn try_forward(
    server: &Server,
    request: &mut Request<Incoming>,
    url: &str,
) -> Result<Response<Body>, ForwardError> {
    let url: Uri = url.parse()?;
    let Some(authority) = url.authority() else {
        return Err(ForwardError::NoHost);
    };
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port)).await;
    let stream = stream.map_err(ForwardError::Connect)?;
    let path = url.path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let outbound = outbound(request, authority, path)?;
    upgrade::proxy(request, outbound, Box::new(stream), &server.tasks)
        .await
        .map_err(ForwardError::Upgrade)
}

/// The request as the runtime's server gets it.
fn outbound(
    request: &Request<Incoming>,
    authority: &Authority,
    path: &str,
) -> http::Result<Request<Body>> {
    let host = HeaderValue::from_str(authority.as_str())?;
    let method = request.method().clone();
    let mut outbound = Request::builder().method(method).uri(path);
    if let Some(headers) = outbound.headers_mut() {
        copy_headers(request.headers(), headers);
        headers.insert(http::header::HOST, host);
    }
    outbound.body(body::empty())
}

/// Copies all headers but the host and the client's credentials, which are for this server only.
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let is_own = name == http::header::AUTHORIZATION || name == http::header::HOST;
        if !is_own {
            to.append(name.clone(), value.clone());
        }
    }
}
