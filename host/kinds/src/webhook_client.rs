//! Where a webhook is called (`apiserver/pkg/util/webhook/validation.go`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::quote::quote;
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

const FORM: &str = "; desired format: https://host[/path]";
const DEFAULT_PORT: i64 = 443;

/// The client configuration at `path`: a URL or a Service.
pub(crate) fn validate(errors: &mut ErrorList, client: &Value, path: &Path) {
    let url = tree::get(client, "url").and_then(Value::as_str);
    match (url, tree::get(client, "service")) {
        (Some(_), Some(_)) | (None, None) => errors.push(field::required(
            path,
            "exactly one of url or service is required",
        )),
        (Some(url), None) => validate_url(errors, url, &path.child("url")),
        (None, Some(service)) => validate_service(errors, service, &path.child("service")),
    }
}

fn validate_url(errors: &mut ErrorList, text: &str, path: &Path) {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(why) => {
            let shown = quote(text);
            let detail = format!("url must be a valid URL: parse {shown}: {why}{FORM}");
            errors.push(field::required(path, detail));
            return;
        }
    };
    if url.scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.push(field::invalid(path, url.scheme, detail));
    }
    if url.host.is_empty() {
        let detail = format!("host must be specified{FORM}");
        errors.push(field::invalid(path, "", detail));
    }
    if let Some(user) = url.user {
        let detail = "user information is not permitted in the URL";
        errors.push(field::invalid(path, user, detail));
    }
    if !url.fragment.is_empty() {
        let detail = "fragments are not permitted in the URL";
        errors.push(field::invalid(path, url.fragment, detail));
    }
    if !url.query.is_empty() {
        let detail = "query parameters are not permitted in the URL";
        errors.push(field::invalid(path, url.query, detail));
    }
}

fn validate_service(errors: &mut ErrorList, service: &Value, path: &Path) {
    // Upstream hands over the two in the wrong order, so each is reported as the other.
    for (name, reported) in [("namespace", "name"), ("name", "namespace")] {
        if tree::text(service, name).is_empty() {
            errors.push(field::required(&path.child(reported), ""));
        }
    }
    let port = tree::int(service, "port").unwrap_or(DEFAULT_PORT);
    if names::is_port_number(port).is_err() {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(field::invalid(&path.child("port"), port, detail));
    }
    let url_path = tree::text(service, "path");
    let at = path.child("path");
    match url_path {
        "" | "/" => return,
        "//" => {
            errors.push(field::invalid(&at, url_path, "segment[0] may not be empty"));
            return;
        }
        _ => {}
    }
    if !url_path.starts_with('/') {
        errors.push(field::invalid(&at, url_path, "must start with a '/'"));
    }
    let mut rest = url_path.chars();
    rest.next();
    let rest = rest.as_str();
    let steps = rest.strip_suffix('/').unwrap_or(rest).split('/');
    for (index, step) in steps.enumerate() {
        if step.is_empty() {
            let detail = format!("segment[{index}] may not be empty");
            errors.push(field::invalid(&at, url_path, detail));
        } else if let Err(violations) = names::is_dns1123_subdomain(step) {
            for violation in violations {
                let detail = format!("segment[{index}]: {violation}");
                errors.push(field::invalid(&at, url_path, detail));
            }
        }
    }
}

/// A name with at least three segments (`IsFullyQualifiedName`).
pub(crate) fn qualified_domain(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let before = errors.len();
    errors.check(path, name, names::is_dns1123_subdomain(name));
    if errors.len() == before && name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(field::invalid(path, name, detail));
    }
}

/// A URL as Go reads it (`net/url`).
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: String,
    user: Option<&'a str>,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

/// Why a text is no URL, in Go's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidUrl {
    #[error("net/url: invalid control character in URL")]
    Control,
    #[error("missing protocol scheme")]
    NoScheme,
    #[error("first path segment in URL cannot contain colon")]
    Colon,
    #[error("net/url: invalid userinfo")]
    User,
    #[error("invalid port {} after host", quote(.0))]
    Port(String),
    #[error("missing ']' in host")]
    Bracket,
    #[error("invalid URL escape {}", quote(.0))]
    Escape(String),
    #[error("invalid character {} in host name", quote(.0))]
    Host(String),
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, InvalidUrl> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        if rest.chars().any(|it| it.is_ascii_control()) {
            return Err(InvalidUrl::Control);
        }
        let (scheme, rest) = scheme(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            user: None,
            host: "",
            query,
            fragment,
        };
        let mut path = rest;
        if !rest.starts_with('/') {
            let first = rest.split('/').next().unwrap_or_default();
            if scheme.is_empty() && first.contains(':') {
                return Err(InvalidUrl::Colon);
            }
        } else if let Some(inner) = rest
            .strip_prefix("//")
            .filter(|inner| !scheme.is_empty() || !inner.starts_with('/'))
        {
            let end = inner.find('/').unwrap_or(inner.len());
            let (authority, after) = inner.split_at(end);
            path = after;
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            check_host(host)?;
            url.user = user.map(checked_user).transpose()?;
            url.host = host;
        }
        if scheme.is_empty() || rest.starts_with('/') {
            check_escapes(path)?;
        }
        check_escapes(fragment)?;
        Ok(url)
    }
}

