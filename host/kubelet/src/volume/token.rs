//! Service account tokens of projected volumes: asked for by TokenRequest, bound to the pod, renewed
//! at 80 % of their life or after a day (`pkg/kubelet/token/token_manager.go`).

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k3s_base::Clock;
use k3s_client::{Client, resources};
use k8s_openapi::api::core::v1::{Pod, ServiceAccountTokenProjection};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::error::TokenError;
use crate::model;

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
/// pods: [`Tokens::forget`] runs when one ends.
pub(crate) struct Tokens {
    client: Client,
    clock: Clock,
    held: Mutex<HashMap<Key, Token>>,
}

impl Tokens {
    pub(crate) fn new(client: Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            held: Mutex::default(),
        }
    }

    /// Drops the tokens of a pod that has ended.
    pub(crate) fn forget(&self, uid: &str) {
        self.held.lock().retain(|key, _| key.pod_uid != uid);
    }

    /// When the pod's next token is due.
    pub(crate) fn next_refresh(&self, uid: &str) -> Option<Timestamp> {
        self.held
            .lock()
            .iter()
            .filter(|(key, _)| key.pod_uid == uid)
            .map(|(_, token)| token.refresh_at)
            .min()
    }

    /// The pod's present token, or a new one where that is due.
    ///
    /// # Errors
    /// When the API refuses the request or answers without a token.
    pub(crate) async fn token(
        &self,
        pod: &Pod,
        source: &ServiceAccountTokenProjection,
    ) -> Result<String, TokenError> {
        let key = Key {
            pod_uid: model::uid(pod).to_owned(),
            audience: source.audience.clone().unwrap_or_default(),
            expiration_seconds: source.expiration_seconds.unwrap_or(3600),
        };
        let now = self.clock.now();
        if let Some(held) = self.held.lock().get(&key)
            && held.refresh_at > now
        {
            return Ok(held.value.clone());
        }
        let fresh = self.request(pod, &key, now).await?;
        let value = fresh.value.clone();
        self.held.lock().insert(key, fresh);
        Ok(value)
    }

    async fn request(&self, pod: &Pod, key: &Key, now: Timestamp) -> Result<Token, TokenError> {
        let spec = pod.spec.as_ref();
        let account = spec.and_then(|s| s.service_account_name.as_deref());
        let answer = self
            .client
            .create_subresource(
                &resources::SERVICE_ACCOUNTS,
                Some(model::namespace(pod)),
                account.unwrap_or("default"),
                "token",
                &token_request(pod, key),
            )
            .await
            .map_err(TokenError::Request)?;
        let status = answer.value().get("status");
        let text = |name: &str| status?.get(name)?.as_str();
        let (Some(value), Some(expires)) = (text("token"), text("expirationTimestamp")) else {
            return Err(TokenError::Missing);
        };
        let expires: Timestamp = expires.parse().map_err(TokenError::Expiration)?;
        Ok(Token {
            value: value.to_owned(),
            refresh_at: refresh_at(now, expires),
        })
    }
}

fn token_request(pod: &Pod, key: &Key) -> Value {
    let audiences: Vec<&str> = Some(key.audience.as_str())
        .filter(|audience| !audience.is_empty())
        .into_iter()
        .collect();
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": key.expiration_seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": model::name(pod), "uid": key.pod_uid},
        },
    })
}

/// 80 % of the token's life, or a day.
fn refresh_at(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now);
    let eighty_percent = life
        .checked_mul(4)
        .and_then(|d| d.checked_div(5))
        .unwrap_or(SignedDuration::ZERO);
    now.checked_add(eighty_percent.min(MAX_AGE)).unwrap_or(now)
}
