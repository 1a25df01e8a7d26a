//! Deletions that are not kept, with every option.

use k3s_api::schema::{Type, by_name};
use k3s_base::Random;
use serde_json::json;

use super::Corpus;
use super::edit::Edit;
use super::sites::sites;
use super::values::{below, change, pick};
use crate::request::{Body, Request};

fn options() -> Option<&'static Type> {
    Some(by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")?.get())
}

const QUERIES: &[(&str, &[&str])] = &[
    (
        "propagationPolicy",
        &["Orphan", "Background", "Foreground", "Other", ""],
    ),
    ("gracePeriodSeconds", &["0", "1", "30", "-1", "x"]),
    ("orphanDependents", &["true", "false", "x"]),
    ("dryRun", &["Other"]),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        &["true", "false"],
    ),
];

pub(super) fn delete(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |s| s.kind.has_verb("delete")) else {
        return Default::default();
    };
    let kind = sample.kind.kind;
    let mut request = Request::new("DELETE", sample.path(), kind).dry_run();
    if random.below(2) == 0
        && let Some((name, values)) = QUERIES.get(below(random, QUERIES.len()))
    {
        request = request.with(name, pick(random, values).unwrap_or_default());
    }
    if random.below(3) > 0 {
        request = request.body("application/json", Body::Text(body(corpus, random)));
    }
    (
        format!("delete {kind}, {} {:?}", request.uri(), request.body),
        vec![request],
    )
}

fn body(corpus: &Corpus, random: &Random) -> String {
    let whole = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"],
        "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        "preconditions": {"uid": "00000000-0000-0000-0000-000000000000", "resourceVersion": "1"},
    });
    let plain = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"], "gracePeriodSeconds": 5});
    let object = if random.below(3) == 0 { whole } else { plain };
    let Some(schema) = options() else {
        return object.to_string();
    };
    let all = sites(schema, &object);
    all.get(below(random, all.len()))
        .map_or_else(String::new, |site| {
            let edit = Edit {
                place: site.place.clone(),
                change: change(site, &corpus.vocabulary, random),
            };
            // Whatever else is changed: nothing is deleted.
            if edit.place.to_string().starts_with("dryRun") {
                return object.to_string();
            }
            edit.text(&object)
        })
}
