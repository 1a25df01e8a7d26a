//! Validation of secrets: keys, size, and what each well-known type must hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::core::keyed;

pub(super) fn validate(secret: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    keyed::keys(&mut errors, secret, "data");
    let total: usize = tree::map(secret, "data")
        .values()
        .map(keyed::decoded_len)
        .sum();
    if total > keyed::MAX_BYTES {
        errors.push(field::too_long(&Path::new("data"), keyed::MAX_BYTES));
    }
    typed(&mut errors, secret);
    errors
}

fn typed(errors: &mut ErrorList, secret: &Value) {
    let data = Path::new("data");
    let has = |key: &str| tree::map(secret, "data").contains_key(key);
    let mut require = |keys: &[&str]| {
        for key in keys.iter().filter(|key| !has(key)) {
            errors.push(field::required(&data.key(key), ""));
        }
    };
    match tree::text(secret, "type") {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let account = tree::map(secret, "metadata.annotations")
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default();
            if account.is_empty() {
                errors.push(field::required(
                    &Path::new("metadata.annotations").key(key),
                    "",
                ));
            }
        }
        "kubernetes.io/dockercfg" => json(errors, secret, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json(errors, secret, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            require(&["username", "password"])
        }
        "kubernetes.io/ssh-auth" => require(&["ssh-privatekey"]),
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn json(errors: &mut ErrorList, secret: &Value, key: &str) {
    let path = Path::new("data").key(key);
    let Some(text) = tree::map(secret, "data").get(key).and_then(Value::as_str) else {
        errors.push(field::required(&path, ""));
        return;
    };
    let parsed = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if parsed.is_none() {
        errors.push(field::invalid(
            &path,
            "<secret contents redacted>",
            "invalid character in JSON document",
        ));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "type");
    keyed::immutable(&mut errors, new, old, &["data"]);
    errors.append(validate(new));
    errors
}
