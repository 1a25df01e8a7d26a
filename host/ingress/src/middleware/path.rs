//! Layers that change the request's path.

use http::{HeaderValue, StatusCode};
use regex::Regex;

use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::PatternError;
use crate::model;
use crate::proxy::path::{has_dots, set_path};
use crate::table::rule::regex;

/// The header that carries the stripped prefix.
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";
/// The header that carries the replaced path.
const REPLACED_PATH: &str = "x-replaced-path";

/// A change of the path.
#[derive(Debug)]
pub(crate) enum Rewrite {
    StripPrefix(Vec<String>),
    StripPrefixRegexp(Vec<Regex>),
    AddPrefix(String),
    Replace(String),
    ReplaceRegexp(Regex, String),
}

/// The new path, and the header that carries the old part.
#[derive(Debug, PartialEq)]
struct Rewritten {
    path: String,
    note: Option<(&'static str, String)>,
}

impl Rewrite {
    pub(crate) fn strip_prefix_regexp(patterns: &[String]) -> Result<Self, PatternError> {
        let patterns = patterns.iter().map(|pattern| regex(pattern));
        Ok(Self::StripPrefixRegexp(patterns.collect::<Result<_, _>>()?))
    }

    pub(crate) fn replace_regexp(rewrite: &model::Rewrite) -> Result<Self, PatternError> {
        let pattern = regex(&rewrite.pattern)?;
        Ok(Self::ReplaceRegexp(pattern, rewrite.replacement.clone()))
    }

    fn strips(&self) -> bool {
        matches!(self, Self::StripPrefix(_) | Self::StripPrefixRegexp(_))
    }

    fn apply(&self, path: &str) -> Option<Rewritten> {
        match self {
            Self::StripPrefix(prefixes) => {
                let prefix = prefixes
                    .iter()
                    .find(|prefix| path.starts_with(prefix.as_str()))?;
                Some(stripped(path, prefix))
            }
            Self::StripPrefixRegexp(patterns) => {
                let found = patterns
                    .iter()
                    .filter_map(|pattern| pattern.find(path))
                    .find(|found| found.start() == 0)?;
                Some(stripped(path, found.as_str()))
            }
            Self::AddPrefix(prefix) => Some(Rewritten {
                path: format!("{prefix}{path}"),
                note: None,
            }),
            Self::Replace(new) => Some(replaced(path, new.clone())),
            Self::ReplaceRegexp(pattern, new) => pattern
                .is_match(path)
                .then(|| replaced(path, pattern.replace_all(path, new.as_str()).into_owned())),
        }
    }
}

fn stripped(path: &str, prefix: &str) -> Rewritten {
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    let path = if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    };
    Rewritten {
        path,
        note: Some((FORWARDED_PREFIX, prefix.trim_end_matches('/').to_owned())),
    }
}

fn replaced(path: &str, new: String) -> Rewritten {
    Rewritten {
        path: new,
        note: Some((REPLACED_PATH, path.to_owned())),
    }
}

impl Layer for Rewrite {
    fn handle<'a>(&'a self, mut exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        if let Some(Rewritten { path, note }) = self.apply(exchange.request.uri().path()) {
            // `/api../x` without `/api` is another path to the server than to the rule.
            let is_odd = self.strips() && has_dots(&path);
            if is_odd || set_path(&mut exchange.request, &path).is_err() {
                return Box::pin(async { answer(StatusCode::BAD_REQUEST, "400 bad request\n") });
            }
            if let Some((name, value)) = note
                && let Ok(value) = HeaderValue::from_str(&value)
            {
                exchange.request.headers_mut().append(name, value);
            }
        }
        next.run(exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_rewritten_as_traefik_does() {
        let regex = |text: &str| Regex::new(text).unwrap();
        for (rewrite, path, new) in [
            (
                Rewrite::StripPrefix(vec!["/api".into()]),
                "/api/v1",
                Some("/v1"),
            ),
            (Rewrite::StripPrefix(vec!["/api".into()]), "/api", Some("/")),
            (
                Rewrite::StripPrefix(vec!["/x".into(), "/api/".into()]),
                "/api/v1",
                Some("/v1"),
            ),
            (Rewrite::StripPrefix(vec!["/x".into()]), "/api", None),
            (
                Rewrite::StripPrefixRegexp(vec![regex("^/v[0-9]+")]),
                "/v12/a",
                Some("/a"),
            ),
            (Rewrite::AddPrefix("/foo".into()), "/a", Some("/foo/a")),
            (Rewrite::Replace("/new".into()), "/a", Some("/new")),
            (
                Rewrite::ReplaceRegexp(regex("^/a/(.*)$"), "/b/$1".into()),
                "/a/c",
                Some("/b/c"),
            ),
            (
                Rewrite::ReplaceRegexp(regex("^/a/(.*)$"), "/b/$1".into()),
                "/c",
                None,
            ),
        ] {
            assert_eq!(
                rewrite.apply(path).map(|r| r.path).as_deref(),
                new,
                "{rewrite:?}"
            );
        }
    }
}
