//! Reading a kubeconfig: the current context's cluster and user.
//!
//! Exec plugins and auth providers are not supported and say so; `insecure-skip-tls-verify` is
//! refused, since going on would send credentials to anybody.

use std::path::{Path, PathBuf};

use base64::Engine;
use k3s_base::Secret;
use serde::Deserialize;

use super::{CaSource, Identity};
use crate::error::{Error, Result};

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: String,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
}

/// What a kubeconfig says about one context.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) server: String,
    pub(crate) ca: CaSource,
    pub(crate) identity: Identity,
    pub(crate) namespace: Option<String>,
}

/// Reads `path`; `context` overrides `current-context`.
pub(crate) fn load(path: &Path, context: Option<&str>) -> Result<Loaded> {
    let text = super::files::read(path)?;
    parse(&text, path.parent().unwrap_or(Path::new("")), context)
        .map_err(|e| Error::Request(format!("kubeconfig {}: {e}", path.display())))
}

fn parse(text: &str, dir: &Path, context: Option<&str>) -> Result<Loaded> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| Error::Request(e.to_string()))?;
    let wanted = context.unwrap_or(&file.current_context);
    let named = |what: &str, name: &str| Error::Request(format!("{what} {name:?} does not exist"));
    let context = &file
        .contexts
        .iter()
        .find(|c| c.name == wanted)
        .ok_or_else(|| named("context", wanted))?
        .context;
    let cluster = file
        .clusters
        .into_iter()
        .find(|c| c.name == context.cluster)
        .ok_or_else(|| named("cluster", &context.cluster))?
        .cluster;
    let user = if context.user.is_empty() {
        User::default()
    } else {
        file.users
            .into_iter()
            .find(|u| u.name == context.user)
            .ok_or_else(|| named("user", &context.user))?
            .user
    };
    if cluster.insecure_skip_tls_verify {
        return Err(Error::Request(
            "insecure-skip-tls-verify is not supported".into(),
        ));
    }
    let ca = match (
        cluster.certificate_authority_data,
        cluster.certificate_authority,
    ) {
        (Some(data), _) => CaSource::Pem(decode(&data, "certificate-authority-data")?),
        (None, Some(file)) => CaSource::File(dir.join(file)),
        (None, None) => {
            return Err(Error::Request(
                "the cluster has no certificate-authority".into(),
            ));
        }
    };
    Ok(Loaded {
        server: cluster.server,
        ca,
        identity: identity(user, dir)?,
        namespace: context.namespace.clone(),
    })
}

fn identity(user: User, dir: &Path) -> Result<Identity> {
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(Error::Request(
            "exec and auth-provider credentials are not supported".into(),
        ));
    }
    if let Some(file) = user.token_file {
        return Ok(Identity::TokenFile(dir.join(file)));
    }
    if let Some(token) = user.token {
        return Ok(Identity::Token(Secret::new(token)));
    }
    match (
        user.client_certificate_data,
        user.client_key_data,
        user.client_certificate,
        user.client_key,
    ) {
        (Some(cert), Some(key), ..) => Ok(Identity::Cert {
            cert_pem: decode(&cert, "client-certificate-data")?,
            key_pem: Secret::new(decode(&key, "client-key-data")?),
        }),
        (_, _, Some(cert), Some(key)) => Ok(Identity::CertFiles {
            cert: dir.join(cert),
            key: dir.join(key),
        }),
        (None, None, None, None) => match (user.username, user.password) {
            (Some(user), Some(password)) => Ok(Identity::Basic {
                user,
                password: Secret::new(password),
            }),
            _ => Ok(Identity::Anonymous),
        },
        _ => Err(Error::Request(
            "the user has only one of client certificate and key, or mixes files and data".into(),
        )),
    }
}

fn decode(data: &str, what: &str) -> Result<String> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data.trim())
        .map_err(|e| Error::Request(format!("{what}: {e}")))?;
    String::from_utf8(bytes).map_err(|e| Error::Request(format!("{what}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: default\n\
        clusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: Y2E=}\n\
        contexts:\n- name: default\n  context: {cluster: c, user: u, namespace: n}\n\
        users:\n- name: u\n  user: {token: abc}\n";

    #[test]
    fn the_current_context_is_followed() {
        let loaded = parse(SAMPLE, Path::new("/"), None).unwrap();
        assert_eq!(loaded.server, "https://127.0.0.1:6443");
        assert_eq!(loaded.namespace.as_deref(), Some("n"));
        assert!(matches!(loaded.ca, CaSource::Pem(pem) if pem == "ca"));
        assert!(matches!(loaded.identity, Identity::Token(t) if t.reveal() == "abc"));
    }

    #[test]
    fn what_is_missing_or_unsafe_is_named() {
        let missing = parse(SAMPLE, Path::new("/"), Some("other")).unwrap_err();
        assert_eq!(missing.to_string(), "context \"other\" does not exist");
        let unsafe_text = SAMPLE.replace(
            "certificate-authority-data: Y2E=",
            "insecure-skip-tls-verify: true",
        );
        assert!(
            parse(&unsafe_text, Path::new("/"), None)
                .unwrap_err()
                .to_string()
                .contains("not supported")
        );
    }
}
