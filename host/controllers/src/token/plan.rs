//! Pure: what a token Secret lacks, and what it becomes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_client::Obj;
use k3s_meta::{object, tree};
use serde_json::{Value, json};

pub(super) const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
pub(super) const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// What is not in the Secret as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) ca: bool,
    pub(super) namespace: bool,
    pub(super) token: bool,
}

impl Missing {
    pub(super) fn is_nothing(self) -> bool {
        !(self.ca || self.namespace || self.token)
    }
}

fn data<'a>(secret: &'a Value, name: &str) -> &'a str {
    // The names contain dots.
    let data = tree::map(secret, "data").get(name);
    data.and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn missing(secret: &Value, root_ca_pem: &str) -> Missing {
    Missing {
        ca: data(secret, "ca.crt") != STANDARD.encode(root_ca_pem),
        namespace: data(secret, "namespace").is_empty(),
        token: data(secret, "token").is_empty(),
    }
}

/// The claims of the Secret's token (`LegacyClaims` of `pkg/serviceaccount/legacy.go`).
pub(super) fn claims(account: &Obj, secret: &Obj) -> Value {
    let (namespace, name) = (account.namespace(), account.name());
    json!({
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": account.uid(),
        "kubernetes.io/serviceaccount/secret.name": secret.name(),
    })
}

/// The Secret with all that it should hold; `token` where it has none.
pub(super) fn filled(secret: &Obj, account: &Obj, root_ca_pem: &str, token: Option<&str>) -> Value {
    let mut filled = secret.value().clone();
    let has_namespace = !data(&filled, "namespace").is_empty();
    if let Some(data) = tree::ensure(&mut filled, "data") {
        let mut put = |name: &str, text: &str| {
            data.insert(name.to_owned(), STANDARD.encode(text).into());
        };
        put("ca.crt", root_ca_pem);
        if !has_namespace {
            put("namespace", secret.namespace());
        }
        if let Some(token) = token {
            put("token", token);
        }
    }
    object::set_annotation(&mut filled, ACCOUNT_NAME, account.name());
    object::set_annotation(&mut filled, ACCOUNT_UID, account.uid());
    filled
}

#[cfg(test)]
mod tests {
    use k3s_client::Object;

    use super::*;

    fn secret(data: Value) -> Object {
        let value = json!({"metadata": {"name": "s", "namespace": "n", "resourceVersion": "7"}, "data": data});
        Obj::from_value(value).unwrap()
    }

    #[test]
    fn a_secret_gets_what_it_lacks_and_keeps_what_it_has() {
        let account = json!({"metadata": {"name": "robot", "namespace": "n", "uid": "u"}});
        let account = Obj::from_value(account).unwrap();
        let text = |value: &Value| {
            let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let empty = secret(json!({}));
        let all = Missing {
            ca: true,
            namespace: true,
            token: true,
        };
        assert_eq!(missing(empty.value(), "PEM"), all);
        let full = filled(&empty, &account, "PEM", Some("jwt"));
        let held = ["ca.crt", "namespace", "token"].map(|name| text(&full["data"][name]));
        assert_eq!(held, ["PEM", "n", "jwt"]);
        assert_eq!(full["metadata"]["annotations"][ACCOUNT_UID], "u");
        assert_eq!(full["metadata"]["resourceVersion"], "7");
        assert!(missing(&full, "PEM").is_nothing());

        // Another CA replaces the old one; nothing else changes.
        let renewed = missing(&full, "OTHER");
        assert!(renewed.ca && !renewed.token && !renewed.namespace);
        let own = secret(json!({"token": STANDARD.encode("mine"), "extra": "eA=="}));
        let kept = filled(&own, &account, "PEM", None);
        assert_eq!(text(&kept["data"]["token"]), "mine");
        assert_eq!(kept["data"]["extra"], "eA==");
    }
}
