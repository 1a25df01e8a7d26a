//! Service account tokens of projected volumes: asked for by TokenRequest, bound to the pod, renewed
//! at 80 % of their life or after a day (`pkg/kubelet/token/token_manager.go`).

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k3s_client::resources;
use k8s_openapi::api::core::v1::{Pod, ServiceAccountTokenProjection};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::context::Context;
use crate::pod::model;

/// Upstream renews after a day at the latest.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug)]
struct Token {
    value: String,
    refresh_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    pod_uid: String,
    audience: String,
    expiration_seconds: i64,
}

/// Tokens of the pods on this node; in memory only, a restart asks for new ones. Bounded by the
/// pods: [`Tokens::forget`] runs when one goes.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<Key, Token>>);

impl Tokens {
    /// Drops the tokens of a pod that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.0.lock().retain(|key, _| key.pod_uid != uid);
    }

    /// When the pod's next token is due.
    pub(crate) fn next_refresh(&self, uid: &str) -> Option<Timestamp> {
        self.0
            .lock()
            .iter()
            .filter(|(key, _)| key.pod_uid == uid)
            .map(|(_, token)| token.refresh_at)
            .min()
    }
}

/// The present token, a new one where it is due.
pub(crate) async fn token(
    ctx: &Context,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
) -> Result<String, String> {
    let key = Key {
        pod_uid: model::uid(pod).to_owned(),
        audience: source.audience.clone().unwrap_or_default(),
        expiration_seconds: source.expiration_seconds.unwrap_or(3600),
    };
    let now = ctx.config.clock.now();
    if let Some(held) = ctx.tokens.0.lock().get(&key)
        && held.refresh_at > now
    {
        return Ok(held.value.clone());
    }
    let fresh = request(ctx, pod, &key, now).await?;
    ctx.tokens.0.lock().insert(key, fresh.clone());
    Ok(fresh.value)
}

async fn request(ctx: &Context, pod: &Pod, key: &Key, now: Timestamp) -> Result<Token, String> {
    let account = pod
        .spec
        .as_ref()
        .and_then(|s| s.service_account_name.as_deref())
        .unwrap_or("default");
    let namespace = model::namespace(pod);
    let audiences: Vec<&str> = Some(key.audience.as_str())
        .filter(|a| !a.is_empty())
        .into_iter()
        .collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": key.expiration_seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": model::name(pod), "uid": key.pod_uid},
        },
    });
    let failed = |e: &dyn std::fmt::Display| format!("failed to fetch token: {e}");
    let answer = ctx
        .client
        .create_subresource(
            &resources::SERVICE_ACCOUNTS,
            Some(namespace),
            account,
            "token",
            &body,
        )
        .await
        .map_err(|e| failed(&e))?;
    let status = answer.value().get("status").cloned().unwrap_or(Value::Null);
    let text = |name: &str| status.get(name).and_then(Value::as_str);
    let (Some(value), Some(expires)) = (text("token"), text("expirationTimestamp")) else {
        return Err(failed(&"the API server sent no token"));
    };
    let expires: Timestamp = expires.parse().map_err(|e| failed(&e))?;
    let life = expires.duration_since(now);
    let eighty_percent = life
        .checked_mul(4)
        .and_then(|d| d.checked_div(5))
        .unwrap_or(SignedDuration::ZERO);
    let refresh_at = now.checked_add(eighty_percent.min(MAX_AGE)).unwrap_or(now);
    Ok(Token {
        value: value.to_owned(),
        refresh_at,
    })
}
