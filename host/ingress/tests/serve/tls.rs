//! Certificates by name, from Secrets, and their changes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_client::fake::FakeApi;
use k3s_client::resources;
use k3s_ingress::model::{Change, Reference, TlsUse};
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::{fetch, tls};
use crate::lab::{Lab, PATIENCE, backend, endpoints, outcome, route, server};

fn secret(api: &FakeApi, name: &str, host: &str) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    api.seed(&resources::SECRETS, json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "shop"},
        "data": {"tls.crt": STANDARD.encode(made.cert.pem()), "tls.key": STANDARD.encode(made.signing_key.serialize_pem())}}));
    made.cert.der().to_vec()
}

fn common_name(der: &[u8]) -> String {
    let (_, parsed) = X509Certificate::from_der(der).unwrap();
    let name = parsed
        .subject()
        .iter_common_name()
        .next()
        .and_then(|n| n.as_str().ok())
        .unwrap_or_default();
    name.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_get_their_certificate_and_changes_are_served_at_once() {
    let one = server("one").await;
    let mut all = outcome(vec![route("a.example.com", backend("web"))]);
    for name in ["cert", "missing", "broken"] {
        all.certificates.push(Reference {
            namespace: "shop".into(),
            name: name.into(),
        });
    }
    all.routes[0].tls = TlsUse::Required;
    let mut first = Vec::new();
    let lab = Lab::start(all, |api| {
        endpoints(api, "web", &[one]);
        first = secret(api, "cert", "*.example.com");
        api.seed(
            &resources::SECRETS,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "broken", "namespace": "shop"}, "data": {"tls.crt": "eA==", "tls.key": "eA=="}}),
        );
    })
    .await;
    let served = async |name: &str| tls(lab.websecure, name, &[]).await.1.to_vec();
    // Secrets are watched once they are named: a certificate follows its route by a moment.
    let eventually_served = async |wanted: &[u8]| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while served("a.example.com").await != wanted {
            assert!(
                std::time::Instant::now() < deadline,
                "the certificate was never served"
            );
        }
    };
    eventually_served(&first).await;
    assert_eq!(
        common_name(&served("other.org").await),
        "TRAEFIK DEFAULT CERT"
    );
    assert_eq!(
        fetch(lab.web, "a.example.com", "/").await.0,
        404,
        "TLS is required"
    );
    // Whoever named a Secret that cannot be used is told.
    let told = |reason: &str, part: &str| {
        let is = |event: &serde_json::Value| {
            event["reason"] == reason
                && event["message"].as_str().is_some_and(|m| m.contains(part))
                && event["type"] == "Warning"
        };
        lab.api
            .all(&resources::EVENTS)
            .iter()
            .chain(&lab.api.all(&resources::EVENTS_V1))
            .any(is)
    };
    assert!(
        lab.api
            .eventually(
                |_| told("SecretNotFound", "shop/missing") && told("InvalidSecret", "shop/broken")
            )
            .await
    );
    let second = secret(&lab.api, "cert", "a.example.com");
    eventually_served(&second).await;
    // Speaking HTTP to the TLS port is answered.
    assert_eq!(fetch(lab.websecure, "a.example.com", "/").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_s_certificate_is_for_names_that_no_other_covers() {
    let one = server("one").await;
    let lab = Lab::start(
        outcome(vec![route("a.example.com", backend("web"))]),
        |api| {
            endpoints(api, "web", &[one]);
            secret(api, "wild", "fallback.example.com");
        },
    )
    .await;
    let mut store = outcome(Vec::new());
    store.key.group = "traefik.io".into();
    store.key.kind = "TLSStore".into();
    store.key.name = "default".into();
    store.certificates.push(Reference {
        namespace: "shop".into(),
        name: "wild".into(),
    });
    lab.decide(Change::Put(store.clone()));
    let shown = async |wanted: &[u8]| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while tls(lab.websecure, "unknown.org", &["h2"]).await.1.as_ref() != wanted {
            assert!(std::time::Instant::now() < deadline, "another certificate");
        }
    };
    let made = lab.api.get(&resources::SECRETS, "shop", "wild").unwrap();
    let pem = STANDARD
        .decode(made["data"]["tls.crt"].as_str().unwrap())
        .unwrap();
    let der = x509_parser::pem::parse_x509_pem(&pem).unwrap().1.contents;
    shown(&der).await;
}
