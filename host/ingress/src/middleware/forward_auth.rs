//! `forwardAuth`: another server decides.

use http::header::CONTENT_LENGTH;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use k3s_base::error::chain;
use regex::Regex;

use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::MiddlewareError;
use crate::model;
use crate::proxy::headers;
use crate::table::rule::regex;
use crate::upstream::body::Keeper;
use crate::upstream::client::Client;
use crate::upstream::pool::Endpoint;

/// Asks before it lets pass.
pub(crate) struct ForwardAuth {
    client: std::sync::Arc<Client>,
    endpoint: Endpoint,
    address: Uri,
    response_headers: Vec<HeaderName>,
    response_pattern: Option<Regex>,
    /// Empty sends all.
    request_headers: Vec<HeaderName>,
}

impl ForwardAuth {
    /// `client` speaks the address's scheme.
    pub(crate) fn new(
        settings: &model::ForwardAuth,
        client: std::sync::Arc<Client>,
    ) -> Result<Self, MiddlewareError> {
        let bad = || MiddlewareError::Address(settings.address.clone());
        let address: Uri = settings.address.parse().map_err(|_| bad())?;
        let host = address.host().ok_or_else(bad)?;
        let port = address
            .port_u16()
            .unwrap_or(if address.scheme_str() == Some("https") {
                443
            } else {
                80
            });
        let names = |list: &[String]| {
            list.iter()
                .map(|name| {
                    name.parse()
                        .map_err(|_| MiddlewareError::HeaderName(name.clone()))
                })
                .collect::<Result<_, _>>()
        };
        let pattern = Some(&settings.response_headers_regexp).filter(|pattern| !pattern.is_empty());
        Ok(Self {
            client,
            endpoint: Endpoint::new(format!("{host}:{port}").parse().map_err(|_| bad())?),
            response_headers: names(&settings.response_headers)?,
            response_pattern: pattern
                .map(|pattern| regex(&format!("(?i){pattern}")))
                .transpose()?,
            request_headers: names(&settings.request_headers)?,
            address,
        })
    }

    fn question(
        &self,
        exchange: &Exchange,
        node_name: &str,
    ) -> Request<crate::upstream::body::Outgoing> {
        let from = exchange.request.headers();
        let mut head = HeaderMap::new();
        for (name, value) in from {
            if self.request_headers.is_empty() || self.request_headers.contains(name) {
                head.append(name.clone(), value.clone());
            }
        }
        headers::strip_hop_by_hop(&mut head);
        head.remove(CONTENT_LENGTH);
        headers::introduce(&mut head, &exchange.origin, false, node_name);
        let uri = exchange
            .request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        for (name, value) in [
            ("x-forwarded-method", exchange.request.method().as_str()),
            ("x-forwarded-uri", uri),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                head.insert(name, value);
            }
        }
        headers::set_host(
            &mut head,
            self.address
                .authority()
                .map_or("", |authority| authority.as_str()),
        );
        // A body is never read for this, so it cannot be missing.
        let body = Keeper::new(k3s_serve::body::empty()).whole();
        let mut request = Request::new(body);
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.address.clone();
        *request.headers_mut() = head;
        request
    }

    /// What the other server says of the request becomes part of it.
    fn copy(&self, from: &HeaderMap, to: &mut HeaderMap) {
        for name in &self.response_headers {
            headers::claim(to, name);
            for value in from.get_all(name) {
                to.append(name.clone(), value.clone());
            }
        }
        let Some(pattern) = &self.response_pattern else {
            return;
        };
        headers::remove_where(to, |name| pattern.is_match(name));
        for (name, value) in from
            .iter()
            .filter(|(name, _)| pattern.is_match(name.as_str()))
        {
            to.append(name.clone(), value.clone());
        }
    }
}

impl Layer for ForwardAuth {
    fn handle<'a>(&'a self, mut exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        Box::pin(async move {
            let question = self.question(&exchange, &next.proxy.node_name);
            let host = self
                .address
                .authority()
                .map_or("", |authority| authority.as_str());
            let response = match self.client.send(&self.endpoint, host, question).await {
                Ok(response) => response,
                Err(error) => {
                    let (error, address) = (chain(&error), &self.address);
                    tracing::debug!(error, %address, "the authentication server gave no answer");
                    return answer(StatusCode::INTERNAL_SERVER_ERROR, "");
                }
            };
            if response.status().is_success() {
                self.copy(response.headers(), exchange.request.headers_mut());
                return next.run(exchange).await;
            }
            let mut refused = response.map(k3s_serve::body::boxed);
            headers::strip_hop_by_hop(refused.headers_mut());
            refused
        })
    }
}
