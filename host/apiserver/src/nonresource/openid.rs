//! The service account issuer's discovery document and keys, for those who verify tokens elsewhere.

use http::{HeaderValue, Response, StatusCode};
use k3s_registry::Result;
use k3s_serve::Body;
use serde_json::{Value, json};

use crate::context::Context;
use crate::respond;

pub(super) fn configuration(context: &Context) -> Result<Response<Body>> {
    let keys = &context.core.documents.issuer;
    let issuer = keys.issuer();
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/openid/v1/jwks", issuer.trim_end_matches('/')),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": keys.algorithms(),
    });
    answer(&document, "application/json")
}

pub(super) fn keys(context: &Context) -> Result<Response<Body>> {
    answer(
        &context.core.documents.issuer.jwks(),
        "application/jwk-set+json",
    )
}

fn answer(document: &Value, kind: &'static str) -> Result<Response<Body>> {
    let json = serde_json::to_vec(document).map_err(|error| respond::unwritable(&error))?;
    Ok(respond::bytes(
        StatusCode::OK,
        HeaderValue::from_static(kind),
        json,
    ))
}
