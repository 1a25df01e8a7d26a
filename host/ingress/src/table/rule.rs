//! A route's rule as a tree that can be evaluated, made from the contract's postfix form.

use std::net::IpAddr;

use http::{HeaderMap, Method};
use ipnet::IpNet;
use regex::Regex;

use crate::error::{PatternError, RangeError, RuleError};
use crate::model::Matcher;
use crate::table::query;

/// What rules are evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Lower case, without port.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: IpAddr,
    /// The name given in the TLS handshake; empty for none.
    pub(crate) sni: &'a str,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Host(String),
    /// `.example.com`
    Wildcard(String),
    HostRegexp(Regex),
    Path(String),
    PathPrefix(String),
    PathSegments(String),
    PathRegexp(Regex),
    Method(Method),
    Header(String, String),
    HeaderRegexp(String, Regex),
    Query(String, String),
    QueryRegexp(String, Regex),
    ClientIp(IpNet),
    AnySni,
    Sni(String),
    SniRegexp(Regex),
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
}

/// Rules deeper or longer than this are refused; they come from a plugin.
const MAX_TERMS: usize = 1000;

impl Rule {
    /// From postfix order.
    pub(crate) fn build(terms: &[Matcher]) -> Result<Self, RuleError> {
        if terms.len() > MAX_TERMS {
            return Err(RuleError::TooLong { max: MAX_TERMS });
        }
        let mut stack = Vec::new();
        for term in terms {
            let rule = match term {
                Matcher::All(count) => Self::All(pop(&mut stack, *count)?),
                Matcher::Any(count) => Self::Any(pop(&mut stack, *count)?),
                Matcher::Not => {
                    let inner = pop(&mut stack, 1)?.pop().ok_or(RuleError::Malformed)?;
                    Self::Not(Box::new(inner))
                }
                leaf => Self::leaf(leaf)?,
            };
            stack.push(rule);
        }
        match (stack.pop(), stack.is_empty()) {
            (None, _) => Ok(Self::All(Vec::new())),
            (Some(rule), true) => Ok(rule),
            (Some(_), false) => Err(RuleError::Malformed),
        }
    }

    fn leaf(term: &Matcher) -> Result<Self, RuleError> {
        Ok(match term {
            Matcher::Host(host) => match host.strip_prefix('*') {
                Some(suffix) => Self::Wildcard(suffix.to_ascii_lowercase()),
                None => Self::Host(host.to_ascii_lowercase()),
            },
            Matcher::HostRegexp(pattern) => Self::HostRegexp(regex(pattern)?),
            Matcher::Path(path) => Self::Path(path.clone()),
            Matcher::PathPrefix(path) => Self::PathPrefix(path.clone()),
            Matcher::PathSegments(path) => {
                Self::PathSegments(path.trim_end_matches('/').to_owned())
            }
            Matcher::PathRegexp(pattern) => Self::PathRegexp(regex(pattern)?),
            Matcher::Method(method) => Self::Method(
                method
                    .parse()
                    .map_err(|_| RuleError::Method(method.clone()))?,
            ),
            Matcher::Header((name, value)) => {
                Self::Header(name.to_ascii_lowercase(), value.clone())
            }
            Matcher::HeaderRegexp((name, pattern)) => {
                Self::HeaderRegexp(name.to_ascii_lowercase(), regex(pattern)?)
            }
            Matcher::Query((name, value)) => Self::Query(name.clone(), value.clone()),
            Matcher::QueryRegexp((name, pattern)) => {
                Self::QueryRegexp(name.clone(), regex(pattern)?)
            }
            Matcher::ClientIp(range) => Self::ClientIp(cidr(range)?),
            Matcher::Sni(name) if name == "*" => Self::AnySni,
            Matcher::Sni(name) => Self::Sni(name.to_ascii_lowercase()),
            Matcher::SniRegexp(pattern) => Self::SniRegexp(regex(pattern)?),
            Matcher::All(_) | Matcher::Any(_) | Matcher::Not => return Err(RuleError::Malformed),
        })
    }

