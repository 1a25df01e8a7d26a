//! `basicAuth`.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use k3s_serve::Body;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use super::htpasswd::{Users, verify};
use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::MiddlewareError;
use crate::model;
use crate::proxy::headers::claim;

/// Hashes checked at a time: a flood of wrong passwords must not take every processor.
const MAX_CHECKS: usize = 2;
/// Users whose last good password is remembered, as a digest; beyond this all are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Lets those in who know a password.
pub(crate) struct BasicAuth {
    users: Arc<Users>,
    realm: HeaderValue,
    header_field: Option<HeaderName>,
    remove_header: bool,
    remembered: Mutex<HashMap<String, [u8; 32]>>,
    checks: Semaphore,
}

impl BasicAuth {
    pub(crate) fn new(settings: &model::BasicAuth, users: Users) -> Result<Self, MiddlewareError> {
        let realm = if settings.realm.is_empty() {
            "traefik"
        } else {
            &settings.realm
        };
        let field = Some(&settings.header_field).filter(|field| !field.is_empty());
        Ok(Self {
            users: Arc::new(users),
            realm: format!("Basic realm=\"{}\"", realm.replace('"', "'"))
                .parse()
                .map_err(|_| MiddlewareError::Realm(realm.to_owned()))?,
            header_field: field
                .map(|field| {
                    field
                        .parse()
                        .map_err(|_| MiddlewareError::HeaderName(field.clone()))
                })
                .transpose()?,
            remove_header: settings.remove_header,
            remembered: Mutex::default(),
            checks: Semaphore::new(MAX_CHECKS),
        })
    }

    /// The user's name, if the password is right.
    async fn check(&self, headers: &HeaderMap) -> Option<String> {
        let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let hash = self.users.hash(name)?.clone();
        let mark: [u8; 32] = digest(&SHA256, password.as_bytes())
            .as_ref()
            .try_into()
            .ok()?;
        if self.remembered.lock().get(name) == Some(&mark) {
            return Some(name.to_owned());
        }
        let _turn = self.checks.acquire().await.ok()?;
        let password = password.to_owned();
        let right = tokio::task::spawn_blocking(move || verify(&password, hash.reveal()))
            .await
            .unwrap_or(false);
        if !right {
            return None;
        }
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(name.to_owned(), mark);
        Some(name.to_owned())
    }

    fn refuse(&self) -> Response<Body> {
        let mut response = answer(StatusCode::UNAUTHORIZED, "401 Unauthorized\n");
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, self.realm.clone());
        response
    }
}

impl Layer for BasicAuth {
    fn handle<'a>(&'a self, mut exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        Box::pin(async move {
            let Some(user) = self.check(exchange.request.headers()).await else {
                return self.refuse();
            };
            let headers = exchange.request.headers_mut();
            if self.remove_header {
                headers.remove(AUTHORIZATION);
            }
            if let (Some(field), Ok(user)) = (&self.header_field, user.parse()) {
                claim(headers, field);
                headers.insert(field.clone(), user);
            }
            next.run(exchange).await
        })
    }
}
