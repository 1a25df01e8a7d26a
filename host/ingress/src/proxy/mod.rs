//! A request's way through: host and path, route, layers, target, report.

pub(crate) mod cookie;
mod forward;
pub(crate) mod headers;
pub(crate) mod path;
mod report;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::HOST;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use k3s_base::Clock;
use k3s_lifecycle::Tasks;
use k3s_serve::{Activity, Body};

use crate::metrics::IngressMetrics;
use crate::middleware::{Exchange, Next, Origin, answer};
use crate::table::rule::Facts;
use crate::table::{Served, Table};
use report::{Report, Reported};

/// What all connections share.
pub(crate) struct Proxy {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) metrics: IngressMetrics,
    pub(crate) clock: Clock,
    /// Upgraded connections run here; they end when the server stops.
    pub(crate) tunnels: Tasks,
    /// Sent as X-Forwarded-Server.
    pub(crate) node_name: String,
}

/// Marks a response that the proxy made because no server responded; layers may check for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// A server may have acted on the request.
    pub(crate) may_have_been_seen: bool,
}

/// What a connection knows before its first request.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) entry_point: &'static str,
    pub(crate) client: SocketAddr,
    pub(crate) activity: Activity,
    pub(crate) tls: bool,
    /// The name given in the handshake; empty for none.
    pub(crate) server_name: Arc<str>,
    /// The key of the TLS settings it was accepted with, where these are not the default ones.
    pub(crate) settings: Option<Arc<str>>,
}

impl Proxy {
    /// Answers one request.
    pub(crate) async fn serve(
        &self,
        connection: &Connection,
        mut request: Request<Incoming>,
    ) -> Response<Reported> {
        let mut report = Report::new(self, connection, &request);
        let host_header = match admit(&mut request) {
            Ok(host_header) => host_header,
            Err(response) => return report.attach(response),
        };
        let host: Arc<str> = host_of(&host_header).to_ascii_lowercase().into();
        if self.is_misdirected(connection, &host) {
            return report.attach(answer(
                StatusCode::MISDIRECTED_REQUEST,
                "Misdirected Request",
            ));
        }
        let route = match self.find(connection, &host, &request) {
            Ok(Some(route)) => route,
            Ok(None) => {
                return report.attach(answer(StatusCode::NOT_FOUND, "404 page not found\n"));
            }
            Err(Ambiguous) => return report.attach(bad_request()),
        };
        let origin = Origin {
            client: connection.client,
            tls: connection.tls,
            host,
            host_header: host_header.into(),
        };
        let exchange = Exchange {
            request: request.map(k3s_serve::body::boxed),
            origin,
        };
        let next = Next {
            layers: &route.layers,
            target: &route.target,
            proxy: self,
        };
        report.routed(&route);
        let response = next.run(exchange).await;
        report.attach(response)
    }

    /// A host that asks for other TLS settings (client certificates, say) than the connection was
    /// accepted with must not be reached over it.
    fn is_misdirected(&self, connection: &Connection, host: &str) -> bool {
        let table = self.table.load();
        connection.tls
            && table.tls_of(host).map(|settings| &settings.key) != connection.settings.as_ref()
    }

    fn find(
        &self,
        connection: &Connection,
        host: &str,
        request: &Request<Incoming>,
    ) -> Result<Option<Arc<Served>>, Ambiguous> {
        let table = self.table.load();
        let Some(entry) = table.of(connection.entry_point) else {
            return Ok(None);
        };
        let facts = Facts {
            host,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            method: request.method(),
            headers: request.headers(),
            client: connection.client.ip(),
            sni: &connection.server_name,
        };
        let found = entry.http.find(&facts);
        for path in path::readings(facts.path) {
            let facts = Facts {
                path: &path,
                ..facts
            };
            let other = entry.http.find(&facts);
            if other.map(Arc::as_ptr) != found.map(Arc::as_ptr) {
                return Err(Ambiguous);
            }
        }
        Ok(found.cloned())
    }
}

/// A server may read a path in the request that another route is for.
struct Ambiguous;

/// Puts a request into the form in which layers and servers may see it, and gives its Host.
fn admit(request: &mut Request<Incoming>) -> Result<String, Response<Body>> {
    path::clean(request)?;
    let hosts = request.headers().get_all(HOST).iter().count();
    // RFC 9112 section 3.2.
    let needs_host = request.version() == Version::HTTP_11;
    let host_header = host_header(request);
    if hosts > 1 || (needs_host && hosts == 0) || !is_host(&host_header) {
        return Err(bad_request());
    }
    if path::has_nul(request.uri().path()) {
        return Err(bad_request());
    }
    headers::settle(request.headers_mut());
    Ok(host_header)
}

pub(crate) fn bad_request() -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, "400 bad request\n")
}

/// Whether a text consists of what names, addresses and ports are written with (RFC 3986 section 3.2.2).
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    text.bytes().all(allowed)
}

/// The host as the client wrote it.
fn host_header(request: &Request<Incoming>) -> String {
    let of_uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let of_header = || {
        request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    match request.version() {
        Version::HTTP_2 => of_uri.or_else(of_header),
        _ => of_header().or(of_uri),
    }
    .unwrap_or_default()
}

/// Without port and closing dot.
fn host_of(header: &str) -> &str {
    let host = match header.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => {
            host
        }
        _ => header,
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port() {
        for (header, host) in [
            ("a.b:80", "a.b"),
            ("a.b.", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_of(header), host);
        }
    }
}
