//! `/exec`, `/attach` and `/portForward`: the runtime gives a URL, and the upgraded connection is
//! passed through to it byte for byte, whatever protocol the two ends speak.

use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use k3s_base::error::chain;
use k3s_cri::{Code, v1};
use k3s_serve::{Body, body, upgrade};
use tokio::net::TcpStream;

use super::query::Query;
use super::{Server, text};
use crate::cri::CriError;
use crate::pod::model::{ContainerRecord, State};

/// What the client wants to stream.
pub(crate) enum What<'a> {
    Exec { container: &'a str },
    Attach { container: &'a str },
    PortForward,
}

/// Serves one of them.
pub(crate) async fn serve(
    server: &Server,
    request: Request<Incoming>,
    namespace: &str,
    pod: &str,
    what: What<'_>,
    query: &Query,
) -> Response<Body> {
    if !upgrade::is_upgrade(request.headers()) {
        return text(StatusCode::BAD_REQUEST, "Upgrade request required");
    }
    match url(server, namespace, pod, what, query).await {
        Ok(url) => forward(server, request, &url).await,
        Err(response) => *response,
    }
}

fn refuse(code: StatusCode, message: impl Into<String>) -> Box<Response<Body>> {
    Box::new(text(code, message))
}

fn runtime_error(error: CriError) -> Box<Response<Body>> {
    match error.code {
        Code::Unimplemented => refuse(
            StatusCode::NOT_IMPLEMENTED,
            "the container runtime does not support this",
        ),
        Code::NotFound => refuse(StatusCode::NOT_FOUND, error.message),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.message),
    }
}

async fn url(
    server: &Server,
    namespace: &str,
    pod: &str,
    what: What<'_>,
    query: &Query,
) -> Result<String, Box<Response<Body>>> {
    let cri = &server.cri;
    let handle = server
        .pods
        .by_name(namespace, pod)
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "pod does not exist"))?;
    let observed = cri.observe(&handle.uid).await.map_err(runtime_error)?;
    let running = |name: &str| -> Result<ContainerRecord, Box<Response<Body>>> {
        let found = observed
            .latest(name)
            .filter(|r| r.state == State::Running)
            .cloned();
        found.ok_or_else(|| {
            refuse(
                StatusCode::NOT_FOUND,
                format!("container not found (\"{name}\")"),
            )
        })
    };
    let tty = query.flag("tty");
    let (stdin, stdout, stderr) = (
        query.flag("input"),
        query.flag("output"),
        query.flag("error") && !tty,
    );
    match what {
        What::Exec { container } => {
            let cmd = query.all("command");
            if !(stdin || stdout || stderr) {
                return Err(refuse(
                    StatusCode::BAD_REQUEST,
                    "you must specify at least 1 of stdin, stdout, stderr",
                ));
            }
            let request = v1::ExecRequest {
                container_id: running(container)?.id,
                cmd,
                tty,
                stdin,
                stdout,
                stderr,
            };
            cri.exec(request).await.map_err(runtime_error)
        }
        What::Attach { container } => {
            let request = v1::AttachRequest {
                container_id: running(container)?.id,
                stdin,
                tty,
                stdout,
                stderr,
            };
            cri.attach(request).await.map_err(runtime_error)
        }
        What::PortForward => {
            let sandbox = observed
                .ready_sandbox()
                .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "sandbox not found"))?;
            let ports = query
                .all("port")
                .iter()
                .flat_map(|p| p.split(','))
                .filter_map(|p| p.parse().ok())
                .collect();
            let request = v1::PortForwardRequest {
                pod_sandbox_id: sandbox.id.clone(),
                port: ports,
            };
            cri.port_forward(request).await.map_err(runtime_error)
        }
    }
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
    let authority = url.authority().ok_or(ForwardError::NoHost)?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port))
        .await
        .map_err(ForwardError::Connect)?;
    let path = url.path_and_query().map_or("/", |p| p.as_str());
    let mut outbound = Request::builder()
        .method(request.method().clone())
        .uri(path);
    if let Some(headers) = outbound.headers_mut() {
        for (name, value) in request.headers() {
            // The client's credentials are for this server only.
            if name != http::header::AUTHORIZATION && name != http::header::HOST {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.insert(
            http::header::HOST,
            HeaderValue::from_str(authority.as_str()).map_err(http::Error::from)?,
        );
    }
    let outbound = outbound.body(body::empty())?;
    upgrade::proxy(request, outbound, Box::new(stream), &server.tasks)
        .await
        .map_err(ForwardError::Upgrade)
}
