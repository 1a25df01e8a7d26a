//! Hop-by-hop headers, and the headers that only this hop may write: done when a request arrives, before
//! anything reads it, so that no layer acts on what a client says under our names, or is undone by it.

use http::header::{CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::middleware::Origin;

/// RFC 9110 section 7.6.1, what proxies wrote before it, and HTTP/2's own (RFC 7540 section 3.2.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    HeaderName::from_static("http2-settings"),
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    http::header::PROXY_AUTHENTICATE,
    http::header::PROXY_AUTHORIZATION,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Protocols that a connection may leave HTTP for: kubectl speaks the second to API servers behind a route. `h2c`
/// is not one: the requests after it would pass every rule unseen.
const UPGRADES: [&str; 2] = ["websocket", "SPDY/3.1"];

/// Takes away from a request that arrives what was meant for this hop, and what a client says of itself under
/// names that only this hop may use (Traefik's `forwardedHeaders`; nobody is trusted by default), in any spelling
/// that servers take for the same. What is left of `Connection` and `Upgrade` asks for a protocol that is passed on.
pub(crate) fn settle(headers: &mut HeaderMap) {
    let upgrade = upgrade_of(headers);
    strip_hop_by_hop(headers);
    remove_where(headers, |name| {
        name.starts_with("x-forwarded-") || name == "x-real-ip" || name == "forwarded"
    });
    if let Some(protocol) = upgrade {
        ask_upgrade(headers, protocol);
    }
}

/// The protocol that a request wants to change to, if that is passed on.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    if !list(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let protocol = headers.get(UPGRADE)?;
    let text = protocol.to_str().ok()?;
    let is_known = UPGRADES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text));
    is_known.then(|| protocol.clone())
}

/// Asks the next hop for another protocol.
pub(crate) fn ask_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Removes a header that a layer speaks for, and those that servers read under the same name: to CGI, WSGI and
/// others, `X_User` and `X.User` are `X-User`.
pub(crate) fn claim(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    remove_where(headers, |found| found == name.as_str());
}

/// Removes the headers whose names, with dashes for all that is neither letter nor digit, are `unwanted`.
pub(crate) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let is_unwanted = |name: &&HeaderName| match plain(name.as_str()) {
        Some(plain) => unwanted(&plain),
        None => unwanted(name.as_str()),
    };
    let found: Vec<HeaderName> = headers.keys().filter(is_unwanted).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// A name with dashes for all that is neither letter nor digit; none if it is so already.
fn plain(name: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.bytes().all(is_plain) {
        return None;
    }
    let bytes = name.bytes();
    Some(
        bytes
            .map(|byte| {
                if is_plain(byte) {
                    char::from(byte)
                } else {
                    '-'
                }
            })
            .collect(),
    )
}

/// Removes what was meant for us. `TE: trailers` stays: gRPC servers ask for it.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<String> = list(headers, &CONNECTION).map(str::to_owned).collect();
        for name in named {
            if let Ok(name) = HeaderName::try_from(name)
                && name != HOST
            {
                headers.remove(name);
            }
        }
    }
    let trailers = list(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Says who asked, as Traefik says it.
pub(crate) fn introduce(
    headers: &mut HeaderMap,
    origin: &Origin,
    websocket: bool,
    node_name: &str,
) {
    let client = origin.client.ip().to_canonical().to_string();
    let proto = match (websocket, origin.tls) {
        (true, true) => "wss",
        (true, false) => "ws",
        (false, true) => "https",
        (false, false) => "http",
    };
    let default_port = if origin.tls { "443" } else { "80" };
    let port = origin.host_header.rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    put(headers, FORWARDED_FOR, &client);
    put(headers, REAL_IP, &client);
    put(headers, FORWARDED_PROTO, proto);
    put(headers, FORWARDED_HOST, &origin.host_header);
    put(headers, FORWARDED_PORT, port.unwrap_or(default_port));
    put(headers, FORWARDED_SERVER, node_name);
}

/// The Host that the server sees.
pub(crate) fn set_host(headers: &mut HeaderMap, host: &str) {
    put(headers, HOST, host);
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The tokens of a header that is a list.
pub(crate) fn list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let texts = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn hop_by_hop_headers_go_with_those_they_name() {
        let mut map = headers(&[
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("accept", "*/*"), ("te", "trailers")]));
    }

    #[test]
    fn only_tunnels_are_upgrades() {
        let asks = |protocol: &'static str| {
            let mut map = headers(&[
                ("connection", "Upgrade, HTTP2-Settings"),
                ("upgrade", protocol),
                ("http2-settings", "AAMAAABkAAQAAP__"),
            ]);
            settle(&mut map);
            map
        };
        for protocol in ["websocket", "WebSocket", "SPDY/3.1"] {
            let kept = headers(&[("connection", "Upgrade"), ("upgrade", protocol)]);
            assert_eq!(asks(protocol), kept);
        }
        for protocol in ["h2c", "h2c, websocket", "TLS/1.0", ""] {
            assert!(asks(protocol).is_empty(), "{protocol}");
        }
    }

    #[test]
    fn a_claimed_header_has_no_twins() {
        let mut map = headers(&[
            ("x-user", "me"),
            ("x_user", "me"),
            ("x.user", "me"),
            ("x-user-id", "1"),
        ]);
        claim(&mut map, &HeaderName::from_static("x-user"));
        assert_eq!(map, headers(&[("x-user-id", "1")]));
    }

    #[test]
    fn clients_cannot_speak_for_themselves() {
        let mut map = headers(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x-forwarded-prefix", "/x"),
            ("x-forwarded-tls-client-cert", "1"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x.forwarded-host", "a"),
            ("forwarded", "for=1.2.3.4"),
        ]);
        settle(&mut map);
        assert!(map.is_empty(), "{map:?}");
        let origin = Origin {
            client: "10.0.0.9:1234".parse().unwrap(),
            tls: true,
            host: "a.b".into(),
            host_header: "A.b:8443".into(),
        };
        introduce(&mut map, &origin, false, "node-1");
        let expected = headers(&[
            ("x-forwarded-for", "10.0.0.9"),
            ("x-real-ip", "10.0.0.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "A.b:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-server", "node-1"),
        ]);
        assert_eq!(map, expected);
    }
}
