//! Registry credentials from `imagePullSecrets` (`kubernetes.io/dockerconfigjson` and
//! `kubernetes.io/dockercfg`); admission has copied the service account's into the pod.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::error::chain;
use k3s_cri::v1::AuthConfig;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::api::ApiReader;
use crate::pod::model;

/// Credentials that fit the image, the most specific first.
pub(crate) async fn for_image(api: &ApiReader, pod: &Pod, image: &str) -> Vec<AuthConfig> {
    let mut found = Vec::new();
    for reference in pod
        .spec
        .iter()
        .flat_map(|s| s.image_pull_secrets.iter().flatten())
    {
        match api.secret(model::namespace(pod), &reference.name).await {
            Ok(secret) => {
                let data = secret.data.unwrap_or_default();
                let parse = |key: &str| {
                    data.get(key)
                        .and_then(|d| serde_json::from_slice::<Value>(&d.0).ok())
                };
                let auths = parse(".dockerconfigjson")
                    .and_then(|v| v.get("auths").cloned())
                    .or_else(|| parse(".dockercfg"));
                found.extend(auths.iter().flat_map(|auths| matching(auths, image)));
            }
            // The image may need no credentials: upstream pulls without a missing secret and warns.
            Err(error) => {
                tracing::warn!(pod = %model::pod_key(pod), error = chain(&error), "image pull secret not used")
            }
        }
    }
    found.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    found.into_iter().map(|(_, auth)| auth).collect()
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
    let key = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let (host, path) = host_and_path(image);
    let docker = |h: &str| matches!(h, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let host_fits = (docker(key_host) && docker(&host)) || glob(key_host, &host);
    host_fits
        && (key_path.is_empty() || path == key_path || path.starts_with(&format!("{key_path}/")))
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
    let (pattern, host): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), host.split('.').collect());
    pattern.len() == host.len()
        && pattern
            .iter()
            .zip(&host)
            .all(|(p, h)| match p.split_once('*') {
                Some((start, end)) => {
                    h.len() >= start.len() + end.len() && h.starts_with(start) && h.ends_with(end)
                }
                None => p == h,
            })
}

fn auth(server: &str, entry: &Value) -> AuthConfig {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut auth = AuthConfig {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        server_address: server.to_owned(),
        ..AuthConfig::default()
    };
    let pair = STANDARD
        .decode(text("auth"))
        .ok()
        .and_then(|raw| String::from_utf8(raw).ok());
    if let Some((user, password)) = pair.as_deref().and_then(|p| p.split_once(':'))
        && auth.username.is_empty()
    {
        auth.username = user.to_owned();
        auth.password = password.trim_end_matches('\0').to_owned();
    }
    auth
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
