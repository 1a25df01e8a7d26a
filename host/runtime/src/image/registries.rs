//! `registries.yaml`: where images of a registry are actually fetched, with which certificates and
//! credentials. The form is K3s's (docs.k3s.io, "Private Registry Configuration").

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use k3s_base::Secret;
use serde::Deserialize;

use super::reference::Reference;

/// Applies to every registry without an entry of its own.
const ANY: &str = "*";
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The file as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registries {
    pub(crate) mirrors: BTreeMap<String, Mirror>,
    pub(crate) configs: BTreeMap<String, RegistryConfig>,
    /// What the deprecated `auths` of the file held is under `configs` now.
    auths: BTreeMap<String, Auth>,
    /// Registries that have mirrors are asked through them only (`--disable-default-registry-endpoint`).
    #[serde(skip)]
    mirrors_only: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mirror {
    pub(crate) endpoint: Vec<String>,
    pub(crate) rewrite: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RegistryConfig {
    pub(crate) auth: Option<Auth>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    username: String,
    password: String,
    auth: String,
    identity_token: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) insecure_skip_verify: bool,
}

/// The credentials for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    Basic {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token, exchanged at the token endpoint.
    Identity(Secret),
    /// Sent as it is.
    Bearer(Secret),
}

impl Credentials {
    /// From the fields that registries.yaml and CRI share; none when all are empty.
    pub(crate) fn from_fields(
        username: &str,
        password: &str,
        auth: &str,
        identity_token: &str,
        registry_token: &str,
    ) -> Result<Option<Self>, AuthError> {
        if !registry_token.is_empty() {
            return Ok(Some(Self::Bearer(Secret::new(registry_token.to_owned()))));
        }
        if !identity_token.is_empty() {
            return Ok(Some(Self::Identity(Secret::new(identity_token.to_owned()))));
        }
        if !username.is_empty() {
            return Ok(Some(Self::Basic {
                username: username.to_owned(),
                password: Secret::new(password.to_owned()),
            }));
        }
        if auth.is_empty() {
            return Ok(None);
        }
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(auth.trim())
            .map_err(|_| AuthError::Encoding)?;
        let text = String::from_utf8(bytes).map_err(|_| AuthError::Text)?;
        let (username, password) = text.split_once(':').ok_or(AuthError::NoPassword)?;
        Ok(Some(Self::Basic {
            username: username.to_owned(),
            password: Secret::new(password.trim_end_matches('\0').to_owned()),
        }))
    }
}

/// One place to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://host:port/v2`, without a slash at the end.
    pub(crate) base: String,
    /// `host:port`
    pub(crate) host: String,
    /// The repository to ask for there.
    pub(crate) repository: String,
    /// For a mirror, the registry that it mirrors.
    pub(crate) namespace: Option<String>,
    pub(crate) tls: Tls,
    pub(crate) credentials: Option<Credentials>,
}

/// What is wrong in a `registries.yaml`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistriesError {
    /// Not YAML, or not of the file's schema; the decoder names the line.
    #[error(transparent)]
    Yaml(#[from] serde_saphyr::Error),
    /// A pattern of `mirrors.*.rewrite` is not a regular expression.
    #[error("rewrite {pattern:?}")]
    Rewrite {
        pattern: String,
        #[source]
        source: regex::Error,
    },
    /// An entry of `mirrors.*.endpoint` is no URL.
    #[error("endpoint {url:?} of the mirror for {host:?} is not a URL of a registry")]
    Endpoint { host: String, url: String },
    /// Credentials that cannot be read.
    #[error("configs[{host:?}]")]
    Auth {
        host: String,
        #[source]
        source: AuthError,
    },
    /// The file exists, but cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Why a `registries.yaml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", .path.display())]
pub(crate) struct RegistriesFileError {
    path: PathBuf,
    #[source]
    source: RegistriesError,
}

/// What is wrong in the field `auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("auth is not base64")]
    Encoding,
    #[error("auth is not text")]
    Text,
    #[error("auth is not user:password")]
    NoPassword,
}

