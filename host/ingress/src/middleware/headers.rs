//! Adds, replaces and removes headers; answers CORS preflights; refuses other hosts.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use regex::Regex;

use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::MiddlewareError;
use crate::model;
use crate::proxy::headers::claim;
use crate::table::rule::regex;

/// An empty value removes.
type Edits = Vec<(HeaderName, HeaderValue)>;

/// The settings, ready to use.
#[derive(Debug)]
pub(crate) struct Headers {
    request: Edits,
    response: Edits,
    response_on_tls: Edits,
    allowed_hosts: Vec<String>,
    cors: Option<Cors>,
}

#[derive(Debug)]
struct Cors {
    settings: model::Cors,
    origin_patterns: Vec<Regex>,
}

impl Headers {
    pub(crate) fn new(settings: &model::Headers) -> Result<Self, MiddlewareError> {
        let cors = settings.cors.as_ref().map(|cors| {
            let patterns = cors
                .allow_origin_regexps
                .iter()
                .map(|pattern| regex(pattern));
            Ok::<_, MiddlewareError>(Cors {
                origin_patterns: patterns.collect::<Result<_, _>>()?,
                settings: cors.clone(),
            })
        });
        Ok(Self {
            request: edits(&settings.request)?,
            response: edits(&settings.response)?,
            response_on_tls: edits(&settings.response_on_tls)?,
            allowed_hosts: settings
                .allowed_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            cors: cors.transpose()?,
        })
    }
}

fn edits(pairs: &[(String, String)]) -> Result<Edits, MiddlewareError> {
    let edit = |(name, value): &(String, String)| {
        let header = name
            .parse::<HeaderName>()
            .map_err(|_| MiddlewareError::HeaderName(name.clone()))?;
        let value = value
            .parse::<HeaderValue>()
            .map_err(|_| MiddlewareError::HeaderValue {
                name: name.clone(),
                value: value.clone(),
            })?;
        Ok((header, value))
    };
    pairs.iter().map(edit).collect()
}

fn apply(headers: &mut HeaderMap, edits: &Edits) {
    for (name, value) in edits {
        if value.is_empty() {
            headers.remove(name);
        } else {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl Layer for Headers {
    fn handle<'a>(&'a self, mut exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        if !self.allowed_hosts.is_empty()
            && !self
                .allowed_hosts
                .iter()
                .any(|host| **host == *exchange.origin.host)
        {
            return Box::pin(async { answer(StatusCode::FORBIDDEN, "Forbidden\n") });
        }
        let origin = exchange.request.headers().get(ORIGIN).cloned();
        if let (Some(cors), Some(origin)) = (&self.cors, &origin)
            && *exchange.request.method() == Method::OPTIONS
            && exchange
                .request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            let mut response = answer(StatusCode::OK, "");
            cors.preflight(response.headers_mut(), origin);
            return Box::pin(std::future::ready(response));
        }
        let request = exchange.request.headers_mut();
        for (name, _) in &self.request {
            claim(request, name);
        }
        apply(request, &self.request);
        let tls = exchange.origin.tls;
        Box::pin(async move {
            let mut response = next.run(exchange).await;
            let headers = response.headers_mut();
            apply(headers, &self.response);
            if tls {
                apply(headers, &self.response_on_tls);
            }
            if let Some(cors) = &self.cors {
                cors.answer(headers, origin.as_ref());
            }
            response
        })
    }
}

impl Cors {
    /// What `Access-Control-Allow-Origin` says to an origin.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let listed = &self.settings.allow_origins;
        if listed.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        let named = listed.iter().any(|allowed| allowed == text);
        (named
            || self
                .origin_patterns
                .iter()
                .any(|pattern| pattern.is_match(text)))
        .then(|| origin.clone())
    }

    fn preflight(&self, headers: &mut HeaderMap, origin: &HeaderValue) {
        let own = &self.settings;
        set_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, &own.allow_headers);
        set_list(headers, ACCESS_CONTROL_ALLOW_METHODS, &own.allow_methods);
        if let Some(seconds) = own.max_age_s {
            headers.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
        }
        self.common(headers, Some(origin));
    }

    fn answer(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        set_list(
            headers,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            &self.settings.expose_headers,
        );
        self.common(headers, origin);
    }

    fn common(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        if let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            if self.settings.allow_credentials {
                headers.insert(
                    ACCESS_CONTROL_ALLOW_CREDENTIALS,
                    HeaderValue::from_static("true"),
                );
            }
        }
        if self.settings.add_vary {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn set_list(headers: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if let (false, Ok(value)) = (values.is_empty(), values.join(",").parse()) {
        headers.insert(name, value);
    }
}
