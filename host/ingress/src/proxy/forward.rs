//! Sends a request to its target: chooses a backend and an endpoint, and tries another endpoint where
//! that is safe.

use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use k3s_base::error::chain;
use k3s_serve::Body;

use super::cookie::Sticky;
use super::{NoAnswer, Proxy, bad_request, headers, upgrade};
use crate::middleware::{Exchange, answer};
use crate::upstream::balance::{Balancer, Choice, service_id};
use crate::upstream::body::Keeper;
use crate::upstream::client::SendError;
use crate::upstream::pool::Endpoint;

/// Endpoints tried for one request. A Service's endpoints vanish one or two at a time; more attempts
/// would turn an outage into a storm.
const MAX_ENDPOINTS: usize = 3;

/// A response and the endpoint that gave it.
struct Sent {
    response: Response<Incoming>,
    endpoint: Endpoint,
}

impl Proxy {
    /// Sends a request to its target.
    pub(crate) async fn forward(
        &self,
        target: &Balancer,
        mut exchange: Exchange,
    ) -> Response<Body> {
        let headers = exchange.request.headers();
        let backend = Sticky::read(target.sticky(), target.label(), headers);
        let Some(choice) = target.choose(Sticky::sent(backend.as_ref())) else {
            return no_server();
        };
        let upgrade = self.prepare_request(&mut exchange, choice.client.upgrades());
        let headers = exchange.request.headers();
        let endpoint = Sticky::read(choice.backend.sticky.as_ref(), &choice.service, headers);
        let preferred = Sticky::sent(endpoint.as_ref());
        let mut sent = match self.send(choice, preferred, exchange).await {
            Ok(sent) => sent,
            Err(response) => return response,
        };
        if sent.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = upgrade else {
                return answer(StatusCode::BAD_GATEWAY, "Bad Gateway");
            };
            upgrade::join(client, &mut sent.response, &self.tunnels);
        } else {
            headers::strip_hop_by_hop(sent.response.headers_mut());
        }
        let mut response = sent.response.map(k3s_serve::body::boxed);
        if let Some(backend) = backend {
            backend.set(response.headers_mut(), &service_id(&choice.service));
        }
        if let Some(endpoint) = endpoint {
            endpoint.set(response.headers_mut(), &sent.endpoint.id);
        }
        response
    }

    /// Replaces the hop-by-hop headers by this hop's, and takes the client's side of an upgrade, if the
    /// request asks for one and the server's client can pass it on.
    fn prepare_request(&self, exchange: &mut Exchange, upgrades: bool) -> Option<OnUpgrade> {
        let request = &mut exchange.request;
        let protocol = headers::upgrade_of(request.headers())
            .filter(|_| upgrades && request.version() != Version::HTTP_2);
        let client = protocol
            .is_some()
            .then(|| hyper::upgrade::on(&mut *request));
        let headers = request.headers_mut();
        headers::strip_hop_by_hop(headers);
        let websocket = |name: &HeaderValue| name.as_bytes().eq_ignore_ascii_case(b"websocket");
        let is_websocket = protocol.as_ref().is_some_and(websocket);
        headers::introduce(headers, &exchange.origin, is_websocket, &self.node_name);
        if let Some(protocol) = protocol {
            headers::ask_upgrade(headers, protocol);
        }
        client
    }

    /// Tries endpoints until one responds or the request may not be repeated.
    async fn send(
        &self,
        choice: &Choice,
        preferred: Option<&str>,
        exchange: Exchange,
    ) -> Result<Sent, Response<Body>> {
        let endpoints = choice.pool.candidates(MAX_ENDPOINTS, preferred);
        let Exchange { request, origin } = exchange;
        let (mut parts, body) = request.into_parts();
        parts.extensions.clear();
        let body = Keeper::new(body);
        let mut last = None;
        for endpoint in endpoints {
            let Some(attempt) = body.attempt() else { break };
            if last.is_some() {
                self.metrics.retried();
            }
            let host = if choice.backend.pass_host_header {
                &*origin.host_header
            } else {
                endpoint.authority.as_str()
            };
            headers::set_host(&mut parts.headers, host);
            let request = Request::from_parts(parts.clone(), attempt);
            let error = match choice.client.send(&endpoint, host, request).await {
                Ok(response) => return Ok(Sent { response, endpoint }),
                Err(error) => error,
            };
            tracing::debug!(
                service = %choice.service,
                endpoint = %endpoint.authority,
                error = chain(&error),
                "no response"
            );
            let may_repeat = may_repeat(&error, &parts.method);
            last = Some(error);
            if !may_repeat {
                break;
            }
        }
        if body.failed() {
            return Err(bad_request());
        }
        Err(no_response(last.as_ref()))
    }
}

/// Whether another endpoint may get the same request: one that was not sent, or one that changes
/// nothing on the server (RFC 9110 section 9.2.2).
fn may_repeat(error: &SendError, method: &Method) -> bool {
    match error {
        SendError::NotSent(_) => true,
        SendError::Closed(_) => method.is_safe(),
        SendError::Timeout(_) | SendError::Failed(_) => false,
    }
}

/// The response in place of one that did not come, after this error of the last attempt.
fn no_response(last: Option<&SendError>) -> Response<Body> {
    let mut response = match last {
        None => no_server(),
        Some(SendError::Timeout(_)) => answer(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout"),
        Some(_) => answer(StatusCode::BAD_GATEWAY, "Bad Gateway"),
    };
    response.extensions_mut().insert(NoAnswer {
        may_have_been_seen: !matches!(last, None | Some(SendError::NotSent(_))),
    });
    response
}

fn no_server() -> Response<Body> {
    answer(StatusCode::SERVICE_UNAVAILABLE, "no available server\n")
}
