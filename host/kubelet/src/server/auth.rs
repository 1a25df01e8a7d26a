//! Who may call the kubelet: client certificates of the cluster's client CA, or bearer tokens by
//! TokenReview; then SubjectAccessReview on `nodes/<subresource>`
//! (`pkg/kubelet/server/auth.go`, with the fine-grained subresources of KEP-2862).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use http::{HeaderMap, Method};
use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_client::{Client, resources};
use k3s_serve::{PeerCertificates, upgrade};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

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
/// Valid until then; `None` for a token that authenticates no user.
type Reviewed = (Duration, Option<Caller>);

/// Asks the API who calls and what they may do, and remembers the answers for a while.
pub(crate) struct Authorizer {
    client: Client,
    clock: Clock,
    node_name: String,
    tokens: Mutex<HashMap<[u8; 32], Reviewed>>,
    access: Mutex<HashMap<AccessKey, (Duration, bool)>>,
}

/// Subresources of `nodes` that allow the paths below a prefix, the narrowest first.
const SUBRESOURCES: [(&str, &[&str]); 7] = [
    ("/stats", &["stats"]),
    ("/metrics", &["metrics"]),
    ("/logs", &["log"]),
    ("/pods", &["pods", "proxy"]),
    ("/runningpods", &["pods", "proxy"]),
    ("/healthz", &["healthz", "proxy"]),
    ("/configz", &["configz", "proxy"]),
];

/// The subresources that allow the path; `proxy` allows all that the table does not name.
fn subresources(path: &str) -> &'static [&'static str] {
    let is_under = |prefix: &str| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let row = SUBRESOURCES.iter().find(|(prefix, _)| is_under(prefix));
    row.map_or(&["proxy"], |(_, subresources)| subresources)
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

impl Authorizer {
    pub(crate) fn new(client: Client, clock: Clock, node_name: String) -> Self {
        Self {
            client,
            clock,
            node_name,
            tokens: Mutex::default(),
            access: Mutex::default(),
        }
    }

    /// Lets the request through or says why not.
    pub(crate) async fn check(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&PeerCertificates>,
    ) -> Result<(), Refusal> {
        let caller = match peer.and_then(from_certificate) {
            Some(caller) => caller,
            None => self.authenticate(headers).await?,
        };
        let verb = upgrade::verb(headers, verb(method));
        let wanted = subresources(path);
        for subresource in wanted {
            if self.is_allowed(&caller, verb, subresource).await? {
                return Ok(());
            }
        }
        Err(Refusal::Forbidden(format!(
            "Forbidden (user={}, verb={verb}, resource=nodes, subresource({})={wanted:?})",
            caller.name,
            wanted.len()
        )))
    }

    /// The caller that the bearer token stands for.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let Some(token) = bearer_token(headers) else {
            return Err(Refusal::Unauthorized);
        };
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = self.clock.elapsed();
        let known = self.tokens.lock().get(&key).cloned();
        if let Some((until, caller)) = known
            && until > now
        {
            return caller.ok_or(Refusal::Unauthorized);
        }
        let caller = self.review_token(token).await?;
        let until = now + lifetime(caller.is_some());
        let reviewed = (until, caller.clone());
        insert(&mut self.tokens.lock(), key, reviewed);
        caller.ok_or(Refusal::Unauthorized)
    }

    async fn review_token(&self, token: &str) -> Result<Option<Caller>, Refusal> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let answer = self
            .client
            .create(&resources::TOKEN_REVIEWS, None, &review)
            .await;
        let answer = answer.map_err(|error| {
            let cause = chain(&error);
            Refusal::Unavailable(format!("token review failed: {cause}"))
        })?;
        let status = answer.value().get("status");
        Ok(status.and_then(reviewed))
    }

    async fn is_allowed(
        &self,
        caller: &Caller,
        verb: &'static str,
        subresource: &'static str,
    ) -> Result<bool, Refusal> {
        let key = (caller.clone(), verb, subresource);
        let now = self.clock.elapsed();
        let known = self.access.lock().get(&key).copied();
        if let Some((until, verdict)) = known
            && until > now
        {
            return Ok(verdict);
        }
        let verdict = self.review_access(caller, verb, subresource).await?;
        let until = now + lifetime(verdict);
        let reviewed = (until, verdict);
        insert(&mut self.access.lock(), key, reviewed);
        Ok(verdict)
    }

    async fn review_access(
        &self,
        caller: &Caller,
        verb: &str,
        subresource: &str,
    ) -> Result<bool, Refusal> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": caller.name,
                "uid": caller.uid,
                "groups": caller.groups,
                "extra": caller.extra,
                "resourceAttributes": {
                    "verb": verb,
                    "version": "v1",
                    "resource": "nodes",
                    "subresource": subresource,
                    "name": self.node_name,
                },
            },
        });
        let answer = self
            .client
            .create(&resources::SUBJECT_ACCESS_REVIEWS, None, &review)
            .await;
        let answer = answer.map_err(|error| {
            let cause = chain(&error);
            Refusal::Unavailable(format!("access review failed: {cause}"))
        })?;
        let status = answer.value().get("status");
        let allowed = status.and_then(|status| status.get("allowed"));
        Ok(allowed.and_then(Value::as_bool) == Some(true))
    }
}

/// How long an answer of the API is remembered.
fn lifetime(is_positive: bool) -> Duration {
    if is_positive { ALLOWED } else { DENIED }
}

fn insert<K: Eq + Hash, V>(cache: &mut HashMap<K, V>, key: K, value: V) {
    if cache.len() >= MAX_ENTRIES {
        cache.clear();
    }
    cache.insert(key, value);
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?;
    let text = header.to_str().ok()?;
    let token = text.strip_prefix("Bearer ")?.trim();
    if token.is_empty() {
        return None;
    }
    Some(token)
}

/// The identity in a certificate that the TLS layer has verified: CN is the user, O the groups.
fn from_certificate(peer: &PeerCertificates) -> Option<Caller> {
    let leaf = peer.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject();
    // Of several, Go takes the last.
    let name = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let groups = subject
        .iter_organization()
        .filter_map(|o| o.as_str().ok().map(str::to_owned));
    Some(Caller {
        name,
        groups: groups.chain(["system:authenticated".to_owned()]).collect(),
        ..Caller::default()
    })
}

/// The caller in the status of a TokenReview; `None` when it authenticates no user.
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
        groups: decoded(user.get("groups")),
        extra: decoded(user.get("extra")),
    })
}

/// A field's value; the default where it is missing or of another type.
fn decoded<T: DeserializeOwned + Default>(field: Option<&Value>) -> T {
    let Some(value) = field else {
        return T::default();
    };
    let decoded = serde_json::from_value(value.clone());
    decoded.unwrap_or_default()
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