impl Registries {
    /// Reads the file; none = no mirrors.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a valid `registries.yaml`; the error names the place.
    pub(crate) fn load(path: &Path) -> Result<Self, RegistriesFileError> {
        let parsed = match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        };
        parsed.map_err(|source| RegistriesFileError {
            path: path.to_path_buf(),
            source,
        })
    }

    /// Whether a registry that has mirrors is the last place to try.
    pub(crate) fn with_default_endpoint(self, allowed: bool) -> Self {
        Self {
            mirrors_only: !allowed,
            ..self
        }
    }

    fn parse(text: &str) -> Result<Self, RegistriesError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut registries: Self = serde_saphyr::from_str(text)?;
        for (host, auth) in std::mem::take(&mut registries.auths) {
            registries
                .configs
                .entry(host)
                .or_default()
                .auth
                .get_or_insert(auth);
        }
        for pattern in registries
            .mirrors
            .values()
            .flat_map(|mirror| mirror.rewrite.keys())
        {
            regex::Regex::new(pattern).map_err(|source| RegistriesError::Rewrite {
                pattern: pattern.clone(),
                source,
            })?;
        }
        for (host, mirror) in &registries.mirrors {
            let unusable = mirror.endpoint.iter().find(|url| base(url).is_none());
            if let Some(url) = unusable {
                return Err(RegistriesError::Endpoint {
                    host: host.clone(),
                    url: url.clone(),
                });
            }
        }
        for (host, config) in &registries.configs {
            if let Some(auth) = &config.auth {
                auth.credentials().map_err(|source| RegistriesError::Auth {
                    host: host.clone(),
                    source,
                })?;
            }
        }
        Ok(registries)
    }

    /// Where to fetch `reference`, in order: its mirrors, those of `*`, then its own registry.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Vec<Endpoint> {
        let mirror = self
            .mirrors
            .get(&reference.domain)
            .or_else(|| self.mirrors.get(ANY));
        let mut out: Vec<Endpoint> = Vec::new();
        for url in mirror.iter().flat_map(|mirror| &mirror.endpoint) {
            let repository = mirror.map_or(reference.path.clone(), |mirror| {
                rewrite(&mirror.rewrite, &reference.path)
            });
            out.extend(self.endpoint(url, repository, Some(reference.domain.clone())));
        }
        if mirror.is_some() && self.mirrors_only {
            return out;
        }
        let host = if reference.domain == DOCKER_HUB {
            DOCKER_HUB_HOST
        } else {
            reference.domain.as_str()
        };
        let scheme = if is_loopback(host)
            && self
                .config(host, &reference.domain)
                .is_none_or(|config| config.tls.is_none())
        {
            "http"
        } else {
            "https"
        };
        if !out
            .iter()
            .any(|endpoint| endpoint.host == host && endpoint.repository == reference.path)
        {
            out.extend(
                self.endpoint(&format!("{scheme}://{host}"), reference.path.clone(), None)
                    .map(|endpoint| self.own(endpoint, reference)),
            );
        }
        out
    }

    /// The registry's own endpoint may be configured under its short name.
    fn own(&self, mut endpoint: Endpoint, reference: &Reference) -> Endpoint {
        if let Some(config) = self.config(&endpoint.host, &reference.domain) {
            endpoint.tls = config.tls.clone().unwrap_or_default();
            endpoint.credentials = config
                .auth
                .as_ref()
                .and_then(|auth| auth.credentials().ok().flatten());
        }
        endpoint
    }

    fn endpoint(
        &self,
        url: &str,
        repository: String,
        namespace: Option<String>,
    ) -> Option<Endpoint> {
        let (host, base) = base(url)?;
        let config = self.config(&host, &host);
        Some(Endpoint {
            base,
            host,
            repository,
            namespace,
            tls: config
                .and_then(|config| config.tls.clone())
                .unwrap_or_default(),
            credentials: config
                .and_then(|config| config.auth.as_ref())
                .and_then(|auth| auth.credentials().ok().flatten()),
        })
    }

    fn config(&self, host: &str, domain: &str) -> Option<&RegistryConfig> {
        self.configs
            .get(host)
            .or_else(|| self.configs.get(domain))
            .or_else(|| self.configs.get(ANY))
    }
}

impl Auth {
    fn credentials(&self) -> Result<Option<Credentials>, AuthError> {
        Credentials::from_fields(
            &self.username,
            &self.password,
            &self.auth,
            &self.identity_token,
            "",
        )
    }
}

/// A registry's authority, and the URL that its API is below: `/v2`, unless the endpoint has a path of its
/// own. An endpoint without a scheme means HTTPS.
fn base(url: &str) -> Option<(String, String)> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.authority()?.as_str().to_owned();
    let path = match uri.path().trim_end_matches('/') {
        "" => "/v2",
        path => path,
    };
    let base = format!("{}://{host}{path}", uri.scheme_str()?);
    Some((host, base))
}

