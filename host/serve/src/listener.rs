//! Accepting connections until the stop signal.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::header::EXPECT;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tower::Service;
use tracing::{debug, warn};

use crate::body::{self, Body};
use crate::connection::{Connection, serve_connection};
use crate::error::BoxError;
use crate::options::ServeOptions;
use crate::places::Places;
use crate::unread::Rest;

/// When file descriptors have run out and the like, trying again at once would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves on `listener` until `tasks` stops; returns at once. Without TLS it speaks HTTP/1.1.
///
/// ALPN protocols are set on a copy of the TLS settings, so the caller cannot forget them. The service sees
/// [`crate::PeerCertificates`], [`crate::RemoteAddr`] and [`crate::ConnectionSlot`] as extensions.
pub fn serve<S>(listener: TcpListener, options: ServeOptions, service: S, tasks: &Tasks)
where
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let options = Arc::new(with_alpn(options));
    let tasks = tasks.child("connections");
    let group = tasks.clone();
    tasks.spawn("accept", accept_loop(listener, options, service, group));
}

async fn accept_loop<S>(listener: TcpListener, options: Arc<ServeOptions>, service: S, tasks: Tasks)
where
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let places = Places::new(options.capacity);
    let stopping = tasks.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = places.accept(&listener, |_| true) => accepted,
            () = stopping.cancelled() => return,
        };
        let (stream, remote, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(error = chain(&error), "accept failed");
                tasks.sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let connection = Connection {
            stream,
            remote,
            options: options.clone(),
            tasks: tasks.clone(),
        };
        let service = service.clone();
        tasks.spawn("connection", async move {
            let _place = place;
            if let Err(error) = serve_connection(connection, service).await {
                debug!(%remote, error = %chain(&error), "connection ended");
            }
        });
    }
}

fn with_alpn(mut options: ServeOptions) -> ServeOptions {
    if let Some(tls) = &options.tls {
        let mut tls = ServerConfig::clone(tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        options.tls = Some(Arc::new(tls));
    }
    options
}

/// Turns a service over [`Body`] (the form in-process callers use) into one the listener takes.
pub fn boxed<S>(service: S) -> Boxed<S> {
    Boxed(service)
}

/// See [`boxed`].
#[derive(Clone, Debug)]
pub struct Boxed<S>(S);

impl<S> Service<Request<Incoming>> for Boxed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        // Whoever asks whether to send the body is answered without it.
        let is_http1 =
            request.version() <= Version::HTTP_11 && !request.headers().contains_key(EXPECT);
        let rest = Rest::new();
        let answering = self
            .0
            .call(request.map(|body| body::boxed(rest.lend(body))));
        Box::pin(answering.then(move |answered| async move {
            let mut answer = answered?;
            if is_http1 {
                rest.settle(&mut answer).await;
            }
            Ok(answer)
        }))
    }
}
