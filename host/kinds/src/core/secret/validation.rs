//! Validation of secrets: keys, size, and what each well-known type must hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{json_syntax, tree};
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
        "kubernetes.io/ssh-auth" if !tree::has(secret, "data.ssh-privatekey") => {
            errors.push(field::required(&data.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

/// The value of `key` is the text of a JSON object; what is wrong with it is told in Go's words.
fn json(errors: &mut ErrorList, secret: &Value, key: &str) {
    let path = Path::new("data").key(key);
    let Some(text) = tree::map(secret, "data").get(key) else {
        errors.push(field::required(&path, ""));
        return;
    };
    let text = STANDARD.decode(text.as_str().unwrap_or_default());
    if let Some(mistake) = no_object(&text.unwrap_or_default()) {
        let shown = "<secret contents redacted>";
        errors.push(field::invalid(&path, shown, mistake));
    }
}

fn no_object(text: &[u8]) -> Option<String> {
    if let Some(mistake) = json_syntax::mistake(text) {
        return Some(mistake);
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(_) | Value::Null) => None,
        Ok(other) => Some(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_syntax::type_name(&other)
        )),
        Err(error) => Some(error.to_string()),
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "type");
    keyed::immutable(&mut errors, new, old, &["data"]);
    errors.append(validate(new));
    errors
}
