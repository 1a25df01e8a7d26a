//! Creates and updates with one changed place.

use k3s_base::Random;

use super::edit::Edit;
use super::sample::Sample;
use super::sites::Site;
use super::values::{below, change};
use super::{Corpus, values};
use crate::request::{Body, Request};

const VALIDATIONS: &[&str] = &["", "", "", "", "", "Strict", "Strict", "Warn", "Ignore"];

/// POST of a sample with a change, kept by no server.
pub(super) fn create(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |_| true) else {
        return Default::default();
    };
    let kind = sample.kind.kind;
    let edit = edit(corpus, sample, random, |_| true);
    let object = sample.renamed(&format!("new-{}", sample.name()), false);
    let mut request = Request::new("POST", sample.collection(), kind);
    request = validated(request, random).body(content_type(random), Body::Text(edit.text(&object)));
    if sample.is_stored() {
        request = request.dry_run();
    }
    (format!("create {kind}, {edit}"), vec![request])
}

/// PUT of the stored sample with a change, kept by no server.
pub(super) fn update(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Ok(sample) = corpus.sample(random, |s| s.kind.has_verb("update")) else {
        return Default::default();
    };
    let kind = sample.kind.kind;
    let has_status = sample.kind.subresource("status").is_some();
    let of_status = has_status && random.below(5) == 0;
    let edit = edit(corpus, sample, random, |site| {
        !of_status || site.place.to_string().starts_with("status")
    });
    let path = sample.path();
    let to = if of_status {
        format!("{path}/status")
    } else {
        path.clone()
    };
    let about = if of_status {
        format!("{kind}/status")
    } else {
        kind.to_owned()
    };
    let request = validated(Request::new("PUT", to, &about), random)
        .body(
            "application/json",
            Body::Stored {
                path,
                edit: edit.clone(),
            },
        )
        .dry_run();
    (format!("update {about}, {edit}"), vec![request])
}

/// A change of one place that `wanted` takes, or of any where it takes none.
pub(super) fn edit(
    corpus: &Corpus,
    sample: &Sample,
    random: &Random,
    wanted: impl Fn(&Site) -> bool,
) -> Edit {
    let some: Vec<&Site> = sample.sites.iter().filter(|s| wanted(s)).collect();
    let site = match some.as_slice() {
        [] => sample.sites.get(below(random, sample.sites.len())),
        some => some.get(below(random, some.len())).copied(),
    };
    site.map_or_else(Edit::none, |site| Edit {
        place: site.place.clone(),
        change: change(site, &corpus.vocabulary, random),
    })
}

fn validated(request: Request, random: &Random) -> Request {
    match values::pick(random, VALIDATIONS) {
        None | Some("") => request,
        Some(level) => request.with("fieldValidation", level),
    }
}

fn content_type(random: &Random) -> &'static str {
    match random.below(12) {
        0 => "application/yaml",
        _ => "application/json",
    }
}