/// The first pattern that matches rewrites; `$1` means the same in Go and in the crate `regex`.
fn rewrite(rules: &BTreeMap<String, String>, path: &str) -> String {
    for (pattern, replacement) in rules {
        // Checked when the file was parsed.
        let Ok(regex) = regex::Regex::new(pattern) else {
            continue;
        };
        if regex.is_match(path) {
            return regex.replace_all(path, replacement.as_str()).into_owned();
        }
    }
    path.to_owned()
}

/// As in containerd, a registry on this machine is used without TLS unless configured otherwise.
fn is_loopback(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    name == "localhost" || name.starts_with("127.") || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use k3s_base::error::chain;

    use super::*;

    const FILE: &str = r#"
mirrors:
  docker.io:
    endpoint:
      - "https://mirror.example:5000"
      - "http://plain.example/custom/path"
    rewrite:
      "^rancher/(.*)": "mine/$1"
  "*":
    endpoint: ["https://any.example"]
configs:
  "mirror.example:5000":
    auth: {username: u, password: p}
    tls: {ca_file: /ca.pem}
  docker.io:
    auth: {auth: "dTpw"}
"#;

    #[test]
    fn mirrors_come_first_then_the_registry_itself() {
        let registries = Registries::parse(FILE).unwrap();
        let endpoints = registries.endpoints(&Reference::parse("rancher/k3s:v1").unwrap());
        let seen: Vec<_> = endpoints
            .iter()
            .map(|endpoint| (endpoint.base.as_str(), endpoint.repository.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("https://mirror.example:5000/v2", "mine/k3s"),
                ("http://plain.example/custom/path", "mine/k3s"),
                ("https://registry-1.docker.io/v2", "rancher/k3s")
            ]
        );
        let basic = Some(Credentials::Basic {
            username: "u".into(),
            password: Secret::new("p".into()),
        });
        assert_eq!(endpoints[0].credentials, basic);
        assert_eq!(
            endpoints[0].tls.ca_file.as_deref(),
            Some(Path::new("/ca.pem"))
        );
        assert_eq!(endpoints[0].namespace.as_deref(), Some("docker.io"));
        assert_eq!(endpoints[1].credentials, None);
        assert_eq!(endpoints[2].credentials, basic);
    }

    #[test]
    fn a_wildcard_serves_the_rest_and_loopback_is_plain() {
        let registries = Registries::parse(FILE).unwrap();
        let endpoints = registries.endpoints(&Reference::parse("ghcr.io/a/b").unwrap());
        assert_eq!(
            endpoints
                .iter()
                .map(|endpoint| endpoint.host.as_str())
                .collect::<Vec<_>>(),
            ["any.example", "ghcr.io"]
        );
        let local = Registries::default().endpoints(&Reference::parse("127.0.0.1:5000/a").unwrap());
        assert_eq!(local[0].base, "http://127.0.0.1:5000/v2");
    }

    #[test]
    fn without_the_default_endpoint_mirrors_are_all_there_is() {
        let registries = Registries::parse(FILE)
            .unwrap()
            .with_default_endpoint(false);
        let hosts = |registries: &Registries, name: &str| -> Vec<String> {
            let endpoints = registries.endpoints(&Reference::parse(name).unwrap());
            endpoints
                .into_iter()
                .map(|endpoint| endpoint.host)
                .collect()
        };
        assert_eq!(
            hosts(&registries, "rancher/k3s:v1"),
            ["mirror.example:5000", "plain.example"]
        );
        assert_eq!(hosts(&registries, "ghcr.io/a/b"), ["any.example"]);
        let without_mirrors = Registries::default().with_default_endpoint(false);
        assert_eq!(
            hosts(&without_mirrors, "ghcr.io/a/b"),
            ["ghcr.io"],
            "a registry without mirrors is asked itself"
        );
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(Registries::parse("mirorrs: {}").is_err());
        assert!(
            Registries::parse("mirrors: {a: {rewrite: {\"(\": x}}}")
                .unwrap_err()
                .to_string()
                .contains("rewrite")
        );
        let error = Registries::parse("configs: {a: {auth: {auth: \"!\"}}}").unwrap_err();
        assert_eq!(chain(&error), "configs[\"a\"]: auth is not base64");
        let error = Registries::parse("mirrors: {a: {endpoint: [\"https://\"]}}").unwrap_err();
        assert!(error.to_string().contains("https://"), "{error}");
        assert!(Registries::parse("").unwrap().mirrors.is_empty());
    }
}
