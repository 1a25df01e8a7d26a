//! Registry credentials from `imagePullSecrets` (`kubernetes.io/dockerconfigjson` and
//! `kubernetes.io/dockercfg`); admission has copied the service account's into the pod.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::error::chain;
use k3s_cri::v1::AuthConfig;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::records::PullSecret;
use crate::api::ApiReader;
use crate::model;

/// Credentials, and the secret that they are from.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) auth: AuthConfig,
    pub(crate) secret: PullSecret,
}

/// Credentials that fit the image, the most specific first.
pub(crate) async fn for_image(api: &ApiReader, pod: &Pod, image: &str) -> Vec<Tracked> {
    let namespace = model::namespace(pod);
    let spec = pod.spec.as_ref();
    let references = spec.and_then(|spec| spec.image_pull_secrets.as_deref());
    let mut found = Vec::new();
    for reference in references.unwrap_or_default() {
        match api.secret(namespace, &reference.name).await {
            Ok(secret) => {
                let uid = secret.metadata.uid.unwrap_or_default();
                let auths = auths(&secret.data.unwrap_or_default());
                let entries = auths.iter().flat_map(|auths| matching(auths, image));
                found.extend(entries.map(|(key, auth)| {
                    let secret = PullSecret {
                        uid: uid.clone(),
                        namespace: namespace.to_owned(),
                        name: reference.name.clone(),
                        credential_hash: hash(&auth),
                    };
                    (key, Tracked { auth, secret })
                }));
            }
            // The image may need no credentials: upstream pulls without a missing secret and warns.
            Err(error) => {
                let pod = model::pod_key(pod);
                tracing::warn!(%pod, error = chain(&error), "image pull secret not used");
            }
        }
    }
    found.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    found.into_iter().map(|(_, tracked)| tracked).collect()
}

/// Stands for the credentials where they are remembered.
fn hash(auth: &AuthConfig) -> String {
    let parts = [
        &auth.username,
        &auth.password,
        &auth.identity_token,
        &auth.registry_token,
    ];
    let mut digest = Sha256::new();
    for part in parts {
        // With its length, so that what belongs to one part does not count for the next.
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finalize();
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The entries of a pull secret, by registry, in either of the two formats.
fn auths(data: &BTreeMap<String, ByteString>) -> Option<Value> {
    let parse = |key: &str| -> Option<Value> {
        let text = data.get(key)?;
        serde_json::from_slice(&text.0).ok()
    };
    let config = parse(".dockerconfigjson");
    let auths = config.and_then(|config| config.get("auths").cloned());
    auths.or_else(|| parse(".dockercfg"))
}

fn matching(auths: &Value, image: &str) -> Vec<(String, AuthConfig)> {
    let entries = auths.as_object().into_iter().flatten();
    entries
        .filter(|(key, _)| fits(key, image))
        .map(|(key, entry)| (key.clone(), auth(key, entry)))
        .collect()
}

/// Whether a key (`registry`, `https://registry/v1/`, `registry/path`, `*.example.com`) covers the
/// image.
fn fits(key: &str, image: &str) -> bool {
    let key = key.trim_start_matches("https://");
    let key = key.trim_start_matches("http://");
    let key = key.trim_end_matches('/');
    let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let (host, path) = host_and_path(image);
    let both_docker = is_docker(key_host) && is_docker(&host);
    let host_fits = both_docker || glob(key_host, &host);
    let is_below = path.starts_with(&format!("{key_path}/"));
    let path_fits = key_path.is_empty() || path == key_path || is_below;
    host_fits && path_fits
}

fn is_docker(host: &str) -> bool {
    matches!(
        host,
        "docker.io" | "index.docker.io" | "registry-1.docker.io"
    )
}

fn host_and_path(image: &str) -> (String, String) {
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (host.to_owned(), path.to_owned())
        }
        _ => ("docker.io".to_owned(), image.to_owned()),
    }
}

/// Label by label, `*` within a label.
fn glob(pattern: &str, host: &str) -> bool {
    let patterns: Vec<&str> = pattern.split('.').collect();
    let labels: Vec<&str> = host.split('.').collect();
    if patterns.len() != labels.len() {
        return false;
    }
    let mut pairs = patterns.iter().zip(labels);
    pairs.all(|(pattern, label)| label_fits(pattern, label))
}

fn label_fits(pattern: &str, label: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let rest = label.strip_prefix(start);
    rest.is_some_and(|rest| rest.ends_with(end))
}

fn auth(server: &str, entry: &Value) -> AuthConfig {
    let text = |name: &str| {
        let text = entry.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut auth = AuthConfig {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        server_address: server.to_owned(),
        ..AuthConfig::default()
    };
    if auth.username.is_empty()
        && let Some((user, password)) = decoded_pair(&text("auth"))
    {
        auth.username = user;
        auth.password = password;
    }
    auth
}

/// User and password out of `user:password` in base64.
fn decoded_pair(text: &str) -> Option<(String, String)> {
    let raw = STANDARD.decode(text).ok()?;
    let pair = String::from_utf8(raw).ok()?;
    let (user, password) = pair.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_hosts_paths_and_wildcards() {
        for (key, image, want) in [
            ("https://index.docker.io/v1/", "nginx:1", true),
            ("reg.example.com", "reg.example.com/a/b:1", true),
            ("reg.example.com/a", "reg.example.com/ab:1", false),
            ("*.example.com", "reg.example.com/x", true),
            ("reg:5000", "reg:5000/x", true),
            ("other.example.com", "reg.example.com/x", false),
        ] {
            assert_eq!(fits(key, image), want, "{key} {image}");
        }
    }

    #[test]
    fn the_auth_field_is_decoded() {
        let got = auth("r", &serde_json::json!({"auth": STANDARD.encode("u:p:q")}));
        assert_eq!((got.username.as_str(), got.password.as_str()), ("u", "p:q"));
    }
}
