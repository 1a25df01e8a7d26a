//! Tokens in Secrets of type `kubernetes.io/service-account-token`: they have no end and no audience, and
//! are valid as long as the Secret holds them and the account exists (`pkg/serviceaccount/legacy.go`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::error::chain;
use k3s_meta::{UserInfo, object, tree};
use k3s_pki::LEGACY_ISSUER;
use k3s_registry::{Call, Error, NoAdmission, Registry, Scope, Update, Warnings};
use serde_json::Value;

use super::secret_eq;
use super::service_account::{account_user, find_live};

/// How the names of the claims begin; what follows contains dots.
const CLAIM: &str = "kubernetes.io/serviceaccount/";
/// Set by the clean-up of tokens that were not used for long.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// The Secret that a token is in.
pub(super) struct TokenSecret {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The day on which the token was last used, `2026-01-31`; empty before.
    pub(super) last_used: String,
}

/// The day on which the token was last used.
pub(super) const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";

/// Whether verified claims are those of such a token.
pub(super) fn is_legacy(claims: &Value) -> bool {
    claims.get("iss").and_then(Value::as_str) == Some(LEGACY_ISSUER)
}

/// The user of a token with these verified claims, and where the token is from.
pub(super) fn user(
    registry: &Registry,
    claims: &Value,
    token: &str,
) -> Option<(UserInfo, TokenSecret)> {
    let claim = |name: &str| {
        let claim = claims.get(format!("{CLAIM}{name}")).and_then(Value::as_str);
        claim.filter(|text| !text.is_empty())
    };
    let namespace = claim("namespace")?;
    let account = claim("service-account.name")?;
    let uid = claim("service-account.uid")?;
    let name = claim("secret.name")?;
    if claims.get("sub").and_then(Value::as_str) != Some(&account_user(namespace, account)) {
        return None;
    }
    let secret = find_live(registry, "secrets", namespace, name, "")?;
    let held = STANDARD.decode(tree::text(&secret, "data.token")).ok()?;
    let held = String::from_utf8(held).ok()?;
    let is_valid = object::deletion_timestamp(&secret).is_none()
        && secret_eq::equal(&held, token)
        && object::label(&secret, INVALID_SINCE).is_none_or(str::is_empty);
    if !is_valid {
        tracing::debug!(
            namespace,
            name,
            "bearer token refused: its secret does not hold it"
        );
        return None;
    }
    find_live(registry, "serviceaccounts", namespace, account, uid)?;
    let user = super::service_account::user_of(namespace, account, uid);
    let secret = TokenSecret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        last_used: object::label(&secret, LAST_USED)
            .unwrap_or_default()
            .to_owned(),
    };
    Some((user, secret))
}

/// Writes down on which day the token was used, once a day. A failure of this is no failure of the request.
pub(super) async fn note_use(registry: &Registry, secret: &TokenSecret) {
    let today = registry.clock().now().strftime("%Y-%m-%d").to_string();
    if secret.last_used == today {
        return;
    }
    match write_use(registry, secret, &today).await {
        Err(error) if !error.is_not_found() => {
            let (namespace, name) = (&secret.namespace, &secret.name);
            tracing::warn!(
                error = chain(&error),
                namespace,
                name,
                "use of a token not noted"
            );
        }
        _ => {}
    }
}

async fn write_use(registry: &Registry, secret: &TokenSecret, today: &str) -> Result<(), Error> {
    let (user, warnings) = (
        UserInfo::new("system:apiserver", ["system:masters"]),
        Warnings::default(),
    );
    let call = Call {
        user: &user,
        dry_run: false,
        admission: &NoAdmission,
        warnings: &warnings,
    };
    let update = Update {
        resource: registry.resource("", "v1", "secrets")?,
        namespace: &secret.namespace,
        name: &secret.name,
        scope: Scope::Main,
        create_missing: false,
    };
    let noted = |current: Option<&Value>| {
        let mut stored = current.cloned().unwrap_or_default();
        if let Some(labels) = tree::ensure(&mut stored, "metadata.labels") {
            labels.insert(LAST_USED.to_owned(), today.into());
        }
        Ok(stored)
    };
    registry.update(&update, &call, noted).await.map(drop)
}
