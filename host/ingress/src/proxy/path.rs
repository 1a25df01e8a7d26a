//! Paths are put into one form before they are matched, so that a request cannot reach a path under
//! another's rule: `/public/../admin` is `/admin` (Traefik's `sanitizePath`, RFC 3986 section 6.2.2).

use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use k3s_serve::Body;

use crate::middleware::answer;

/// Rewrites the request's path where it is not in its plain form.
pub(crate) fn clean<B>(request: &mut Request<B>) -> Result<(), Response<Body>> {
    let path = request.uri().path();
    if !needs_cleaning(path) {
        return Ok(());
    }
    let cleaned = normalize(path);
    set_path(request, &cleaned).map_err(|()| answer(StatusCode::BAD_REQUEST, "400 bad request\n"))
}

/// Puts another path into the request; the query stays.
pub(crate) fn set_path<B>(request: &mut Request<B>, path: &str) -> Result<(), ()> {
    let text = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().map_err(|_| ())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ())?;
    Ok(())
}

fn needs_cleaning(path: &str) -> bool {
    path.contains('%') || path.contains("//") || path.contains("/.")
}

fn normalize(path: &str) -> String {
    let decoded = decode_unreserved(path);
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    let last = segments.len().saturating_sub(1);
    let mut ends_with_slash = false;
    for (at, segment) in segments.iter().enumerate() {
        ends_with_slash = at == last && matches!(*segment, "" | "." | "..");
        match *segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut out = String::with_capacity(decoded.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if ends_with_slash || out.is_empty() {
        out.push('/');
    }
    out
}

/// `%61` is `a`. Slashes and everything else that has a meaning stay encoded.
fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let code = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (code, after.get(2..)) {
            (Some(code), Some(tail)) if code.is_ascii_alphanumeric() || b"-._~".contains(&code) => {
                out.push(char::from(code));
                rest = tail;
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (path, plain) in [
            ("/public/../admin", "/admin"),
            ("/public/%2e%2e/admin", "/admin"),
            ("/a//b", "/a/b"),
            ("/a/./b/", "/a/b/"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/a/..", "/"),
            ("/%61%2Fb%20c", "/a%2Fb%20c"),
            ("/.well-known/x", "/.well-known/x"),
            ("/100%", "/100%"),
        ] {
            assert!(needs_cleaning(path), "{path}");
            assert_eq!(normalize(path), plain, "{path}");
        }
    }
}
