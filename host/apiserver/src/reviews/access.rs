//! SubjectAccessReview, its local form, and SelfSubjectAccessReview.

use k3s_meta::{ErrorList, GroupKind, Path, Status, UserInfo, field, tree};
use k3s_registry::Result;
use serde_json::{Value, json};

use super::selectors;
use crate::authz::{Attributes, Decision};
use crate::context::Context;

pub(super) fn review(context: &Context, kind: &'static str, review: &mut Value) -> Result<Value> {
    let user = if kind == "SelfSubjectAccessReview" {
        context.user.clone()
    } else {
        subject(review)
    };
    let errors = validate(context, kind, review, &user);
    if !errors.is_empty() {
        return Err(
            // Upstream names no kind here.
            Status::invalid(&GroupKind::new("authorization.k8s.io", ""), "", &errors).into(),
        );
    }
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

fn validate(context: &Context, kind: &str, review: &Value, user: &UserInfo) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let has = |key| tree::get(review, &format!("spec.{key}")).is_some_and(Value::is_object);
    match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, true) => errors.push(field::invalid(
            &spec.child("nonResourceAttributes"),
            tree::get(review, "spec.nonResourceAttributes"),
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => errors.push(field::invalid(
            &spec.child("resourceAttributes"),
            tree::get(review, "spec.nonResourceAttributes"),
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if kind != "SelfSubjectAccessReview" && user.name.is_empty() && user.groups.is_empty() {
        errors.push(field::invalid(
            &spec.child("user"),
            "",
            "at least one of user or group must be specified",
        ));
    }
    if kind == "LocalSubjectAccessReview" {
        let namespace = tree::text(review, "spec.resourceAttributes.namespace");
        if namespace != context.info.namespace {
            let path = spec.child("resourceAttributes").child("namespace");
            errors.push(field::invalid(
                &path,
                namespace,
                "must match metadata.namespace",
            ));
        }
        if has("nonResourceAttributes") {
            let path = spec.child("nonResourceAttributes");
            errors.push(field::invalid(
                &path,
                tree::get(review, "spec.nonResourceAttributes"),
                "disallowed on this kind of request",
            ));
        }
    }
    errors
}
