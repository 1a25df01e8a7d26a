//! Who may call the kubelet: client certificates of the cluster's client CA, or bearer tokens by
//! TokenReview; then SubjectAccessReview on `nodes/<subresource>`
//! (`pkg/kubelet/server/auth.go`, with the fine-grained subresources of KEP-2862).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use http::{HeaderMap, Method};
use k3s_client::resources;
use k3s_serve::PeerCertificates;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::context::Context;

/// How long verdicts are kept (`authentication.webhook.cacheTTL`, `authorization.webhook.cache*TTL`
/// are longer; a revoked right should not outlive half a minute here).
const ALLOWED: Duration = Duration::from_secs(30);
const DENIED: Duration = Duration::from_secs(10);
/// Verdicts kept; beyond this the table starts over, which costs reviews only.
const MAX_ENTRIES: usize = 1024;

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unauthorized,
    Forbidden(String),
    /// The API could not be asked.
    Unavailable(String),
}

type AccessKey = (Caller, &'static str, &'static str);
/// Valid until then; `None` for a token that is nobody's.
type Reviewed = (Duration, Option<Caller>);

/// Cached verdicts.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    tokens: Mutex<HashMap<[u8; 32], Reviewed>>,
    access: Mutex<HashMap<AccessKey, (Duration, bool)>>,
}

/// Subresources of `nodes` that allow the path, the narrowest first.
fn subresources(path: &str) -> Vec<&'static str> {
    let under = |prefix: &str| {
        path == prefix
            || path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    if under("/stats") {
        vec!["stats"]
    } else if under("/metrics") {
        vec!["metrics"]
    } else if under("/logs") {
        vec!["log"]
    } else if under("/pods") || under("/runningpods") {
        vec!["pods", "proxy"]
    } else if under("/healthz") {
        vec!["healthz", "proxy"]
    } else if under("/configz") {
        vec!["configz", "proxy"]
    } else {
        vec!["proxy"]
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// Lets the request through or says why not.
pub(crate) async fn check(
    ctx: &Context,
    cache: &Cache,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    peer: Option<&PeerCertificates>,
) -> Result<(), Refusal> {
    let caller = match peer.and_then(from_certificate) {
        Some(caller) => caller,
        None => from_token(ctx, cache, headers).await?,
    };
    let verb = verb(method);
    let wanted = subresources(path);
    for subresource in &wanted {
        if allowed(ctx, cache, &caller, verb, subresource).await? {
            return Ok(());
        }
    }
    Err(Refusal::Forbidden(format!(
        "Forbidden (user={}, verb={verb}, resource=nodes, subresource({})={wanted:?})",
        caller.name,
        wanted.len()
    )))
}

/// The identity in a certificate that the TLS layer has verified: CN is the user, O the groups.
fn from_certificate(peer: &PeerCertificates) -> Option<Caller> {
    let leaf = peer.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject
        .iter_organization()
        .filter_map(|o| o.as_str().ok().map(str::to_owned));
    Some(Caller {
        name,
        groups: groups.chain(["system:authenticated".to_owned()]).collect(),
        ..Caller::default()
    })
}

async fn from_token(ctx: &Context, cache: &Cache, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let header = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let token = header
        .strip_prefix("Bearer ")
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .ok_or(Refusal::Unauthorized)?;
    let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let now = ctx.config.clock.elapsed();
    if let Some((until, caller)) = cache.tokens.lock().get(&key).cloned()
        && until > now
    {
        return caller.ok_or(Refusal::Unauthorized);
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = ctx
        .client
        .create(&resources::TOKEN_REVIEWS, None, &review)
        .await
        .map_err(|e| Refusal::Unavailable(format!("token review failed: {e}")))?;
    let caller = reviewed(answer.value().get("status").unwrap_or(&Value::Null));
    let until = now + if caller.is_some() { ALLOWED } else { DENIED };
    let mut tokens = cache.tokens.lock();
    if tokens.len() >= MAX_ENTRIES {
        tokens.clear();
    }
    tokens.insert(key, (until, caller.clone()));
    caller.ok_or(Refusal::Unauthorized)
}

fn reviewed(status: &Value) -> Option<Caller> {
    if status.get("authenticated").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let user = status.get("user")?;
    let text = |name: &str| {
        user.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(Caller {
        name: text("username"),
        uid: text("uid"),
        groups: user
            .get("groups")
            .cloned()
            .and_then(|g| serde_json::from_value(g).ok())
            .unwrap_or_default(),
        extra: user
            .get("extra")
            .cloned()
            .and_then(|e| serde_json::from_value(e).ok())
            .unwrap_or_default(),
    })
}

async fn allowed(
    ctx: &Context,
    cache: &Cache,
    caller: &Caller,
    verb: &'static str,
    subresource: &'static str,
) -> Result<bool, Refusal> {
    let key = (caller.clone(), verb, subresource);
    let now = ctx.config.clock.elapsed();
    if let Some((until, verdict)) = cache.access.lock().get(&key).copied()
        && until > now
    {
        return Ok(verdict);
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": caller.name, "uid": caller.uid, "groups": caller.groups, "extra": caller.extra,
            "resourceAttributes": {"verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": ctx.config.node_name},
        },
    });
    let answer = ctx
        .client
        .create(&resources::SUBJECT_ACCESS_REVIEWS, None, &review)
        .await
        .map_err(|e| Refusal::Unavailable(format!("access review failed: {e}")))?;
    let verdict = answer
        .value()
        .pointer("/status/allowed")
        .and_then(Value::as_bool)
        == Some(true);
    let mut access = cache.access.lock();
    if access.len() >= MAX_ENTRIES {
        access.clear();
    }
    access.insert(key, (now + if verdict { ALLOWED } else { DENIED }, verdict));
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_need_the_narrowest_subresource_or_proxy() {
        assert_eq!(subresources("/metrics/resource"), ["metrics"]);
        assert_eq!(subresources("/metricsx"), ["proxy"]);
        assert_eq!(subresources("/pods"), ["pods", "proxy"]);
        assert_eq!(subresources("/exec/a/b/c"), ["proxy"]);
        assert_eq!((verb(&Method::POST), verb(&Method::GET)), ("create", "get"));
    }
}
