//! Objects that are made, changed and deleted for good.

use k3s_base::Random;
use serde_json::json;

use super::Corpus;
use super::edit::{Change, Edit, Place};
use super::list::TABLE;
use super::patch::{MERGE, STRATEGIC};
use super::values::pick;
use crate::request::{Body, Request};

pub(super) fn lifecycle(corpus: &Corpus, random: &Random, index: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |s| {
        s.can_be_renamed() && s.kind.has_verb("delete") && s.kind.kind != "Namespace"
    }) else {
        return Default::default();
    };
    let kind = sample.kind.kind;
    let name = format!("c{index}");
    let collection = sample.scratch();
    let path = format!("{collection}/{name}");
    let object = sample.renamed(&name, true);
    let label = Edit {
        place: Place::default().key("metadata").key("labels"),
        change: Change::Set(json!({"changed": "yes", "app": "web"})),
    };
    let stored = |edit: &Edit| Body::Stored {
        path: path.clone(),
        edit: edit.clone(),
    };
    let annotation = json!({"metadata": {"annotations": {"note": "x"}}}).to_string();
    let finalizer = json!({"metadata": {"finalizers": ["example.com/hold"]}}).to_string();
    let free = json!({"metadata": {"finalizers": null}}).to_string();
    let patch = |text: &str| {
        Request::new("PATCH", path.clone(), kind).body(MERGE, Body::Text(text.to_owned()))
    };
    let get = || Request::new("GET", path.clone(), kind);
    let update = |edit: &Edit| {
        Request::new("PUT", path.clone(), kind).body("application/json", stored(edit))
    };
    let stale = json!({"metadata": {"name": name, "resourceVersion": "1"}});
    let mut steps = vec![
        Request::new("POST", collection.clone(), kind).json(object.clone()),
        get(),
        update(&Edit::none()),
        update(&label),
        Request::new("POST", collection, kind).json(object),
        get().accept(TABLE),
        Request::new("PATCH", path.clone(), kind).body(STRATEGIC, Body::Text(annotation)),
        patch(&stale.to_string()),
    ];
    let held = random.below(2) == 0;
    if held {
        steps.push(patch(&finalizer));
    }
    let policy = pick(random, &["Background", "Foreground", "Orphan", ""]).unwrap_or_default();
    let options = match policy {
        "" => json!({"kind": "DeleteOptions", "apiVersion": "v1"}),
        policy => json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}),
    };
    let precondition =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    steps.push(Request::new("DELETE", path.clone(), kind).json(precondition));
    steps.push(Request::new("DELETE", path.clone(), kind).json(options));
    if held {
        steps.extend([
            get(),
            update(&label),
            patch(&annotation_again()),
            patch(&free),
        ]);
    } else if matches!(policy, "Foreground" | "Orphan") {
        // No garbage collector runs; what it would take away is taken away here.
        steps.push(patch(&free));
    }
    steps.push(
        Request::new("DELETE", path.clone(), kind)
            .json(json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})),
    );
    steps.push(get());
    (
        format!("live {kind}, deleted {policy:?}, held {held}"),
        steps,
    )
}

fn annotation_again() -> String {
    json!({"metadata": {"annotations": {"note": "y"}}}).to_string()
}
