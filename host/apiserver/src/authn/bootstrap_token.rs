//! Bootstrap tokens: `<6 characters>.<16 characters>`, kept in Secrets of `kube-system`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k3s_meta::{UserInfo, object, tree};
use k3s_registry::Registry;
use serde_json::Value;

use super::secret_eq;

const TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// The user of a bootstrap token that exists, has not expired, and may authenticate.
pub(super) fn user(registry: &Registry, token: &str) -> Option<UserInfo> {
    let (id, secret) = split(token)?;
    let secrets = registry.resource("", "v1", "secrets").ok()?;
    let stored = registry
        .get(secrets, "kube-system", &format!("bootstrap-token-{id}"))
        .ok()?
        .to_value()
        .ok()?;
    if tree::text(&stored, "type") != TYPE || object::deletion_timestamp(&stored).is_some() {
        return None;
    }
    let field = |name: &str| data(&stored, name);
    let matches = secret_eq::equal(&field("token-secret")?, secret) && field("token-id")? == id;
    let usable = field("usage-bootstrap-authentication").as_deref() == Some("true");
    if !matches || !usable || has_expired(field("expiration"), registry.clock().now()) {
        return None;
    }
    let more = field("auth-extra-groups").unwrap_or_default();
    let more = more
        .split(',')
        .map(str::trim)
        .filter(|group| group.starts_with("system:bootstrappers:"));
    let groups: Vec<String> = std::iter::once(GROUP)
        .chain(more)
        .map(str::to_owned)
        .collect();
    Some(UserInfo::new(format!("system:bootstrap:{id}"), groups))
}

fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    (id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret)).then_some((id, secret))
}

fn data(secret: &Value, name: &str) -> Option<String> {
    let encoded = tree::map(secret, "data").get(name)?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?)
        .ok()
        .filter(|text| !text.is_empty())
}

/// A time that cannot be read counts as past, as upstream has it.
fn has_expired(expiration: Option<String>, now: Timestamp) -> bool {
    expiration.is_some_and(|text| {
        text.parse::<Timestamp>().is_ok_and(|at| at <= now) || text.parse::<Timestamp>().is_err()
    })
}
