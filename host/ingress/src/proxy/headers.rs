//! Hop-by-hop headers, and the headers that name the client to servers.

use http::header::{CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::middleware::Origin;

/// RFC 9110 section 7.6.1, and what proxies wrote before it.
const HOP_BY_HOP: [HeaderName; 8] = [
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

/// What only we may say of a client (Traefik's `forwardedHeaders`; nobody is trusted by default).
const OURS: [HeaderName; 9] = [
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PORT,
    FORWARDED_PROTO,
    FORWARDED_SERVER,
    REAL_IP,
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-forwarded-method"),
];

/// The protocol that a message wants to change to.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let wants = list(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    if wants {
        headers.get(UPGRADE).cloned()
    } else {
        None
    }
}

/// Removes what was meant for us. `TE: trailers` stays: gRPC servers ask for it.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<String> = list(headers, &CONNECTION).map(str::to_owned).collect();
        for name in named {
            if let Ok(name) = HeaderName::try_from(name) {
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

/// Takes away what a client says of itself under our names. Done before any layer reads them.
pub(crate) fn distrust(headers: &mut HeaderMap) {
    for name in &OURS {
        headers.remove(name);
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
    fn clients_cannot_speak_for_themselves() {
        let mut map = headers(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x-forwarded-prefix", "/x"),
        ]);
        distrust(&mut map);
        assert!(map.is_empty());
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
