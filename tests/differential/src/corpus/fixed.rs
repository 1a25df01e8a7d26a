//! What every run does: the world that cases stand on, and one look at each sample, call, file and document.

use serde_json::json;

use super::list::TABLE;
use super::{Corpus, NAMESPACE, SCRATCH, subresource};
use crate::request::Request;

/// Documents about the API. OpenAPI is large and not compared whole here.
const DOCUMENTS: &[&str] = &[
    "/api",
    "/api/v1",
    "/apis/apps/v1",
    "/apis/batch/v1",
    "/apis/autoscaling/v2",
];

/// Namespaces, their service accounts, and an object of each sample.
pub(super) fn world(corpus: &Corpus) -> Vec<Request> {
    let mut requests = Vec::new();
    for name in [NAMESPACE, SCRATCH, "differential-limits"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        requests.push(Request::new("POST", "/api/v1/namespaces", "Namespace").json(object));
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts");
        requests.push(Request::new("POST", path, "ServiceAccount").json(account));
    }
    // Classes before what names them.
    let is_first = |kind: &str| kind.ends_with("Class") || kind == "Node";
    let (first, then): (Vec<_>, Vec<_>) = corpus
        .samples
        .iter()
        .filter(|sample| sample.is_stored())
        .partition(|sample| is_first(sample.kind.kind));
    for sample in first.into_iter().chain(then) {
        let create = Request::new("POST", sample.collection(), sample.kind.kind);
        requests.push(create.json(sample.object.clone()));
    }
    requests
}

pub(super) fn cases(corpus: &Corpus) -> Vec<(String, Vec<Request>)> {
    let mut cases = Vec::new();
    for sample in &corpus.samples {
        let kind = sample.kind.kind;
        let title = format!("sample {kind} {}", sample.name());
        if !sample.is_stored() {
            let create = Request::new("POST", sample.collection(), kind);
            cases.push((title, vec![create.json(sample.object.clone())]));
            continue;
        }
        let get = || Request::new("GET", sample.path(), kind);
        let again = Request::new("POST", sample.collection(), kind).json(sample.object.clone());
        let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
        let steps = vec![get(), get().accept(TABLE), get().accept(partial), again];
        cases.push((title, steps));
    }
    cases.extend(subresource::plain_calls(corpus).map(|(title, request)| (title, vec![request])));
    cases.extend(corpus.documents.iter().map(super::file::Document::case));
    cases.extend(DOCUMENTS.iter().map(|path| {
        let request = Request::new("GET", *path, "path");
        (format!("read {path}"), vec![request])
    }));
    cases
}
