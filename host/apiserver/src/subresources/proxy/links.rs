//! Links of an answer, made to lead through the proxy again, and the headers that tell a workload where it
//! is seen.

use http::Response;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use k3s_serve::{Body, body};

use super::html::Rewriter;
use crate::request::RequestInfo;

pub(super) struct Links {
    /// The path of the proxy, without a slash at its end.
    prefix: String,
    /// Authorities of links that mean the workload: its own, and that of this server as the client names it.
    own: Vec<String>,
}

impl Links {
    pub(super) fn new(info: &RequestInfo, own: Vec<String>) -> Self {
        let namespace = match info.namespace.as_str() {
            "" => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        let (resource, name) = (&info.resource, &info.name);
        let prefix = format!("/api/{}{namespace}/{resource}/{name}/proxy", info.version);
        Self { prefix, own }
    }

    /// Tells the workload how its `path` is seen from outside.
    pub(super) fn announce(&self, path: &str, headers: &mut HeaderMap) {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if let Ok(value) = HeaderValue::try_from(format!("{}{path}", self.prefix)) {
            headers.insert("x-forwarded-uri", value);
        }
    }

    /// An answer whose redirect, or whose page, leads back here.
    pub(super) fn rewrite(self, mut answer: Response<Body>) -> Response<Body> {
        let headers = answer.headers_mut();
        if let Some(location) = headers.get(LOCATION) {
            let link = location
                .to_str()
                .ok()
                .and_then(|link| self.through_proxy(link));
            if let Some(value) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
                headers.insert(LOCATION, value);
            }
            return answer;
        }
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next());
        // The request offers no encoding, so that an answer has one only against the rules.
        if kind.map(str::trim) != Some("text/html") || headers.contains_key(CONTENT_ENCODING) {
            return answer;
        }
        headers.remove(CONTENT_LENGTH);
        let mut rewriter = Rewriter::new(move |link: &str| self.through_proxy(link));
        answer.map(|page| {
            body::mapped(page, move |chunk| match chunk {
                Some(chunk) => rewriter.feed(&chunk).into(),
                None => rewriter.finish().into(),
            })
        })
    }

    /// The same link through the proxy; `None` where it is relative, leads elsewhere or leads here already.
    fn through_proxy(&self, link: &str) -> Option<String> {
        let (scheme, rest) = split_scheme(link);
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None if scheme.is_empty() => ("", rest),
            None => return None,
        };
        let elsewhere = !authority.is_empty() && !self.own.iter().any(|own| own == authority);
        if elsewhere || !path.starts_with('/') || path.starts_with(&self.prefix) {
            return None;
        }
        // Only the client's name for this server may stay in a link.
        let client_named = self.own.last().is_some_and(|host| host == authority);
        let base = if client_named {
            link.get(..link.len().saturating_sub(path.len()))?
        } else {
            ""
        };
        Some(format!("{base}{}{path}", self.prefix))
    }
}

/// The scheme of a link with its colon, and the rest.
fn split_scheme(link: &str) -> (&str, &str) {
    let end = link.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
    match end.map(|at| link.split_at(at)) {
        Some((scheme, rest)) if rest.starts_with(':') && !scheme.is_empty() => {
            let rest = rest.strip_prefix(':').unwrap_or(rest);
            (scheme, rest)
        }
        _ => ("", link),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        let info = RequestInfo {
            version: "v1".to_owned(),
            namespace: "ns".to_owned(),
            resource: "pods".to_owned(),
            name: "http:a:80".to_owned(),
            ..RequestInfo::default()
        };
        Links::new(
            &info,
            vec!["10.42.0.5:80".to_owned(), "k8s:6443".to_owned()],
        )
    }

    #[test]
    fn links_to_the_workload_lead_through_the_proxy() {
        let prefix = "/api/v1/namespaces/ns/pods/http:a:80/proxy";
        for (link, expected) in [
            ("/x?a=/b#c", Some(format!("{prefix}/x?a=/b#c"))),
            ("/", Some(format!("{prefix}/"))),
            ("http://10.42.0.5:80/x", Some(format!("{prefix}/x"))),
            ("//10.42.0.5:80/x", Some(format!("{prefix}/x"))),
            (
                "https://k8s:6443/x",
                Some(format!("https://k8s:6443{prefix}/x")),
            ),
            ("x", None),
            ("../x", None),
            ("?a=1", None),
            ("#top", None),
            ("", None),
            ("http://example.com/x", None),
            ("mailto:/a@example.com", None),
            ("javascript:/x/", None),
            ("/api/v1/namespaces/ns/pods/http:a:80/proxy/x", None),
        ] {
            assert_eq!(links().through_proxy(link), expected, "{link}");
        }
    }

    #[test]
    fn only_pages_and_redirects_change() {
        let answer = |name: http::HeaderName, value: &'static str| {
            let mut answer = Response::new(body::full("<a href=/x>"));
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
            answer
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(11));
            links().rewrite(answer)
        };
        let page = answer(CONTENT_TYPE, "text/html; charset=utf-8");
        assert!(!page.headers().contains_key(CONTENT_LENGTH));
        let redirect = answer(LOCATION, "/x");
        let expected = "/api/v1/namespaces/ns/pods/http:a:80/proxy/x";
        assert_eq!(redirect.headers()[LOCATION], expected);
        let text = answer(CONTENT_TYPE, "text/plain");
        assert_eq!(text.headers()[CONTENT_LENGTH], "11");
    }
}
