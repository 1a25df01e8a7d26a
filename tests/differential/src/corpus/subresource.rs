//! Calls of subresources, from the good ones in `subresources.yaml`.

use std::path::Path;

use anyhow::{Context, Result};
use k3s_api::schema::Type;
use k3s_base::Random;
use serde::Deserialize;
use serde_json::Value;

use super::edit::Edit;
use super::sites::{Site, sites};
use super::values::{below, change};
use super::{Corpus, sample};
use crate::request::{Body, Request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    method: String,
    path: String,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    body: Value,
}

/// A good call.
#[derive(Debug)]
pub(crate) struct Call {
    method: &'static str,
    path: String,
    content_type: String,
    about: String,
    body: Value,
    sites: Vec<Site>,
}

pub(super) fn load(file: &Path) -> Result<Vec<Call>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let rows: Vec<Row> =
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())?;
    rows.into_iter()
        .map(|row| {
            let path = row.path.clone();
            read(row).with_context(|| path)
        })
        .collect()
}

fn read(row: Row) -> Result<Call> {
    let method = ["GET", "POST", "PUT", "PATCH"]
        .into_iter()
        .find(|m| *m == row.method)
        .context("unknown method")?;
    let schema = schema(&row.body);
    let mut parts = row.path.rsplit('/');
    let subresource = parts.next().unwrap_or_default().to_owned();
    let plural = parts.nth(1).unwrap_or_default().to_owned();
    Ok(Call {
        method,
        sites: schema
            .map(|schema| sites(schema, &row.body))
            .unwrap_or_default(),
        about: format!("{plural}/{subresource}"),
        content_type: match row.content_type.as_str() {
            "" => "application/json".into(),
            named => named.into(),
        },
        path: row.path,
        body: row.body,
    })
}

fn schema(body: &Value) -> Option<&'static Type> {
    if let Ok(kind) = sample::kind_of(body) {
        return Some(kind.object_type());
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion")
        .split_once('/')
        .unwrap_or(("", text("apiVersion")));
    Some(k3s_api::schema::by_gvk(group, version, text("kind"))?.get())
}

/// A call with a change of its body, kept by no server.
fn changed(corpus: &Corpus, call: &Call, random: &Random) -> (String, Request) {
    let edit = match call.sites.get(below(random, call.sites.len())) {
        Some(site) if random.below(6) > 0 => Edit {
            place: site.place.clone(),
            change: change(site, &corpus.vocabulary, random),
        },
        _ => Edit::none(),
    };
    let request = plain(call, edit.text(&call.body));
    (
        format!("call {} {}, {edit}", call.method, call.path),
        request,
    )
}

fn plain(call: &Call, body: String) -> Request {
    let request = Request::new(call.method, call.path.clone(), &call.about);
    match call.method {
        "GET" => request,
        _ => request.body(&call.content_type, Body::Text(body)).dry_run(),
    }
}

/// All calls as they are written.
pub(super) fn plain_calls(corpus: &Corpus) -> impl Iterator<Item = (String, Request)> {
    corpus.calls.iter().map(|call| {
        let title = format!("call {} {}", call.method, call.path);
        (title, plain(call, call.body.to_string()))
    })
}

/// Any call with a change.
pub(super) fn call(corpus: &Corpus, random: &Random, _: u64) -> (String, Vec<Request>) {
    let Some(call) = corpus.calls.get(below(random, corpus.calls.len())) else {
        return Default::default();
    };
    let (title, request) = changed(corpus, call, random);
    (title, vec![request])
}
