//! TokenReview: whose token this is.

use k3s_meta::{Status, tree};
use k3s_registry::Result;
use serde_json::{Value, json};

use super::user_value;
use crate::context::Context;

pub(super) async fn review(context: &Context, review: &Value) -> Result<Value> {
    let token = tree::text(review, "spec.token");
    if token.is_empty() {
        return Err(
            Status::bad_request("token is required for TokenReview in authentication").into(),
        );
    }
    let asked: Vec<String> = tree::list(review, "spec.audiences")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let authenticator = &context.core.authenticator;
    let audiences = if asked.is_empty() {
        authenticator.audiences().to_vec()
    } else {
        asked.clone()
    };
    Ok(match authenticator.token(token, &audiences).await {
        Some(found) => json!({
            "authenticated": true,
            "user": user_value(&found.user),
            "audiences": found.audiences,
        }),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
