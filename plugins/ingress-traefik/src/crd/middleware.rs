//! Middleware objects into actions.

use super::middleware_types::{self as spec, Spec};
use super::types::{Custom, Reference};
use super::values::millis_or;
use super::{breaker, read, resolve, service};
use crate::key::{Key, Kind};
use crate::outcome::Warnings;
use crate::state::View;
use crate::wit::{
    Action, BasicAuth, Buffering, CircuitBreaker, Compress, Cors, ErrorPages, ForwardAuth, Headers,
    InFlight, IpStrategy, Middleware, RateLimit, Redirect, RedirectScheme, Reference as Named,
    Retry, Rewrite, Source,
};

/// Chains may name each other this deep.
const MAX_DEPTH: usize = 10;
/// Middlewares of one route.
const MAX_LENGTH: usize = 100;

/// The middlewares that a route names: one, or all of a chain.
pub(crate) fn named(
    view: &View<'_>,
    namespace: &str,
    reference: &Reference,
    warnings: &mut Warnings,
) -> Result<Vec<Middleware>, String> {
    let key = match reference.name.split_once('@') {
        None => resolve(
            view,
            Kind::Middleware,
            namespace,
            &reference.namespace,
            &reference.name,
        )?,
        Some((full, "kubernetescrd")) => split(view, Kind::Middleware, namespace, full)?,
        Some(_) => return Err(format!("Middleware {} does not exist", reference.name)),
    };
    let mut all = Vec::new();
    collect(view, &key, 0, &mut all, warnings)?;
    Ok(all)
}

/// The object that `NAMESPACE-NAME` means: both parts may have dashes, so each way is looked at.
pub(crate) fn split(
    view: &View<'_>,
    kind: Kind,
    namespace: &str,
    full: &str,
) -> Result<Key, String> {
    let ways = full
        .match_indices('-')
        .filter_map(|(at, _)| Some((full.get(..at)?, full.get(at + 1..)?)));
    let found = ways
        .map(|(namespace, name)| Key::new(kind, namespace, name))
        .find(|key| view.exists(key));
    let key = found.ok_or_else(|| format!("{} {full} does not exist", kind.name()))?;
    resolve(view, kind, namespace, &key.namespace, &key.name)
}

fn collect(
    view: &View<'_>,
    key: &Key,
    depth: usize,
    all: &mut Vec<Middleware>,
    warnings: &mut Warnings,
) -> Result<(), String> {
    if depth > MAX_DEPTH || all.len() >= MAX_LENGTH {
        return Err(format!(
            "Middleware {}/{}: chains are too deep or too long",
            key.namespace, key.name
        ));
    }
    let found: Custom<Spec> = read(view, key)?;
    if let Spec::Chain(chain) = &found.spec {
        for inner in &chain.middlewares {
            let inner = resolve(
                view,
                Kind::Middleware,
                &key.namespace,
                &inner.namespace,
                &inner.name,
            )?;
            collect(view, &inner, depth + 1, all, warnings)?;
        }
        return Ok(());
    }
    let name = format!("{}/{}", key.namespace, key.name);
    let action = action(view, key, found.spec, warnings)
        .map_err(|error| format!("Middleware {name}: {error}"))?;
    all.push(Middleware { name, action });
    Ok(())
}