    /// Whether a request or connection fits.
    pub(crate) fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Host(host) => facts.host == host,
            Self::Wildcard(suffix) => one_label_before(facts.host, suffix),
            Self::HostRegexp(regex) => regex.is_match(facts.host),
            Self::Path(path) => facts.path == path,
            Self::PathPrefix(prefix) => facts.path.starts_with(prefix.as_str()),
            Self::PathSegments(prefix) => begins_with_segments(facts.path, prefix),
            Self::PathRegexp(regex) => regex.is_match(facts.path),
            Self::Method(method) => facts.method == method,
            Self::Header(name, value) => values(facts, name).any(|found| found == value),
            Self::HeaderRegexp(name, regex) => {
                values(facts, name).any(|found| regex.is_match(found))
            }
            Self::Query(name, value) => {
                query::values(facts.query, name).any(|found| found == *value)
            }
            Self::QueryRegexp(name, regex) => {
                query::values(facts.query, name).any(|found| regex.is_match(&found))
            }
            Self::ClientIp(range) => range.contains(&facts.client),
            Self::AnySni => true,
            Self::Sni(name) => match name.strip_prefix('*') {
                Some(suffix) => one_label_before(facts.sni, suffix),
                None => facts.sni == name,
            },
            Self::SniRegexp(regex) => !facts.sni.is_empty() && regex.is_match(facts.sni),
            Self::All(rules) => rules.iter().all(|rule| rule.matches(facts)),
            Self::Any(rules) => rules.iter().any(|rule| rule.matches(facts)),
            Self::Not(rule) => !rule.matches(facts),
        }
    }

    /// The hosts (or `.suffix` of wildcards) of which a request must have one; none if any may do.
    pub(crate) fn hosts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Host(host) => Some(vec![host.as_str()]),
            Self::Wildcard(suffix) => Some(vec![suffix.as_str()]),
            Self::All(rules) => rules.iter().filter_map(Self::hosts).min_by_key(Vec::len),
            Self::Any(rules) => union(rules.iter().map(Self::hosts)),
            _ => None,
        }
    }

    /// The server names (or `.suffix` of wildcards) of which a connection must have one.
    pub(crate) fn server_names(&self) -> Option<Vec<&str>> {
        match self {
            Self::Sni(name) => Some(vec![name.strip_prefix('*').unwrap_or(name)]),
            Self::All(rules) => rules
                .iter()
                .filter_map(Self::server_names)
                .min_by_key(Vec::len),
            Self::Any(rules) => union(rules.iter().map(Self::server_names)),
            _ => None,
        }
    }

    /// The texts of which a path must begin with one; none if any may do.
    pub(crate) fn prefixes(&self) -> Option<Vec<&str>> {
        match self {
            Self::Path(path) | Self::PathPrefix(path) | Self::PathSegments(path) => {
                Some(vec![path.as_str()])
            }
            Self::All(rules) => rules.iter().filter_map(Self::prefixes).min_by_key(Vec::len),
            Self::Any(rules) => union(rules.iter().map(Self::prefixes)),
            _ => None,
        }
    }
}

fn union<'a>(parts: impl Iterator<Item = Option<Vec<&'a str>>>) -> Option<Vec<&'a str>> {
    parts
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.concat())
        .filter(|all| !all.is_empty())
}

/// Takes the last `count` rules off the stack, in their order.
fn pop(stack: &mut Vec<Rule>, count: u32) -> Result<Vec<Rule>, RuleError> {
    let from = usize::try_from(count)
        .ok()
        .and_then(|count| stack.len().checked_sub(count))
        .ok_or(RuleError::Malformed)?;
    Ok(stack.split_off(from))
}

/// A regular expression of an object's author. The engine's own limits bound its size and time.
pub(crate) fn regex(pattern: &str) -> Result<Regex, PatternError> {
    Regex::new(pattern).map_err(|source| PatternError {
        pattern: pattern.to_owned(),
        source,
    })
}

