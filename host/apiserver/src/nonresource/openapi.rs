//! OpenAPI v2 and v3, as JSON and as protobuf. The documents are built when asked for, on a thread
//! that may block, since that takes milliseconds.

use http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{Response, StatusCode};
use k3s_api::openapi::{self, Encoding, JSON, V2_PROTOBUF, V3_PROTOBUF};
use k3s_meta::Status;
use k3s_registry::Result;
use k3s_resources::apiextensions::CustomSet;
use k3s_serve::Body;

use crate::context::Context;
use crate::respond;

pub(super) async fn get(context: &Context, rest: &[&str]) -> Result<Response<Body>> {
    let custom = CustomSet::of(context.registry().resources());
    match rest {
        ["v3"] => respond::tree(
            context,
            StatusCode::OK,
            &openapi::v3_index(custom.openapi()),
        ),
        ["v2"] => {
            let digest = custom.digest().to_owned();
            document(context, V2_PROTOBUF, digest, move |encoding| {
                Some(openapi::v2(custom.openapi(), encoding))
            })
            .await
        }
        ["v3", path @ ..] => {
            let Some((group, version)) = openapi::v3_of_path(&path.join("/"), custom.openapi())
            else {
                return Ok(respond::text(StatusCode::NOT_FOUND, ""));
            };
            let (group, version) = (group.to_owned(), version.to_owned());
            let digest = openapi::v3_digest(&group, &version, custom.openapi());
            let build = move |encoding| openapi::v3(&group, &version, custom.openapi(), encoding);
            document(context, V3_PROTOBUF, digest, build).await
        }
        _ => Ok(respond::page_not_found()),
    }
}

async fn document(
    context: &Context,
    protobuf: &'static str,
    digest: String,
    build: impl FnOnce(Encoding) -> Option<bytes::Bytes> + Send + 'static,
) -> Result<Response<Body>> {
    let encoding = encoding(context);
    let kind = if encoding == Encoding::Protobuf {
        protobuf
    } else {
        JSON
    };
    let tag = format!("\"{digest}\"");
    let kind = HeaderValue::from_static(kind);
    if context
        .headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes())
    {
        return Ok(tagged(
            context,
            respond::bytes(StatusCode::NOT_MODIFIED, kind, ""),
            &digest,
        ));
    }
    let built = tokio::task::spawn_blocking(move || build(encoding)).await;
    match built.map_err(|error| Status::internal(&error.to_string()))? {
        Some(bytes) => Ok(tagged(
            context,
            respond::bytes(StatusCode::OK, kind, bytes),
            &digest,
        )),
        None => Ok(respond::page_not_found()),
    }
}

fn encoding(context: &Context) -> Encoding {
    let accepted = context
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for clause in accepted.flat_map(|value| value.split(',')) {
        let media = clause.split(';').next().unwrap_or_default().trim();
        if media.ends_with("+protobuf") {
            return Encoding::Protobuf;
        }
        if matches!(media, "application/json" | "*/*") {
            return Encoding::Json;
        }
    }
    Encoding::Json
}

fn tagged(context: &Context, mut response: Response<Body>, digest: &str) -> Response<Body> {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(ETAG, value);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if context.query.get("hash") == Some(digest) {
        // The address names the content, so it never changes.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    response
}
