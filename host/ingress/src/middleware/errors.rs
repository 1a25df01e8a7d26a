//! `errors`: answers with certain codes get their body from another service.

use std::sync::Arc;

use http::header::{ACCEPT, HOST};
use http::{HeaderMap, Method, Request};

use super::{Answer, Exchange, Layer, Next};
use crate::model;
use crate::upstream::balance::Balancer;

/// Pages for codes.
pub(crate) struct ErrorPages {
    status: Vec<(u16, u16)>,
    query: String,
    target: Arc<Balancer>,
}

impl ErrorPages {
    pub(crate) fn new(settings: &model::ErrorPages, target: Balancer) -> Self {
        Self {
            status: settings.status.clone(),
            query: settings.query.clone(),
            target: Arc::new(target),
        }
    }

    fn path(&self, code: u16, url: &str) -> String {
        let escaped: String = url.bytes().map(escape).collect();
        let path = self
            .query
            .replace("{status}", &code.to_string())
            .replace("{url}", &escaped);
        if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        }
    }
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

impl Layer for ErrorPages {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        let origin = exchange.origin.clone();
        let path = exchange
            .request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let scheme = if origin.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}{path}", origin.host_header);
        let mut head = HeaderMap::new();
        for name in [HOST, ACCEPT] {
            head.extend(
                exchange
                    .request
                    .headers()
                    .get(&name)
                    .map(|value| (name, value.clone())),
            );
        }
        Box::pin(async move {
            let response = next.run(exchange).await;
            let code = response.status().as_u16();
            if !self
                .status
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&code))
            {
                return response;
            }
            let mut request = Request::new(k3s_serve::body::empty());
            *request.method_mut() = Method::GET;
            *request.headers_mut() = head;
            let Ok(uri) = self.path(code, &url).parse() else {
                return response;
            };
            *request.uri_mut() = uri;
            let mut page = next
                .proxy
                .forward(&self.target, Exchange { request, origin })
                .await;
            // The client sees what happened, with a page about it.
            *page.status_mut() = response.status();
            page
        })
    }
}