fn action(
    view: &View<'_>,
    key: &Key,
    spec: Spec,
    warnings: &mut Warnings,
) -> Result<Action, String> {
    let secret = |name: String| Named {
        namespace: key.namespace.clone(),
        name,
    };
    Ok(match spec {
        Spec::StripPrefix(s) if s.force_slash == Some(false) => {
            return Err("forceSlash: false is not supported".into());
        }
        Spec::StripPrefix(s) => Action::StripPrefix(needed("prefixes", s.prefixes)?),
        Spec::StripPrefixRegex(s) => Action::StripPrefixRegexp(needed("regex", s.regex)?),
        Spec::AddPrefix(s) => Action::AddPrefix(s.prefix),
        Spec::ReplacePath(s) => Action::ReplacePath(s.path),
        Spec::ReplacePathRegex(s) => Action::ReplacePathRegexp(Rewrite {
            pattern: s.regex,
            replacement: s.replacement,
        }),
        Spec::RedirectScheme(s) => Action::RedirectScheme(RedirectScheme {
            scheme: if s.scheme.is_empty() {
                return Err("a scheme is needed".into());
            } else {
                s.scheme
            },
            port: s.port,
            permanent: s.permanent,
        }),
        Spec::RedirectRegex(s) => Action::Redirect(Redirect {
            rewrite: Rewrite {
                pattern: s.regex,
                replacement: s.replacement,
            },
            permanent: s.permanent,
        }),
        Spec::Headers(s) => Action::Headers(headers(*s)),
        Spec::BasicAuth(s) if s.secret.is_empty() => return Err("a secret is needed".into()),
        Spec::BasicAuth(s) => Action::BasicAuth(BasicAuth {
            secret: secret(s.secret),
            realm: s.realm,
            header_field: s.header_field,
            remove_header: s.remove_header,
        }),
        Spec::ForwardAuth(s) => {
            if s.trust_forward_header {
                warnings
                    .push("trustForwardHeader has no effect: clients' X-Forwarded headers are never trusted".into());
            }
            Action::ForwardAuth(ForwardAuth {
                address: s.address,
                response_headers: s.auth_response_headers,
                response_headers_regexp: s.auth_response_headers_regex,
                request_headers: s.auth_request_headers,
            })
        }
        Spec::RateLimit(s) => Action::RateLimit(RateLimit {
            average: s.average,
            period_ms: millis_or(s.period.as_ref(), 1000)?,
            burst: s.burst.unwrap_or(1),
            source: source(s.source_criterion, Source::Client(strategy(None))),
        }),
        Spec::InFlightReq(s) => Action::InFlight(InFlight {
            amount: s.amount,
            source: source(s.source_criterion, Source::Host),
        }),
        Spec::Retry(s) => Action::Retry(Retry {
            attempts: s.attempts,
            initial_interval_ms: millis_or(s.initial_interval.as_ref(), 0)?,
        }),
        Spec::CircuitBreaker(s) => Action::CircuitBreaker(CircuitBreaker {
            expression: breaker::parse(&s.expression)?,
            check_period_ms: millis_or(s.check_period.as_ref(), 100)?,
            fallback_duration_ms: millis_or(s.fallback_duration.as_ref(), 10_000)?,
            recovery_duration_ms: millis_or(s.recovery_duration.as_ref(), 10_000)?,
            response_code: s.response_code.unwrap_or(503),
        }),
        Spec::Compress(s) => {
            if !s.encodings.is_empty() && !s.encodings.iter().any(|encoding| encoding == "gzip") {
                return Err("gzip is the only encoding supported".into());
            }
            Action::Compress(Compress {
                min_bytes: s.min_response_body_bytes,
                excluded: s.excluded_content_types,
                included: s.included_content_types,
            })
        }
        Spec::IpAllowList(s) | Spec::IpWhiteList(s) => Action::IpAllowList((
            needed("sourceRange", s.source_range)?,
            strategy(s.ip_strategy),
        )),
        Spec::Buffering(s) => {
            if s.mem_request_body_bytes > 0 || s.mem_response_body_bytes > 0 {
                warnings.push(
                    "buffered bodies are held in memory whole; mem*BodyBytes has no effect".into(),
                );
            }
            Action::Buffering(Buffering {
                max_request_bytes: s.max_request_body_bytes,
                max_response_bytes: s.max_response_body_bytes,
            })
        }
        Spec::Chain(_) => return Err("a chain is no action".into()),
        Spec::Errors(s) => errors(view, key, *s)?,
    })
}

fn needed<T>(name: &str, list: Vec<T>) -> Result<Vec<T>, String> {
    if list.is_empty() {
        Err(format!("{name} is needed"))
    } else {
        Ok(list)
    }
}

