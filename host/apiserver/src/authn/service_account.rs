//! Service account tokens: signature and times by the issuer's keys, then audience, account and
//! bound object against the present state, so that deleting a pod ends its tokens.

use k3s_meta::{UserInfo, object, tree};
use k3s_pki::ServiceAccountKeys;
use k3s_registry::Registry;
use serde_json::Value;

use super::{TokenUser, authenticated};

const PRIVATE: &str = "kubernetes.io";

pub(super) fn user(
    registry: &Registry,
    keys: &ServiceAccountKeys,
    token: &str,
    audiences: &[String],
) -> Option<TokenUser> {
    // Anything but three parts is no JWT, and parsing it would only cost time.
    if token.matches('.').count() != 2 {
        return None;
    }
    let claims = keys
        .verify(token, registry.clock().now().as_second())
        .map_err(|error| {
            tracing::debug!(%error, "bearer token refused");
        });
    let claims = claims.ok()?;
    let granted = granted(&claims, audiences);
    if granted.is_empty() {
        return None;
    }
    let private = private(&claims);
    let namespace = tree::text(private, "namespace");
    let name = tree::text(private, "serviceaccount.name");
    let uid = tree::text(private, "serviceaccount.uid");
    if namespace.is_empty() || name.is_empty() {
        return None;
    }
    lives(registry, "serviceaccounts", namespace, name, uid)?;
    let mut user = UserInfo::new(
        format!("system:serviceaccount:{namespace}:{name}"),
        [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ],
    );
    user.uid = uid.to_owned();
    bound(registry, &claims, namespace, &mut user)?;
    let id = tree::text(&claims, "jti");
    if !id.is_empty() {
        extra(&mut user, "credential-id", format!("JTI={id}"));
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
fn granted(claims: &Value, audiences: &[String]) -> Vec<String> {
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

/// The object the token is bound to, if any, must still be there.
fn bound(registry: &Registry, claims: &Value, namespace: &str, user: &mut UserInfo) -> Option<()> {
    let private = private(claims);
    let reference = |kind: &str| {
        let name = tree::text(private, &format!("{kind}.name"));
        (!name.is_empty()).then(|| (name, tree::text(private, &format!("{kind}.uid"))))
    };
    if let Some((name, uid)) = reference("pod") {
        let pod = lives(registry, "pods", namespace, name, uid)?;
        extra(user, "pod-name", name.to_owned());
        extra(user, "pod-uid", uid.to_owned());
        if let Some((node, uid)) = reference("node") {
            extra(user, "node-name", node.to_owned());
            extra(user, "node-uid", uid.to_owned());
        } else {
            let node = tree::text(&pod, "spec.nodeName");
            if !node.is_empty() {
                extra(user, "node-name", node.to_owned());
            }
        }
    } else if let Some((name, uid)) = reference("secret") {
        lives(registry, "secrets", namespace, name, uid)?;
    } else if let Some((name, uid)) = reference("node") {
        lives(registry, "nodes", "", name, uid)?;
        extra(user, "node-name", name.to_owned());
        extra(user, "node-uid", uid.to_owned());
    }
    Some(())
}

/// The object, unless it is another one of the same name or its deletion is over a minute old.
fn lives(
    registry: &Registry,
    plural: &str,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Option<Value> {
    let resource = registry.resource("", "v1", plural).ok()?;
    let found = registry
        .get(resource, namespace, name)
        .ok()?
        .to_value()
        .ok()?;
    let same = uid.is_empty() || object::uid(&found) == uid;
    let deleted =
        object::deletion_timestamp(&found).and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let gone = deleted.is_some_and(|at| {
        registry
            .clock()
            .now()
            .as_second()
            .saturating_sub(at.as_second())
            > 60
    });
    (same && !gone).then_some(found)
}

fn extra(user: &mut UserInfo, key: &str, value: String) {
    user.extra
        .insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
}
