//! SubjectAccessReview, its local form, and SelfSubjectAccessReview.

use k3s_meta::{GroupKind, Status, UserInfo, tree};
use k3s_registry::{Resource, Result};
use serde_json::{Value, json};

use super::selectors;
use crate::authz::{Attributes, Decision};
use crate::context::Context;

pub(super) fn review(context: &Context, resource: &Resource, review: &Value) -> Result<Value> {
    let errors = (resource.strategy.rules().validate)(review);
    if !errors.is_empty() {
        return Err(
            // Upstream names no kind here.
            Status::invalid(&GroupKind::new("authorization.k8s.io", ""), "", &errors).into(),
        );
    }
    let user = match resource.kind.kind {
        "SelfSubjectAccessReview" => context.user.clone(),
        _ => subject(review),
    };
    let attributes = attributes_of(review, &user);
    let mut status = match context.core.authorizer.authorize(&attributes) {
        Decision::Allow => json!({"allowed": true}),
        Decision::Deny(reason) if reason.is_empty() => json!({"allowed": false}),
        Decision::Deny(reason) => json!({"allowed": false, "reason": reason}),
    };
    let complaints = selectors::complaints(review);
    if !complaints.is_empty() {
        tree::set(&mut status, "evaluationError", complaints);
    }
    Ok(status)
}

/// The question that a review asks about a user.
fn attributes_of<'a>(review: &'a Value, user: &'a UserInfo) -> Attributes<'a> {
    let resource = |field| tree::text(review, &format!("spec.resourceAttributes.{field}"));
    let path = |field| tree::text(review, &format!("spec.nonResourceAttributes.{field}"));
    let is_resource = tree::get(review, "spec.resourceAttributes").is_some_and(Value::is_object);
    if is_resource {
        return Attributes {
            user,
            verb: resource("verb"),
            namespace: resource("namespace"),
            group: resource("group"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            name: resource("name"),
            path: "",
            is_resource,
            field_selector: None,
        };
    }
    Attributes {
        user,
        verb: path("verb"),
        namespace: "",
        group: "",
        resource: "",
        subresource: "",
        name: "",
        path: path("path"),
        is_resource,
        field_selector: None,
    }
}

fn subject(review: &Value) -> UserInfo {
    let groups = tree::list(review, "spec.groups")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    let mut user = UserInfo::new(tree::text(review, "spec.user"), groups);
    tree::text(review, "spec.uid").clone_into(&mut user.uid);
    user
}
