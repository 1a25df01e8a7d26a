//! Authentication: the in-process identity, a client certificate, or a bearer token.
//!
//! The first method that knows its credential decides; a credential that none knows is refused,
//! also where anonymous access would be allowed.

mod bootstrap_token;
pub(crate) mod certificate;
pub(crate) mod impersonation;
mod legacy_token;
mod secret_eq;
mod service_account;

use std::sync::Arc;

use http::Request;
use http::header::AUTHORIZATION;
use k3s_base::Secret;
use k3s_meta::user::AssertedUser;
use k3s_meta::{Status, UserInfo};
use k3s_pki::ServiceAccountKeys;
use k3s_registry::{Registry, Result};

use crate::config::StaticToken;
use crate::request::RequestInfo;

const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";
/// Paths that need no credential, for load balancers. (`--anonymous-auth` is off
/// otherwise, as in K3s.)
const OPEN_PATHS: [&str; 3] = ["/livez", "/readyz", "/healthz"];
const OPEN_EXACT: [&str; 1] = ["/version"];

/// Knows all credentials.
pub(crate) struct Authenticator {
    registry: Registry,
    keys: Arc<ServiceAccountKeys>,
    audiences: Vec<String>,
    fixed: Vec<StaticToken>,
}

/// A verified token.
pub(crate) struct TokenUser {
    pub(crate) user: UserInfo,
    /// The audiences of the token that were asked for.
    pub(crate) audiences: Vec<String>,
}

impl Authenticator {
    pub(crate) fn new(
        registry: Registry,
        keys: Arc<ServiceAccountKeys>,
        audiences: Vec<String>,
        fixed: Vec<StaticToken>,
    ) -> Self {
        Self {
            registry,
            keys,
            audiences,
            fixed,
        }
    }

    /// The keys of the service account issuer.
    pub(crate) fn keys(&self) -> &ServiceAccountKeys {
        &self.keys
    }

    /// The audiences of this API.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Who sent the request.
    ///
    /// # Errors
    /// 401 without a credential that is known.
    pub(crate) async fn authenticate<B>(
        &self,
        request: &Request<B>,
        info: &RequestInfo,
    ) -> Result<UserInfo> {
        if let Some(AssertedUser(user)) = request.extensions().get() {
            return Ok(authenticated(user.clone()));
        }
        if let Some(user) = certificate::user(request.extensions()) {
            return Ok(authenticated(user));
        }
        match bearer(request.headers()) {
            Some(token) => match self.token(token.reveal(), &self.audiences).await {
                Some(found) => Ok(found.user),
                None => Err(Status::unauthorized("Unauthorized").into()),
            },
            None if request.headers().contains_key(AUTHORIZATION) => {
                Err(Status::unauthorized("Unauthorized").into())
            }
            None if is_open(&info.path) && !info.is_resource => {
                Ok(UserInfo::new(ANONYMOUS, [UNAUTHENTICATED]))
            }
            None => Err(Status::unauthorized("Unauthorized").into()),
        }
    }

    /// Who a bearer token belongs to, if it is valid for one of `audiences`.
    pub(crate) async fn token(&self, token: &str, audiences: &[String]) -> Option<TokenUser> {
        if let Some(fixed) = self
            .fixed
            .iter()
            .find(|fixed| secret_eq::equal(fixed.token.reveal(), token))
        {
            return self.for_api(fixed.user.clone(), audiences);
        }
        if let Some(user) = bootstrap_token::user(&self.registry, token) {
            return self.for_api(user, audiences);
        }
        let claims = service_account::claims(&self.registry, &self.keys, token)?;
        if !legacy_token::is_legacy(&claims) {
            return service_account::user(&self.registry, &claims, audiences);
        }
        let (user, secret) = legacy_token::user(&self.registry, &claims, token)?;
        let found = self.for_api(user, audiences)?;
        legacy_token::note_use(&self.registry, &secret).await;
        Some(found)
    }

    /// Tokens that carry no audience are for this API.
    fn for_api(&self, user: UserInfo, audiences: &[String]) -> Option<TokenUser> {
        let audiences: Vec<String> = audiences
            .iter()
            .filter(|a| self.audiences.contains(a))
            .cloned()
            .collect();
        (!audiences.is_empty()).then(|| TokenUser {
            user: authenticated(user),
            audiences,
        })
    }
}

/// Adds the group of all authenticated users.
pub(crate) fn authenticated(mut user: UserInfo) -> UserInfo {
    if user.name != ANONYMOUS && !user.in_group(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

fn is_open(path: &str) -> bool {
    let below = |open: &str| {
        path.strip_prefix(open)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    OPEN_EXACT.contains(&path.trim_end_matches('/')) || OPEN_PATHS.iter().any(|open| below(open))
}

/// The bearer token, from the header or (for browsers' WebSockets) from a subprotocol.
fn bearer(headers: &http::HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        .then(|| Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_probes_and_version_are_open() {
        for open in ["/livez", "/readyz/ping", "/healthz/", "/version"] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["/metrics", "/api", "/livezz", "/version/x", "/"] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
