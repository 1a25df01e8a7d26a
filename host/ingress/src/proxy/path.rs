//! Paths are put into one form before they are matched, so that a request cannot reach a path under
//! another's rule: `/public/../admin` is `/admin` (Traefik's `sanitizePath`, RFC 3986 section 6.2.2).

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use k3s_serve::Body;

use super::bad_request;

/// How often a path may be encoded over and over; servers decode once, careless ones twice.
const MAX_DECODINGS: usize = 3;

/// Rewrites the request's path where it is not in its plain form.
pub(crate) fn clean<B>(request: &mut Request<B>) -> Result<(), Response<Body>> {
    let path = request.uri().path();
    if !needs_cleaning(path) {
        return Ok(());
    }
    let cleaned = normalize(path);
    set_path(request, &cleaned).map_err(|()| bad_request())
}

/// The other paths that a server may read in this one: with encoded characters decoded, once or all the way, with
/// backslashes for slashes, without parameters (`/a;x`), up to an encoded end. None where there is one reading.
///
/// Traefik refuses such characters by name where `encodedCharacters` says so, and passes them by default. Here they
/// pass as long as every reading has the same route.
pub(crate) fn readings(path: &str) -> Vec<String> {
    const ENCODED: [&str; 6] = ["%2F", "%5C", "%3B", "%25", "%3F", "%23"];
    if !path.contains(['%', '\\', ';']) {
        return Vec::new();
    }
    let upper = path.to_ascii_uppercase();
    if !path.contains(['\\', ';']) && !ENCODED.iter().any(|code| upper.contains(code)) {
        return Vec::new();
    }
    let once = decode(path, |_| true);
    let mut whole = once.clone();
    for _ in 0..MAX_DECODINGS {
        whole = decode(&whole, |_| true);
    }
    let end = whole.find(['?', '#']).unwrap_or(whole.len());
    let whole = without_parameters(whole.get(..end).unwrap_or_default());
    [once.clone(), without_parameters(&once), whole]
        .iter()
        .map(|reading| normalize(reading))
        .collect()
}

/// Slashes for backslashes, and segments up to their first semicolon.
fn without_parameters(path: &str) -> String {
    let slashed = path.replace('\\', "/");
    let segments = slashed.split('/');
    let plain: Vec<&str> = segments
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect();
    plain.join("/")
}

/// Whether a path ends early for servers that are written in C.
pub(crate) fn has_nul(path: &str) -> bool {
    path.contains("%00")
}

/// Whether a segment is `.` or `..`, so that servers read another path.
pub(crate) fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
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
    // Slashes and everything else that has a meaning stay encoded.
    let decoded = decode(path, |code| {
        code.is_ascii_alphanumeric() || b"-._~".contains(&code)
    });
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

/// `%61` is `a`, where `wanted`. What is not text becomes a replacement character.
fn decode(path: &str, wanted: impl Fn(u8) -> bool) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend_from_slice(before.as_bytes());
        let code = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (code, after.get(2..)) {
            (Some(code), Some(tail)) if wanted(code) => {
                out.push(code);
                rest = tail;
            }
            _ => {
                out.push(b'%');
                rest = after;
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
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

    #[test]
    fn a_path_has_the_readings_of_careless_servers() {
        for path in [
            "/admin%2fsecret",
            "/x/..%2fadmin/secret",
            "/x%2F..%2fadmin/secret",
            "/admin;x/secret",
            "/..;/admin/secret",
            "/x\\..\\admin\\secret",
            "/%5c..%5Cadmin%5csecret",
            "/admin%252fsecret",
            "/admin/secret%3Fx",
            "/admin/secret%3bx",
        ] {
            let readings = readings(path);
            assert!(
                readings.contains(&"/admin/secret".to_owned()),
                "{path}: {readings:?}"
            );
        }
        for path in ["/", "/a%20b", "/a/b.c", "/%C3%A9"] {
            assert!(readings(path).is_empty(), "{path}");
        }
        assert!(has_nul("/a%00") && !has_nul("/a%2500"));
    }
}
