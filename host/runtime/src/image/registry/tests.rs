//! Who gets the credentials.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::*;
use crate::image::registries::Tls;

/// The requests that a server saw.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with what `answer` makes of its text, until the test ends.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = seen.clone();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(count @ 1..) => request.extend_from_slice(&chunk[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let reply = answer(&request);
            log.lock().push(request);
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    (address, seen)
}

fn reply(status: &str, header: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n{header}\r\n\r\n")
}

fn registry(base: String, credentials: &Credentials) -> Registry {
    let endpoint = Endpoint {
        host: base.split('/').nth(2).unwrap().to_owned(),
        base,
        repository: "team/app".to_owned(),
        namespace: None,
        tls: Tls::default(),
        credentials: None,
    };
    Registry::new(endpoint, Some(credentials.clone())).unwrap()
}

fn all_credentials() -> [Credentials; 3] {
    [
        Credentials::Basic {
            username: "user".to_owned(),
            password: Secret::new("pass".to_owned()),
        },
        Credentials::Identity(Secret::new("refresh-token-secret".to_owned())),
        Credentials::Bearer(Secret::new("bearer-secret".to_owned())),
    ]
}

#[tokio::test]
async fn the_target_of_a_redirect_never_gets_credentials() {
    for credentials in all_credentials() {
        let (thief, stolen) = serve(|request| {
            let host = request.split("host: ").nth(1).unwrap();
            let host = host.split("\r\n").next().unwrap();
            let realm = format!("www-authenticate: Bearer realm=\"http://{host}/steal\"");
            reply("401 Unauthorized", &realm)
        });
        let (address, seen) = serve(move |_| {
            reply(
                "307 Temporary Redirect",
                &format!("location: http://{thief}/blob"),
            )
        });
        let registry = registry(format!("http://{address}/v2"), &credentials);
        let error = registry.blob("sha256:x").await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Unauthorized { detail, .. } if detail.contains("redirect")),
            "{error}"
        );
        assert_eq!(seen.lock().len(), 1);
        let stolen = stolen.lock();
        assert_eq!(stolen.len(), 1, "{stolen:?}");
        assert!(!stolen[0].contains("authorization"), "{stolen:?}");
    }
}

#[tokio::test]
async fn a_realm_without_tls_gets_credentials_of_no_endpoint_with_tls() {
    let [basic, identity, _] = all_credentials();
    for credentials in [basic, identity] {
        let (realm, seen) = serve(|_| reply("200 OK", ""));
        let registry = registry("https://registry.example/v2".to_owned(), &credentials);
        let challenge = format!("Bearer realm=\"http://{realm}/token\"");
        let refused = registry.answer_challenge("https://x", &[challenge]).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("without TLS"), "{error}");
        assert!(seen.lock().is_empty());
    }
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let same = |a, b| Origin::of(a).unwrap() == Origin::of(b).unwrap();
    assert!(same("https://a/v2/x", "https://A:443/y"));
    assert!(same("http://a/v2/x", "http://a:80/y"));
    assert!(!same("https://a/", "http://a/"));
    assert!(!same("https://a/", "https://a:8443/"));
    assert!(!same("https://a/", "https://a.b/"));
    assert!(Origin::of("/only/a/path").is_none());
}

#[test]
fn locations_are_absolute_or_of_the_same_host() {
    assert_eq!(join("https://a:5000/v2/x", "/y"), "https://a:5000/y");
    assert_eq!(join("https://a/v2/x", "https://b/z"), "https://b/z");
    assert_eq!(join("https://a/v2/x", "//b/z"), "https://b/z");
}
