//! Requests beside the objects: odd paths, methods, names, content types, bodies that cannot be read.

use k3s_base::Random;

use super::Corpus;
use super::values::pick;
use crate::request::{Body, Request};

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const ENDS: &[&str] = &[
    "",
    "/",
    "/none",
    "/Bad_Name",
    "/..",
    "/%2e%2e",
    "/none/status",
    "/none/scale",
    "/none/other",
    "/none/log",
    "/none/a/b",
    "/a%20b",
];
const CONTENT_TYPES: &[&str] = &[
    "application/json",
    "application/json; charset=utf-8",
    "application/yaml",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/merge-patch+json",
    "application/json-patch+json",
    "bad",
    "",
];
const BODIES: &[&str] = &[
    "",
    "{",
    "{}",
    "[]",
    "null",
    "\"x\"",
    "a: b: c",
    "a: b",
    "{\"kind\":\"Pod\"}",
    "{\"apiVersion\":\"v1\"}",
    "{\"kind\":\"Other\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"x\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"a/b/c\",\"metadata\":{\"name\":\"x\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\",\"namespace\":\"other\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"generateName\":\"x-\"}}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\"}",
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}} trailing",
    "{\"metadata\":{\"name\":\"x\"}}",
    "\u{feff}{}",
];
const QUERIES: &[(&str, &[&str])] = &[
    ("dryRun", &["All", "None", "", "x"]),
    ("fieldValidation", &["Strict", "Warn", "Ignore", "x", ""]),
    ("fieldManager", &["me", "a\u{7}b", ""]),
    ("resourceVersion", &["0", "1", "x"]),
    ("pretty", &["true", "x"]),
    ("force", &["true", "x"]),
];
const ROOTS: &[&str] = &[
    "/api",
    "/api/v1/",
    "/api/v2",
    "/api/v1/others",
    "/apis/apps",
    "/apis/apps/v1",
    "/apis/apps/v9",
    "/apis/none.example.com",
    "/apis/none.example.com/v1",
    "/apis/apps/v1/others",
    "/apis/apps/v1/namespaces/none/deployments",
    "/apis/apps/v1/namespaces//deployments",
    "/api/v1/namespaces/none/pods",
    "/api/v1/namespaces/none/pods/x",
    "/api/v1/pods/x",
    "/api/v1/nodes/none",
    "/api/v1/nodes/none/proxy",
    "/api/v1/watch/namespaces/none/pods?timeoutSeconds=1",
    "/api/v1/namespaces/differential/pods/web/log",
    "/healthz/ping",
    "/livez?verbose=true&exclude=etcd",
    "/other",
    "/openapi",
    "/openapi/v3/none",
    "/version/",
];

pub(super) fn protocol(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let method = pick(random, METHODS).unwrap_or("GET");
    let from = corpus.sample(random, |_| true).ok();
    let (path, about) = match from {
        Some(sample) if random.below(4) > 0 => (
            sample.collection() + pick(random, ENDS).unwrap_or_default(),
            sample.kind.kind,
        ),
        _ => (pick(random, ROOTS).unwrap_or("/").to_owned(), "path"),
    };
    // A collection is not deleted: samples must stay.
    let is_whole = from.is_some_and(|s| path.trim_end_matches('/') == s.collection());
    let method = if method == "DELETE" && is_whole {
        "GET"
    } else {
        method
    };
    let mut request = Request::new(method, path, about);
    if random.below(2) == 0
        && let Some((name, values)) = QUERIES.get(super::below(random, QUERIES.len()))
        && !request.path.contains('?')
    {
        request = request.with(name, pick(random, values).unwrap_or_default());
    }
    if !matches!(method, "GET" | "HEAD" | "OPTIONS") {
        let body = pick(random, BODIES).unwrap_or_default().to_owned();
        request = request.body(
            pick(random, CONTENT_TYPES).unwrap_or_default(),
            Body::Text(body),
        );
        if !request.query.iter().any(|(name, _)| name == "dryRun") && !request.path.contains('?') {
            request = request.dry_run();
        }
    }
    (
        format!(
            "ask {method} {} {:?} {}",
            request.uri(),
            request.body,
            request.content_type
        ),
        vec![request],
    )
}
