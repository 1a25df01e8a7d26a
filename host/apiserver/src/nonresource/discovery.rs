//! Which groups, versions and resources there are, in the legacy and the aggregated form.

use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{Response, StatusCode};
use k3s_api::discovery::{self, AggregatedVersion, built_in};
use k3s_meta::Status;
use k3s_registry::Result;
use k3s_resources::apiextensions::CustomSet;
use k3s_serve::Body;
use serde_json::Value;

use crate::context::Context;
use crate::respond;

pub(super) fn get(context: &Context, parts: &[&str]) -> Result<Response<Body>> {
    if let ([root], Some(version)) = (parts, aggregated(context)) {
        return aggregated_answer(context, root, version);
    }
    let custom = CustomSet::of(context.registry().resources());
    let priorities = &context.core.priorities;
    let rows = built_in().chain(custom.rows());
    let rows = rows.map(|row| priorities.apply(row));
    let document = match parts {
        ["api"] => Some(discovery::core_versions(
            &context.core.advertised.to_string(),
        )),
        ["apis"] => Some(discovery::groups(rows)),
        ["api", version] => discovery::resources(built_in(), "", version),
        ["apis", group] => discovery::group(rows, group),
        ["apis", group, version] => discovery::resources(rows, group, version),
        _ => None,
    };
    match document {
        Some(document) => respond::tree(context, StatusCode::OK, &document),
        None => respond::route::unknown(group_of(parts)),
    }
}

/// The group that a path below `/api` or `/apis` is about.
fn group_of<'a>(parts: &[&'a str]) -> &'a str {
    match parts {
        ["apis", group, ..] => group,
        _ => "",
    }
}

/// Documents are only read: what is one has no other method, and what is none has none.
pub(super) fn wrong_method(parts: &[&str]) -> Result<Response<Body>> {
    let group = group_of(parts);
    let is_version = |version: &str| {
        let mut kinds = k3s_api::kinds().iter();
        kinds.any(|kind| kind.group == group && kind.version == version)
    };
    let is_document = match parts {
        ["api" | "apis"] => true,
        ["api", version] | ["apis", _, version] => is_version(version),
        _ => false,
    };
    if is_document {
        Err(Status::no_method().into())
    } else {
        respond::route::unknown(group)
    }
}

/// The aggregated form, if the client prefers it.
fn aggregated(context: &Context) -> Option<AggregatedVersion> {
    let accepted = context
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for clause in accepted.flat_map(|value| value.split(',')) {
        let parameters: Vec<&str> = clause.split(';').map(str::trim).collect();
        if parameters.first() != Some(&"application/json") {
            continue;
        }
        if !parameters.contains(&"as=APIGroupDiscoveryList") {
            return None;
        }
        if parameters.contains(&"v=v2") {
            return Some(AggregatedVersion::V2);
        }
        if parameters.contains(&"v=v2beta1") {
            return Some(AggregatedVersion::V2Beta1);
        }
    }
    None
}

fn aggregated_answer(
    context: &Context,
    root: &str,
    version: AggregatedVersion,
) -> Result<Response<Body>> {
    let custom = CustomSet::of(context.registry().resources());
    let priorities = &context.core.priorities;
    let tag = format!("\"{}{}\"", custom.digest(), priorities.tag());
    if context
        .headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes())
    {
        let kind = HeaderValue::from_static(version.media_type());
        return Ok(tagged(
            respond::bytes(StatusCode::NOT_MODIFIED, kind, ""),
            &tag,
        ));
    }
    let document: Value = match root {
        "api" => discovery::aggregated_core(built_in(), version),
        _ => {
            let rows = built_in().chain(custom.rows());
            let rows = rows.map(|row| priorities.apply(row));
            discovery::aggregated_groups(rows, version)
        }
    };
    let json = serde_json::to_vec(&document).map_err(|error| respond::unwritable(&error))?;
    let kind = HeaderValue::from_static(version.media_type());
    Ok(tagged(respond::bytes(StatusCode::OK, kind, json), &tag))
}

fn tagged(mut response: Response<Body>, tag: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    response
}