/// A range of addresses, or a single one.
pub(crate) fn cidr(text: &str) -> Result<IpNet, RangeError> {
    let range = if text.contains('/') {
        text.parse().ok()
    } else {
        text.parse::<IpAddr>().ok().map(IpNet::from)
    };
    range.ok_or_else(|| RangeError(text.to_owned()))
}

fn one_label_before(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix)
        .is_some_and(|label| !label.is_empty() && !label.contains('.'))
}

/// `/foo` covers `/foo` and `/foo/bar`, not `/foobar` (Ingress path type Prefix).
fn begins_with_segments(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn values<'a>(facts: &Facts<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    facts
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(terms: &[Matcher], host: &str, path: &str) -> bool {
        let headers = HeaderMap::from_iter([(
            http::header::ACCEPT,
            http::HeaderValue::from_static("text/html"),
        )]);
        let facts = Facts {
            host,
            path,
            query: "a=1&b=x%20y",
            method: &Method::GET,
            headers: &headers,
            client: IpAddr::from([10, 0, 0, 1]),
            sni: "",
        };
        Rule::build(terms).unwrap().matches(&facts)
    }

    #[test]
    fn each_condition() {
        let own = |text: &str| text.to_owned();
        for (term, fits) in [
            (Matcher::Host(own("a.example.com")), true),
            (Matcher::Host(own("*.example.com")), true),
            (Matcher::Host(own("*.com")), false),
            (Matcher::HostRegexp(own("^a\\.")), true),
            (Matcher::Path(own("/foo/bar")), true),
            (Matcher::Path(own("/foo")), false),
            (Matcher::PathPrefix(own("/foo/b")), true),
            (Matcher::PathSegments(own("/foo")), true),
            (Matcher::PathSegments(own("/foo/b")), false),
            (Matcher::PathRegexp(own("^/f.*r$")), true),
            (Matcher::Method(own("GET")), true),
            (Matcher::Method(own("POST")), false),
            (Matcher::Header((own("Accept"), own("text/html"))), true),
            (Matcher::HeaderRegexp((own("Accept"), own("^image"))), false),
            (Matcher::Query((own("b"), own("x y"))), true),
            (Matcher::QueryRegexp((own("a"), own("^[0-9]$"))), true),
            (Matcher::ClientIp(own("10.0.0.0/8")), true),
            (Matcher::ClientIp(own("10.0.0.2")), false),
            (Matcher::Sni(own("*")), true),
            (Matcher::Sni(own("a")), false),
        ] {
            assert_eq!(
                matches(std::slice::from_ref(&term), "a.example.com", "/foo/bar"),
                fits,
                "{term:?}"
            );
        }
    }

    #[test]
    fn postfix_terms_make_a_tree() {
        let own = |text: &str| text.to_owned();
        let rule = [
            Matcher::Host(own("a")),
            Matcher::Host(own("b")),
            Matcher::Any(2),
            Matcher::PathPrefix(own("/x")),
            Matcher::Not,
            Matcher::All(2),
        ];
        assert!(
            matches(&rule, "b", "/y") && !matches(&rule, "b", "/x") && !matches(&rule, "c", "/y")
        );
        let built = Rule::build(&rule).unwrap();
        assert_eq!(
            (built.hosts(), built.prefixes()),
            (Some(vec!["a", "b"]), None)
        );
        assert!(matches(&[], "any", "/"));
        for broken in [
            vec![Matcher::All(1)],
            vec![Matcher::Host(own("a")), Matcher::Host(own("b"))],
            vec![Matcher::Not],
        ] {
            assert!(Rule::build(&broken).is_err());
        }
        assert!(
            Rule::build(&[Matcher::PathRegexp(own("("))])
                .unwrap_err()
                .to_string()
                .contains("bad regular expression")
        );
    }
}
