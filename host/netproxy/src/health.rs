//! `healthCheckNodePort`: whether this node has endpoints of a Service, for load balancers in front.
//!
//! Answers as kube-proxy does (`pkg/proxy/healthcheck/service_health.go`): 200 with at least one ready
//! local endpoint, else 503, and a small JSON document.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::{CancellationToken, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::model::Service;
use crate::plan::Endpoints;
use crate::state::ServiceKey;

/// Callers of one port at a time; load balancers are few. Further ones wait in the kernel's queue.
const CALLERS: usize = 32;
/// How long one of them may take for everything.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an `accept` that failed (no file descriptors left).
const PAUSE: Duration = Duration::from_millis(100);

/// What a Service's port should answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) port: u16,
    /// Ready endpoints on this node.
    pub(crate) local: usize,
}

impl HealthCheck {
    /// None for Services without such a port.
    pub(crate) fn of(service: &Service, endpoints: &Endpoints) -> Option<Self> {
        let port = service
            .health_check_port
            .filter(|_| service.external_local)?;
        let ready = endpoints
            .values()
            .flatten()
            .filter(|e| e.local && e.ready)
            .map(|e| e.address);
        let local = ready
            .collect::<std::collections::BTreeSet<Ipv4Addr>>()
            .len();
        Some(Self { port, local })
    }
}

/// The open ports.
pub(crate) struct Health {
    tasks: Tasks,
    proxy_healthy: Arc<AtomicBool>,
    open: HashMap<ServiceKey, Open>,
    /// Ports that could not be opened, to be tried again.
    failed: HashMap<ServiceKey, HealthCheck>,
}

struct Open {
    port: u16,
    local: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Health {
    pub(crate) fn new(tasks: &Tasks) -> Self {
        let tasks = tasks.child("health checks");
        Self {
            tasks,
            proxy_healthy: Arc::default(),
            open: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    pub(crate) fn set_proxy_healthy(&self, healthy: bool) {
        self.proxy_healthy.store(healthy, Ordering::Relaxed);
    }

    /// Opens, closes or updates a Service's port.
    pub(crate) fn set(&mut self, service: &ServiceKey, wanted: Option<HealthCheck>) {
        self.failed.remove(service);
        let same_port = |open: &Open| wanted.is_some_and(|w| w.port == open.port);
        match (wanted, self.open.get(service)) {
            (Some(wanted), Some(open)) if same_port(open) => {
                open.local.store(wanted.local, Ordering::Relaxed)
            }
            (wanted, _) => {
                self.open.remove(service);
                if let Some(wanted) = wanted {
                    self.start(service, wanted);
                }
            }
        }
    }

    /// Retries what failed: another process may have had the port.
    pub(crate) fn retry(&mut self) {
        for (service, wanted) in std::mem::take(&mut self.failed) {
            self.start(&service, wanted);
        }
    }

    fn start(&mut self, service: &ServiceKey, wanted: HealthCheck) {
        let listener = match listen(wanted.port) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%service, port = wanted.port, error = chain(&error), "the health check port cannot be opened");
                self.failed.insert(service.clone(), wanted);
                return;
            }
        };
        let local = Arc::new(AtomicUsize::new(wanted.local));
        let stop = self.tasks.stopping().child_token();
        let (page, stopped, tasks) = (self.page(service, &local), stop.clone(), self.tasks.clone());
        self.tasks.spawn("listener", async move {
            tokio::select! {
                () = accept(listener, page, tasks) => {}
                () = stopped.cancelled() => {}
            }
        });
        self.open.insert(
            service.clone(),
            Open {
                port: wanted.port,
                local,
                stop,
            },
        );
    }

    fn page(&self, service: &ServiceKey, local: &Arc<AtomicUsize>) -> Arc<Page> {
        let (service, local, proxy_healthy) =
            (service.clone(), local.clone(), self.proxy_healthy.clone());
        Arc::new(Page {
            service,
            local,
            proxy_healthy,
        })
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, page: Arc<Page>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let page = page.clone();
        tasks.spawn_until_stopped("caller", async move {
            // What a caller does wrong is its own problem.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, page)).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, page: Arc<Page>) -> Result<(), hyper::Error> {
    let respond = move |_: Request<Incoming>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(page.response()))
    };
    http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await
}

struct Page {
    service: ServiceKey,
    local: Arc<AtomicUsize>,
    proxy_healthy: Arc<AtomicBool>,
}

impl Page {
    fn response(&self) -> Response<Full<Bytes>> {
        let local = self.local.load(Ordering::Relaxed);
        let healthy = self.proxy_healthy.load(Ordering::Relaxed);
        // Names of objects need no escapes.
        let (namespace, name) = k3s_client::split_key(&self.service);
        let body = format!(
            "{{\"service\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\"}},\"localEndpoints\":{local},\
             \"serviceProxyHealthy\":{healthy}}}"
        );
        let mut response = Response::new(Full::new(Bytes::from(body)));
        if local == 0 || !healthy {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            "x-content-type-options",
            HeaderValue::from_static("nosniff"),
        );
        headers.insert("x-load-balancing-endpoint-weight", HeaderValue::from(local));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_counts_local_endpoints() {
        let page = |local: usize, healthy: bool| Page {
            service: "default/web".into(),
            local: Arc::new(local.into()),
            proxy_healthy: Arc::new(healthy.into()),
        };
        assert_eq!(page(2, true).response().status(), StatusCode::OK);
        assert_eq!(
            page(0, true).response().status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            page(2, false).response().status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            page(2, true).response().headers()["x-load-balancing-endpoint-weight"],
            "2"
        );
    }
}
