//! `/healthz`, `/livez`, `/readyz`, and single checks below them.

use http::{Response, StatusCode};
use k3s_serve::Body;

use crate::context::Context;
use crate::health::Probe;
use crate::respond;

pub(super) async fn get(context: &Context, parts: &[&str]) -> Response<Body> {
    let probe = match parts.first() {
        Some(&"livez") => Probe::Livez,
        Some(&"readyz") => Probe::Readyz,
        _ => Probe::Healthz,
    };
    let only = parts
        .get(1..)
        .filter(|rest| !rest.is_empty())
        .map(|rest| rest.join("/"));
    let excluded: Vec<&str> = context.query.all("exclude").collect();
    let verbose = context.query.flag("verbose");
    let report = context
        .core
        .health
        .probe(probe, only.as_deref(), &excluded, verbose)
        .await;
    if !report.known {
        return respond::page_not_found();
    }
    let code = if report.healthy {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    respond::text(code, report.text)
}
