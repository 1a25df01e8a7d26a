//! Service account tokens: signature and times by the issuer's keys, then audience, account and
//! bound object against the present state, so that deleting a pod ends its tokens.

use jiff::Timestamp;
use k3s_base::error::chain;
use k3s_meta::{UserInfo, object, tree};
use k3s_pki::ServiceAccountKeys;
use k3s_registry::Registry;
use serde_json::Value;

use super::{TokenUser, authenticated};

/// The claim that holds what Kubernetes adds to a token.
const PRIVATE: &str = "kubernetes.io";
/// How long tokens of a deleted object are accepted (upstream: `pkg/serviceaccount/claims.go`).
const DELETED_GRACE_SECONDS: i64 = 60;

/// The claims of a token that one of the issuer's keys has signed and whose time it is.
pub(super) fn claims(registry: &Registry, keys: &ServiceAccountKeys, token: &str) -> Option<Value> {
    // Anything but three parts is no JWT, and parsing it would only cost time.
    if token.matches('.').count() != 2 {
        return None;
    }
    let claims = keys
        .verify(token, registry.clock().now().as_second())
        .map_err(|error| {
            tracing::debug!(error = chain(&error), "bearer token refused");
        });
    claims.ok()
}

/// The name under which an account acts.
pub(super) fn account_user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// The user of an account.
pub(super) fn user_of(namespace: &str, account: &str, uid: &str) -> UserInfo {
    let mut user = UserInfo::new(
        account_user(namespace, account),
        [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ],
    );
    user.uid = uid.to_owned();
    user
}

/// The user of verified claims that are valid for one of `audiences`.
pub(super) fn user(registry: &Registry, claims: &Value, audiences: &[String]) -> Option<TokenUser> {
    let granted = granted_audiences(claims, audiences);
    if granted.is_empty() {
        return None;
    }
    let private = private(claims);
    let namespace = tree::text(private, "namespace");
    let name = tree::text(private, "serviceaccount.name");
    let uid = tree::text(private, "serviceaccount.uid");
    if namespace.is_empty() || name.is_empty() {
        return None;
    }
    find_live(registry, "serviceaccounts", namespace, name, uid)?;
    let mut user = user_of(namespace, name, uid);
    check_bound_object(registry, claims, namespace, &mut user)?;
    let id = tree::text(claims, "jti");
    if !id.is_empty() {
        add_extra(&mut user, "credential-id", format!("JTI={id}"));
    }
    Some(TokenUser {
        user: authenticated(user),
        audiences: granted,
    })
}

/// The claims of this server's own, which are all under one key that contains a dot.
fn private(claims: &Value) -> &Value {
    claims.get(PRIVATE).unwrap_or(&Value::Null)
}

/// The audiences asked for that the token has.
fn granted_audiences(claims: &Value, audiences: &[String]) -> Vec<String> {
    let has = |audience: &String| match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(|value| value.as_str() == Some(audience)),
        Some(Value::String(one)) => one == audience,
        _ => false,
    };
    audiences
        .iter()
        .filter(|audience| has(audience))
        .cloned()
        .collect()
}

/// The object that the token is bound to, if any, must still exist.
fn check_bound_object(
    registry: &Registry,
    claims: &Value,
    namespace: &str,
    user: &mut UserInfo,
) -> Option<()> {
    let private = private(claims);
    let reference = |kind: &str| {
        let name = tree::text(private, &format!("{kind}.name"));
        (!name.is_empty()).then(|| (name, tree::text(private, &format!("{kind}.uid"))))
    };
    if let Some((name, uid)) = reference("pod") {
        let pod = find_live(registry, "pods", namespace, name, uid)?;
        add_extra(user, "pod-name", name.to_owned());
        add_extra(user, "pod-uid", uid.to_owned());
        if let Some((node, uid)) = reference("node") {
            add_extra(user, "node-name", node.to_owned());
            add_extra(user, "node-uid", uid.to_owned());
        } else {
            let node = tree::text(&pod, "spec.nodeName");
            if !node.is_empty() {
                add_extra(user, "node-name", node.to_owned());
            }
        }
    } else if let Some((name, uid)) = reference("secret") {
        find_live(registry, "secrets", namespace, name, uid)?;
    } else if let Some((name, uid)) = reference("node") {
        find_live(registry, "nodes", "", name, uid)?;
        add_extra(user, "node-name", name.to_owned());
        add_extra(user, "node-uid", uid.to_owned());
    }
    Some(())
}

/// The object, unless it is another one of the same name or was deleted over a minute ago.
pub(super) fn find_live(
    registry: &Registry,
    plural: &str,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Option<Value> {
    let read = || {
        let resource = registry.resource("", "v1", plural)?;
        registry.get(resource, namespace, name)?.to_value()
    };
    // Without the object the token is refused, for any reason.
    let found = read()
        .inspect_err(|error| {
            tracing::debug!(error = chain(error), plural, name, "bearer token refused")
        })
        .ok()?;
    let is_same = uid.is_empty() || object::uid(&found) == uid;
    (is_same && !is_long_deleted(&found, registry.clock().now())).then_some(found)
}

/// A pod that is shutting down may still use its token for a while.
fn is_long_deleted(object: &Value, now: Timestamp) -> bool {
    let deleted = object::deletion_timestamp(object);
    let deleted = deleted.and_then(|at| at.parse::<Timestamp>().ok());
    deleted.is_some_and(|at| {
        let age_seconds = now.as_second().saturating_sub(at.as_second());
        age_seconds > DELETED_GRACE_SECONDS
    })
}

fn add_extra(user: &mut UserInfo, key: &str, value: String) {
    user.extra
        .insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
}
