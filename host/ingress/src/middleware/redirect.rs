//! Layers that redirect the client to another URL.

use http::header::LOCATION;
use http::{HeaderValue, Method, Response, StatusCode};
use k3s_serve::Body;
use regex::Regex;

use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::PatternError;
use crate::model;
use crate::table::rule::regex;

/// A redirect.
#[derive(Debug)]
pub(crate) enum Redirect {
    /// By a pattern on the whole URL.
    Regexp {
        pattern: Regex,
        replacement: String,
        permanent: bool,
    },
    /// To another scheme and port.
    Scheme {
        scheme: String,
        port: String,
        permanent: bool,
    },
}

impl Redirect {
    pub(crate) fn regexp(redirect: &model::Redirect) -> Result<Self, PatternError> {
        Ok(Self::Regexp {
            pattern: regex(&redirect.rewrite.pattern)?,
            replacement: redirect.rewrite.replacement.clone(),
            permanent: redirect.permanent,
        })
    }

    pub(crate) fn scheme(redirect: &model::RedirectScheme) -> Self {
        Self::Scheme {
            scheme: redirect.scheme.clone(),
            port: redirect.port.clone(),
            permanent: redirect.permanent,
        }
    }

    fn location(&self, exchange: &Exchange) -> Option<String> {
        let origin = &exchange.origin;
        let scheme = if origin.tls { "https" } else { "http" };
        let path = exchange
            .request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        match self {
            Self::Regexp {
                pattern,
                replacement,
                ..
            } => {
                let url = format!("{scheme}://{}{path}", origin.host_header);
                let new = pattern.replace(&url, replacement.as_str()).into_owned();
                (new != url).then_some(new)
            }
            Self::Scheme {
                scheme: wanted,
                port,
                ..
            } => {
                let own = matches!(
                    (wanted.as_str(), port.as_str()),
                    ("https", "" | "443") | ("http", "" | "80")
                );
                let suffix = if own {
                    String::new()
                } else {
                    format!(":{port}")
                };
                // A request with the wanted scheme passes: a redirect would loop.
                (scheme != wanted).then(|| format!("{wanted}://{}{suffix}{path}", origin.host))
            }
        }
    }

    fn is_permanent(&self) -> bool {
        match self {
            Self::Regexp { permanent, .. } | Self::Scheme { permanent, .. } => *permanent,
        }
    }

    /// As Traefik answers: methods other than GET are kept by 307 and 308.
    fn answer(&self, method: &Method, location: &str) -> Response<Body> {
        let status = match (self.is_permanent(), *method == Method::GET) {
            (true, true) => StatusCode::MOVED_PERMANENTLY,
            (true, false) => StatusCode::PERMANENT_REDIRECT,
            (false, true) => StatusCode::FOUND,
            (false, false) => StatusCode::TEMPORARY_REDIRECT,
        };
        let Ok(value) = HeaderValue::from_str(location) else {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
        };
        let mut response = answer(status, status.canonical_reason().unwrap_or_default());
        response.headers_mut().insert(LOCATION, value);
        response
    }
}

impl Layer for Redirect {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        match self.location(&exchange) {
            Some(location) => {
                let response = self.answer(exchange.request.method(), &location);
                Box::pin(std::future::ready(response))
            }
            None => next.run(exchange),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::Origin;

    fn exchange(tls: bool, uri: &str) -> Exchange {
        let request = http::Request::builder()
            .uri(uri)
            .body(k3s_serve::body::empty())
            .unwrap();
        let client = "10.0.0.1:1".parse().unwrap();
        Exchange {
            request,
            origin: Origin {
                client,
                tls,
                host: "a.b".into(),
                host_header: "a.b:8080".into(),
            },
        }
    }

    #[test]
    fn locations() {
        let scheme = |port: &str| Redirect::Scheme {
            scheme: "https".into(),
            port: port.into(),
            permanent: true,
        };
        assert_eq!(
            scheme("").location(&exchange(false, "/x?y")).unwrap(),
            "https://a.b/x?y"
        );
        assert_eq!(
            scheme("8443").location(&exchange(false, "/")).unwrap(),
            "https://a.b:8443/"
        );
        assert_eq!(scheme("").location(&exchange(true, "/")), None);
        let pattern = Regex::new("^http://a\\.b[^/]*/(.*)").unwrap();
        let by = Redirect::Regexp {
            pattern,
            replacement: "https://c/${1}".into(),
            permanent: false,
        };
        assert_eq!(by.location(&exchange(false, "/x")).unwrap(), "https://c/x");
        assert_eq!(by.location(&exchange(true, "/x")), None);
        assert_eq!(
            by.answer(&Method::POST, "https://c/").status(),
            StatusCode::TEMPORARY_REDIRECT
        );
    }
}
