//! SelfSubjectReview: who the asker is (`kubectl auth whoami`).

use serde_json::{Value, json};

use super::user_value;
use crate::context::Context;

pub(super) fn review(context: &Context) -> Value {
    json!({"userInfo": user_value(&context.user)})
}