fn strategy(spec: Option<spec::IpStrategy>) -> IpStrategy {
    let spec = spec.unwrap_or_default();
    IpStrategy {
        depth: spec.depth,
        excluded: spec.excluded_ips,
    }
}

fn source(spec: Option<spec::SourceCriterion>, default: Source) -> Source {
    match spec {
        Some(spec) if !spec.request_header_name.is_empty() => {
            Source::Header(spec.request_header_name)
        }
        Some(spec) if spec.request_host => Source::Host,
        Some(spec) if spec.ip_strategy.is_some() => Source::Client(strategy(spec.ip_strategy)),
        _ => default,
    }
}

fn errors(view: &View<'_>, key: &Key, spec: spec::Errors) -> Result<Action, String> {
    let service = spec.service.ok_or("a service is needed")?;
    let range = |text: &String| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |part: &str| {
            part.parse::<u16>()
                .map_err(|_| format!("{text:?} is no range of status codes"))
        };
        Ok::<_, String>((number(first)?, number(last)?))
    };
    Ok(Action::Errors(ErrorPages {
        status: spec.status.iter().map(range).collect::<Result<_, _>>()?,
        target: service::target(view, &key.namespace, &[service])?,
        query: spec.query,
    }))
}

fn headers(spec: spec::Headers) -> Headers {
    let mut response: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            response.push((name.to_owned(), value));
        }
    };
    let either = |text: String, switch: bool, value: &str| match (text.is_empty(), switch) {
        (false, _) => text,
        (true, true) => value.to_owned(),
        (true, false) => String::new(),
    };
    put(
        "X-Frame-Options",
        either(spec.custom_frame_options_value, spec.frame_deny, "DENY"),
    );
    put(
        "X-Content-Type-Options",
        either(String::new(), spec.content_type_nosniff, "nosniff"),
    );
    put(
        "X-XSS-Protection",
        either(
            spec.custom_browser_xss_value,
            spec.browser_xss_filter,
            "1; mode=block",
        ),
    );
    put("Content-Security-Policy", spec.content_security_policy);
    put(
        "Content-Security-Policy-Report-Only",
        spec.content_security_policy_report_only,
    );
    put("Referrer-Policy", spec.referrer_policy);
    put("Permissions-Policy", spec.permissions_policy);
    let mut on_tls = Vec::new();
    if spec.sts_seconds > 0 {
        let mut value = format!("max-age={}", spec.sts_seconds);
        value.push_str(if spec.sts_include_subdomains {
            "; includeSubDomains"
        } else {
            ""
        });
        value.push_str(if spec.sts_preload { "; preload" } else { "" });
        let header = ("Strict-Transport-Security".to_owned(), value);
        if spec.force_sts_header {
            response.push(header)
        } else {
            on_tls.push(header)
        }
    }
    response.extend(spec.custom_response_headers);
    let asks_for_cors = spec.access_control_allow_credentials
        || !spec.access_control_allow_headers.is_empty()
        || !spec.access_control_allow_methods.is_empty()
        || !spec.access_control_allow_origin_list.is_empty()
        || !spec.access_control_allow_origin_list_regex.is_empty()
        || !spec.access_control_expose_headers.is_empty();
    let cors = asks_for_cors.then_some(Cors {
        allow_credentials: spec.access_control_allow_credentials,
        allow_headers: spec.access_control_allow_headers,
        allow_methods: spec.access_control_allow_methods,
        allow_origins: spec.access_control_allow_origin_list,
        allow_origin_regexps: spec.access_control_allow_origin_list_regex,
        expose_headers: spec.access_control_expose_headers,
        max_age_s: (spec.access_control_max_age > 0).then_some(spec.access_control_max_age),
        add_vary: spec.add_vary_header,
    });
    Headers {
        request: spec.custom_request_headers.into_iter().collect(),
        response,
        response_on_tls: on_tls,
        allowed_hosts: spec.allowed_hosts,
        cors,
    }
}