fn scheme(text: &str) -> Result<(&str, &str), InvalidUrl> {
    for (at, it) in text.char_indices() {
        match it {
            ':' if at == 0 => return Err(InvalidUrl::NoScheme),
            ':' => {
                let (scheme, rest) = text.split_at(at);
                return Ok((scheme, rest.strip_prefix(':').unwrap_or(rest)));
            }
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            _ => break,
        }
    }
    Ok(("", text))
}

fn checked_user(user: &str) -> Result<&str, InvalidUrl> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(it);
    if user.chars().all(allowed) {
        Ok(user)
    } else {
        Err(InvalidUrl::User)
    }
}

fn check_host(host: &str) -> Result<(), InvalidUrl> {
    let port = if host.starts_with('[') {
        let (_, port) = host.rsplit_once(']').ok_or(InvalidUrl::Bracket)?;
        port
    } else {
        host.rfind(':').and_then(|at| host.get(at..)).unwrap_or("")
    };
    let digits = port.strip_prefix(':').unwrap_or("");
    let is_port = port.is_empty() || port.starts_with(':');
    if !is_port || !digits.chars().all(|it| it.is_ascii_digit()) {
        return Err(InvalidUrl::Port(port.to_owned()));
    }
    let allowed = |it: char| {
        !it.is_ascii() || it.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(it)
    };
    match host.chars().find(|it| !allowed(*it)) {
        Some(wrong) => Err(InvalidUrl::Host(wrong.to_string())),
        None => check_escapes(host),
    }
}

fn check_escapes(text: &str) -> Result<(), InvalidUrl> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let after = rest.get(at..).unwrap_or_default();
        let shown: String = after.chars().take(3).collect();
        let digits = shown.chars().skip(1).filter(char::is_ascii_hexdigit);
        if digits.count() != 2 {
            return Err(InvalidUrl::Escape(shown));
        }
        rest = after.get(3..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(client: &Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        validate(&mut errors, client, &Path::new("c"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn urls_are_https_with_a_host_and_nothing_but_a_path() {
        let scheme = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        let host = "host must be specified; desired format: https://host[/path]";
        let cases: [(&str, Vec<String>); 8] = [
            ("https://a.b:8443/c%20d", vec![]),
            ("https://[::1]:443", vec![]),
            (
                "",
                vec![
                    format!("c.url: Invalid value: \"\": {scheme}"),
                    format!("c.url: Invalid value: \"\": {host}"),
                ],
            ),
            (
                "http://a",
                vec![format!("c.url: Invalid value: \"http\": {scheme}")],
            ),
            (
                "https://u:p@a?q=1#f",
                vec![
                    "c.url: Invalid value: \"u:p\": user information is not permitted in the URL".to_owned(),
                    "c.url: Invalid value: \"f\": fragments are not permitted in the URL".to_owned(),
                    "c.url: Invalid value: \"q=1\": query parameters are not permitted in the URL".to_owned(),
                ],
            ),
            (
                "a b:c",
                vec!["c.url: Required value: url must be a valid URL: parse \"a b:c\": first path segment in URL cannot contain colon; desired format: https://host[/path]".to_owned()],
            ),
            (
                ":a",
                vec!["c.url: Required value: url must be a valid URL: parse \":a\": missing protocol scheme; desired format: https://host[/path]".to_owned()],
            ),
            (
                "https://a:x/%zz",
                vec!["c.url: Required value: url must be a valid URL: parse \"https://a:x/%zz\": invalid port \":x\" after host; desired format: https://host[/path]".to_owned()],
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(texts(&json!({ "url": url })), expected, "{url}");
        }
    }

    #[test]
    fn services_have_a_name_a_namespace_and_a_path_of_names() {
        let cases = [
            (
                json!({"name": "a", "namespace": "b", "path": "/c/d/", "port": 1}),
                vec![],
            ),
            (
                json!({"name": "", "namespace": "b", "port": 0}),
                vec![
                    "c.service.namespace: Required value",
                    "c.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                json!({"name": "a", "namespace": "b", "path": "c//d"}),
                vec![
                    "c.service.path: Invalid value: \"c//d\": must start with a '/'",
                    "c.service.path: Invalid value: \"c//d\": segment[0] may not be empty",
                    "c.service.path: Invalid value: \"c//d\": segment[1] may not be empty",
                ],
            ),
        ];
        for (service, expected) in cases {
            assert_eq!(texts(&json!({ "service": service })), expected);
        }
        let neither = "c: Required value: exactly one of url or service is required";
        assert_eq!(texts(&json!({})), [neither]);
        assert_eq!(texts(&json!({"url": "a", "service": {}})), [neither]);
    }
}
