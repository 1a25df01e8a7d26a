//! Reads of many: selectors, pages, versions, forms.

use k3s_base::Random;

use super::values::pick;
use super::{Corpus, NAMESPACE};
use crate::request::Request;

pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const ACCEPTS: &[&str] = &[
    "application/json",
    TABLE,
    TABLE,
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v9;g=meta.k8s.io",
    "application/json;as=Other;v=v1;g=meta.k8s.io",
    "application/yaml",
    "*/*",
    "application/*",
    "text/html",
    "application/xml",
    "application/json;q=0.1,application/yaml;q=0.9",
];
const LABELS: &[&str] = &[
    "app=web",
    "app!=web",
    "app in (web,db)",
    "app notin (web)",
    "app",
    "!app",
    "app=web,tier",
    "app==web",
    "app in (",
    "app in ()",
    "a b",
    "=x",
    "app=bad value",
    "app>1",
    "app gt 1",
    "-bad=x",
    "app=",
    ",",
    "app=web,",
    "example.com/a=b",
];
const FIELDS: &[&str] = &[
    "metadata.name=web",
    "metadata.name!=web",
    "metadata.name==web",
    "metadata.namespace=differential",
    "status.phase=Running",
    "status.phase!=Running",
    "spec.nodeName=",
    "spec.nodeName=node-1",
    "spec.restartPolicy=Always",
    "spec.serviceAccountName=default",
    "spec.hostNetwork=true",
    "spec.unschedulable=true",
    "status.podIP=1.2.3.4",
    "type=Opaque",
    "involvedObject.kind=Pod",
    "reason=Started",
    "status.successful=1",
    "spec.signerName=x",
    "metadata.labels=x",
    "none=x",
    "metadata.name",
    "metadata.name=web,metadata.namespace=differential",
    "metadata.name in (web)",
    "=",
    "",
];
const PAIRS: &[(&str, &[&str])] = &[
    (
        "limit",
        &["1", "2", "0", "-1", "x", "1000000", "99999999999999999999"],
    ),
    (
        "continue",
        &[
            "x",
            "",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJ4In0",
        ],
    ),
    ("resourceVersion", &["0", "1", "-1", "x", "99999999999", ""]),
    (
        "resourceVersionMatch",
        &["Exact", "NotOlderThan", "Other", ""],
    ),
    ("timeoutSeconds", &["1", "x", "-1"]),
    ("pretty", &["true", "1", "x"]),
    ("includeObject", &["None", "Object", "Metadata", "Other"]),
    ("allowWatchBookmarks", &["true", "x"]),
    ("sendInitialEvents", &["true", "false", "x"]),
    // Any other text opens a watch, which has no end to compare.
    ("watch", &["false", "0", "False"]),
    ("unknown", &["x"]),
];

pub(super) fn list(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |s| s.kind.has_verb("list")) else {
        return Default::default();
    };
    let kind = sample.kind.kind;
    let mut request = Request::new("GET", sample.collection(), kind)
        .accept(pick(random, ACCEPTS).unwrap_or("*/*"));
    for _ in 0..random.below(3) {
        if let Some((name, values)) = PAIRS.get(super::below(random, PAIRS.len())) {
            request = request.with(name, pick(random, values).unwrap_or_default());
        }
    }
    let labels = match random.below(3) {
        0 => pick(random, LABELS).unwrap_or_default(),
        _ => "",
    };
    let fields = match random.below(3) {
        0 => pick(random, FIELDS).unwrap_or_default(),
        _ => "",
    };
    if !labels.is_empty() {
        request = request.with("labelSelector", labels);
    } else if !sample.kind.namespaced {
        // What each server brings along is not compared, only the samples.
        request = request.with("labelSelector", &format!("corpus={NAMESPACE}"));
    }
    if !fields.is_empty() {
        request = request.with("fieldSelector", fields);
    }
    (
        format!("list {kind}, {} as {}", request.uri(), request.accept),
        vec![request],
    )
}
