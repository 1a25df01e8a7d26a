//! From a target to an answer: choose a backend and an endpoint, send, and try another one where that
//! is safe.

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use k3s_serve::Body;

use super::{NoAnswer, Proxy, cookie, headers, upgrade};
use crate::middleware::{Exchange, answer};
use crate::upstream::balance::{Balancer, Choice, service_id};
use crate::upstream::body::Keeper;
use crate::upstream::client::SendError;
use crate::upstream::pool::Endpoint;

/// Endpoints tried for one request. A Service's endpoints vanish one or two at a time; more attempts
/// would turn an outage into a storm.
const MAX_ENDPOINTS: usize = 3;

/// What came of sending.
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
        let wanted = target.sticky().and_then(|sticky| {
            let name = cookie::name(sticky, target.label());
            cookie::value(exchange.request.headers(), &name).map(str::to_owned)
        });
        let Some(choice) = target.choose(wanted.as_deref()) else {
            return no_server();
        };
        let upgrade = headers::upgrade_of(exchange.request.headers())
            .filter(|_| choice.client.upgrades() && exchange.request.version() != Version::HTTP_2);
        let leaving = upgrade
            .is_some()
            .then(|| upgrade::of_client(&mut exchange.request));
        let head = exchange.request.headers_mut();
        headers::strip_hop_by_hop(head);
        headers::introduce(head, &exchange.origin, upgrade.is_some(), &self.node_name);
        if let Some(protocol) = upgrade {
            head.insert(
                http::header::CONNECTION,
                http::HeaderValue::from_static("Upgrade"),
            );
            head.insert(http::header::UPGRADE, protocol);
        }
        let sticky = choice
            .backend
            .sticky
            .as_ref()
            .map(|sticky| (sticky, cookie::name(sticky, &choice.service)));
        let endpoint = sticky
            .as_ref()
            .and_then(|(_, name)| cookie::value(exchange.request.headers(), name));
        let endpoint = endpoint.map(str::to_owned);
        let mut sent = match self.send(choice, endpoint.as_deref(), exchange).await {
            Ok(sent) => sent,
            Err(response) => return response,
        };
        if sent.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = leaving else {
                return answer(StatusCode::BAD_GATEWAY, "Bad Gateway");
            };
            upgrade::join(client, &mut sent.response, &self.tunnels);
        } else {
            headers::strip_hop_by_hop(sent.response.headers_mut());
        }
        let mut response = sent.response.map(k3s_serve::body::boxed);
        if let Some(sticky) = target.sticky() {
            let id = service_id(&choice.service);
            if wanted.as_deref() != Some(&id) {
                cookie::set(
                    response.headers_mut(),
                    sticky,
                    &cookie::name(sticky, target.label()),
                    &id,
                );
            }
        }
        if let Some((sticky, name)) = sticky
            && endpoint.as_deref() != Some(&sent.endpoint.id)
        {
            cookie::set(response.headers_mut(), sticky, &name, &sent.endpoint.id);
        }
        response
    }

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
        let repeatable = parts.method.is_safe();
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
            match choice.client.send(&endpoint, host, request).await {
                Ok(response) => return Ok(Sent { response, endpoint }),
                Err(error) => {
                    tracing::debug!(service = %choice.service, endpoint = %endpoint.authority, %error, "no answer");
                    // A request that was not sent can be sent elsewhere; one that may have been seen
                    // only if it changes nothing (RFC 9110 section 9.2.2), and both only whole.
                    let again = match error {
                        SendError::NotSent(_) => true,
                        SendError::Closed(_) => repeatable,
                        SendError::Timeout(_) | SendError::Failed(_) => false,
                    };
                    last = Some(error);
                    if !again {
                        break;
                    }
                }
            }
        }
        let seen = !matches!(last, None | Some(SendError::NotSent(_)));
        let mut response = match last {
            None => no_server(),
            Some(SendError::Timeout(_)) => answer(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout"),
            Some(_) => answer(StatusCode::BAD_GATEWAY, "Bad Gateway"),
        };
        response.extensions_mut().insert(NoAnswer {
            may_have_been_seen: seen,
        });
        Err(response)
    }
}

fn no_server() -> Response<Body> {
    answer(StatusCode::SERVICE_UNAVAILABLE, "no available server\n")
}
