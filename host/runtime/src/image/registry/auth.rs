//! Answering a registry's challenge (RFC 7235, and the distribution project's token specification).

use base64::Engine;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;
use k3s_base::Secret;
use serde::Deserialize;

use super::error::RegistryError;
use super::{Origin, Registry, collect, excerpt, insert};
use crate::image::registries::Credentials;

const FORM: &str = "application/x-www-form-urlencoded";

impl Registry {
    /// The Authorization header that satisfies one of `challenges`, the values of WWW-Authenticate.
    pub(super) async fn answer_challenge(
        &self,
        url: &str,
        challenges: &[String],
    ) -> Result<Secret, RegistryError> {
        if let Some(challenge) = challenges.iter().find_map(|text| Challenge::bearer(text)) {
            return self.fetch_token(url, &challenge).await;
        }
        let accepts_basic = challenges.iter().any(|text| is_basic(text));
        let detail = match &self.credentials {
            Some(Credentials::Basic { username, password }) if accepts_basic => {
                return Ok(basic_header(username, password));
            }
            None => "the registry wants credentials and none are configured".to_owned(),
            Some(_) => format!("cannot answer the challenge {challenges:?}"),
        };
        Err(unauthorized(url, detail))
    }

    /// A bearer token from the realm that the challenge names.
    async fn fetch_token(&self, url: &str, challenge: &Challenge) -> Result<Secret, RegistryError> {
        if self.credentials.is_some() && !self.may_see_credentials(&challenge.realm) {
            let realm = &challenge.realm;
            let detail = format!("the token endpoint {realm} would get credentials without TLS");
            return Err(unauthorized(url, detail));
        }
        let response = match &self.credentials {
            Some(Credentials::Identity(token)) => self.exchange_identity(challenge, token).await?,
            _ => self.request_token(challenge).await?,
        };
        let realm = &challenge.realm;
        if !response.status().is_success() {
            let status = response.status();
            let body = excerpt(response).await;
            return Err(unauthorized(
                url,
                format!("token endpoint {realm}: {status}: {body}"),
            ));
        }
        let body = collect(realm, response).await?;
        let answer: TokenResponse =
            serde_json::from_slice(&body).map_err(|source| RegistryError::Document {
                url: realm.clone(),
                source,
            })?;
        Ok(Secret::new(format!("Bearer {}", answer.into_token())))
    }

    /// An endpoint with TLS names realms with TLS.
    fn may_see_credentials(&self, realm: &str) -> bool {
        let is_encrypted = |url| Origin::of(url).is_some_and(|origin| origin.is_encrypted());
        is_encrypted(realm) || !is_encrypted(&self.endpoint.base)
    }

    /// The OAuth2 form (POST), for identity tokens.
    async fn exchange_identity(
        &self,
        challenge: &Challenge,
        identity: &Secret,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut headers = HeaderMap::new();
        insert(&mut headers, CONTENT_TYPE, FORM);
        let form = format!(
            "grant_type=refresh_token&client_id=k3s&{}&refresh_token={}",
            self.token_query(challenge),
            escape(identity.reveal())
        );
        self.send(&challenge.realm, Method::POST, headers, Bytes::from(form))
            .await
    }

    /// The GET form, anonymous or with basic credentials.
    async fn request_token(
        &self,
        challenge: &Challenge,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut headers = HeaderMap::new();
        if let Some(Credentials::Basic { username, password }) = &self.credentials {
            let authorization = basic_header(username, password);
            insert(&mut headers, AUTHORIZATION, authorization.reveal());
        }
        let realm = &challenge.realm;
        let separator = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{separator}{}", self.token_query(challenge));
        self.send(&url, Method::GET, headers, Bytes::new()).await
    }

    fn token_query(&self, challenge: &Challenge) -> String {
        let service = challenge.service.as_deref().unwrap_or_default();
        let own_scope = || format!("repository:{}:pull", self.endpoint.repository);
        let scope = challenge.scope.clone().unwrap_or_else(own_scope);
        format!("service={}&scope={}", escape(service), escape(&scope))
    }
}

fn unauthorized(url: &str, detail: String) -> RegistryError {
    RegistryError::Unauthorized {
        url: url.to_owned(),
        detail,
    }
}

fn is_basic(challenge: &str) -> bool {
    challenge
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
}

/// The token endpoint's answer: `token`, or `access_token` in the OAuth2 form.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenResponse {
    token: String,
    access_token: String,
}

impl TokenResponse {
    fn into_token(self) -> String {
        if self.token.is_empty() {
            self.access_token
        } else {
            self.token
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    fn bearer(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| parameter(rest, name);
        Some(Self {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
        })
    }
}

/// `name="value"` among comma-separated parameters; values are quoted and may hold commas.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = tail;
    }
    None
}

fn basic_header(username: &str, password: &Secret) -> Secret {
    Secret::new(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD
            .encode(format!("{username}:{}", password.reveal()))
    ))
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|octet| {
            if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Challenge, escape};

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let challenge = Challenge::bearer(header).unwrap();
        assert_eq!(challenge.realm, "https://auth.docker.io/token");
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(Challenge::bearer("Basic realm=\"x\""), None);
    }

    #[test]
    fn parameters_are_percent_encoded() {
        assert_eq!(escape("a b/c"), "a%20b%2Fc");
    }
}
