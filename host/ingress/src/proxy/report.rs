//! What is noted of a request once its answer is out: metrics and the access log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use k3s_base::Clock;
use k3s_serve::{Body, BoxError, Busy};

use super::{Connection, Proxy};
use crate::metrics::{Finished, IngressMetrics};
use crate::table::Served;

/// A request's facts until its answer is complete or given up.
pub(crate) struct Report {
    metrics: IngressMetrics,
    clock: Clock,
    started: Duration,
    finished: Finished,
    line: Option<Box<Line>>,
    bytes: u64,
    /// The connection is not idle until the answer is complete.
    _busy: Busy,
}

/// What only the access log needs.
struct Line {
    client: std::net::SocketAddr,
    request: String,
    route: String,
}

impl Report {
    pub(crate) fn new<B>(proxy: &Proxy, connection: &Connection, request: &Request<B>) -> Self {
        let line = || Line {
            client: connection.client,
            request: format!(
                "{} {} {:?}",
                request.method(),
                request.uri(),
                request.version()
            ),
            route: String::new(),
        };
        Self {
            metrics: proxy.metrics.clone(),
            clock: proxy.clock.clone(),
            started: proxy.clock.elapsed(),
            finished: Finished {
                code: 0,
                method: request.method().clone(),
                version: request.version(),
                entry_point: connection.entry_point,
                service: Arc::default(),
                took: Duration::ZERO,
            },
            // One line per request is written at debug level only, as K3s leaves Traefik's log off.
            line: tracing::enabled!(target: "ingress_access", tracing::Level::DEBUG)
                .then(|| Box::new(line())),
            bytes: 0,
            _busy: connection.activity.begin(),
        }
    }

    pub(crate) fn routed(&mut self, route: &Served) {
        self.finished.service = route.target.label().clone();
        if let Some(line) = &mut self.line {
            line.route.clone_from(&route.name);
        }
    }

    /// Notes the answer's status; the rest follows when its body ends.
    pub(crate) fn attach(mut self, response: Response<Body>) -> Response<Reported> {
        self.finished.code = response.status().as_u16();
        response.map(|body| Reported { body, report: self })
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.finished.code == 0 {
            // The client went away before there was an answer (nginx's code for it).
            self.finished.code = 499;
        }
        self.finished.took = self.clock.elapsed().saturating_sub(self.started);
        self.metrics.finished(&self.finished);
        let Some(line) = &self.line else { return };
        let Finished {
            code,
            service,
            took,
            ..
        } = &self.finished;
        tracing::debug!(
            target: "ingress_access",
            "{} - - {:?} {code} {} {:?} {service:?} {}ms",
            line.client.ip(), line.request, self.bytes, line.route, took.as_millis(),
        );
    }
}

/// An answer's body, which knows its report.
pub(crate) struct Reported {
    body: Body,
    report: Report,
}

impl HttpBody for Reported {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.report.bytes = self.report.bytes.saturating_add(data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
