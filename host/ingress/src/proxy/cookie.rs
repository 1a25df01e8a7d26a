//! Sticky cookies: they keep a client at the backend or endpoint that answered it first.

use std::fmt::Write;

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::model::{Cookie, SameSite};

/// The sticky cookie of a service, and the value that the client sent.
pub(crate) struct Sticky<'a> {
    cookie: &'a Cookie,
    name: String,
    sent: Option<String>,
}

impl<'a> Sticky<'a> {
    /// Reads the cookie from a request's headers; none without a configured cookie.
    pub(crate) fn read(
        cookie: Option<&'a Cookie>,
        service: &str,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let cookie = cookie?;
        let name = name_of(cookie, service);
        let sent = value_of(headers, &name).map(str::to_owned);
        Some(Self { cookie, name, sent })
    }

    /// The value that the client sent.
    pub(crate) fn sent(sticky: Option<&Self>) -> Option<&str> {
        sticky.and_then(|sticky| sticky.sent.as_deref())
    }

    /// Sets the cookie in a response's headers, unless the client already sent this value.
    pub(crate) fn set(&self, headers: &mut HeaderMap, value: &str) {
        if self.sent.as_deref() != Some(value) {
            set(headers, self.cookie, &self.name, value);
        }
    }
}

/// The value of a cookie that the client sent.
fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// The cookie's name; without a configured one, a name derived from the service.
fn name_of(cookie: &Cookie, service: &str) -> String {
    if !cookie.name.is_empty() {
        return cookie.name.clone();
    }
    let id = crate::upstream::balance::service_id(service);
    format!("_{}", id.get(..5).unwrap_or_default())
}

fn set(headers: &mut HeaderMap, cookie: &Cookie, name: &str, value: &str) {
    let mut text = format!(
        "{name}={value}; Path={}",
        cookie.path.as_deref().unwrap_or("/")
    );
    // Writing into a String cannot fail.
    if let Some(domain) = &cookie.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if let Some(seconds) = cookie.max_age_s.filter(|seconds| *seconds != 0) {
        let _ = write!(text, "; Max-Age={}", seconds.max(0));
    }
    for (wanted, attribute) in [
        (cookie.http_only, "; HttpOnly"),
        (cookie.secure, "; Secure"),
    ] {
        text.push_str(if wanted { attribute } else { "" });
    }
    text.push_str(match cookie.same_site {
        Some(SameSite::None) => "; SameSite=None",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::Strict) => "; SameSite=Strict",
        None => "",
    });
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(SET_COOKIE, value);
    }
}
