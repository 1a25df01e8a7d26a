//! From the specs of middlewares to the contract's actions: one function for each middleware.

use k3s_plugin_sdk::Sentence;

use super::middleware_types as spec;
use super::middleware_types::Spec;
use super::values::millis_or;
use super::{breaker, headers, service};
use crate::outcome::Warnings;
use crate::view::View;
use crate::wit::{
    Action, BasicAuth, Buffering, CircuitBreaker, Compress, ErrorPages, ForwardAuth, InFlight,
    IpStrategy, RateLimit, Redirect, RedirectScheme, Reference, Retry, Rewrite, Source,
};

/// What a middleware may refer to, and where its warnings go.
pub(super) struct Context<'a> {
    pub(super) view: &'a View<'a>,
    /// The middleware's own namespace.
    pub(super) namespace: &'a str,
    pub(super) warnings: &'a mut Warnings,
}

/// The action of a middleware. An error is one sentence for its author.
pub(super) fn action(spec: Spec, context: &mut Context<'_>) -> Result<Action, Sentence> {
    match spec {
        Spec::StripPrefix(spec) => strip_prefix(spec),
        Spec::StripPrefixRegex(spec) => strip_prefix_regex(spec),
        Spec::AddPrefix(spec) => Ok(Action::AddPrefix(spec.prefix)),
        Spec::ReplacePath(spec) => Ok(Action::ReplacePath(spec.path)),
        Spec::ReplacePathRegex(spec) => Ok(replace_path_regex(spec)),
        Spec::RedirectScheme(spec) => redirect_scheme(spec),
        Spec::RedirectRegex(spec) => Ok(redirect_regex(spec)),
        Spec::Headers(spec) => Ok(Action::Headers(headers::headers(*spec))),
        Spec::BasicAuth(spec) => basic_auth(spec, context.namespace),
        Spec::ForwardAuth(spec) => Ok(forward_auth(spec, context.warnings)),
        Spec::RateLimit(spec) => rate_limit(spec),
        Spec::InFlightReq(spec) => Ok(in_flight(spec)),
        Spec::Retry(spec) => retry(spec),
        Spec::CircuitBreaker(spec) => circuit_breaker(spec),
        Spec::Compress(spec) => compress(spec),
        Spec::IpAllowList(spec) | Spec::IpWhiteList(spec) => ip_allow_list(spec),
        Spec::Buffering(spec) => Ok(buffering(spec, context.warnings)),
        Spec::Errors(spec) => errors(*spec, context),
        // The middlewares of a chain are resolved before.
        Spec::Chain(_) => Err("a chain has no action of its own".into()),
    }
}

fn strip_prefix(spec: spec::StripPrefix) -> Result<Action, Sentence> {
    if spec.force_slash == Some(false) {
        return Err("forceSlash: false is not supported".into());
    }
    let prefixes = non_empty("prefixes", spec.prefixes)?;
    Ok(Action::StripPrefix(prefixes))
}

fn strip_prefix_regex(spec: spec::StripPrefixRegex) -> Result<Action, Sentence> {
    let patterns = non_empty("regex", spec.regex)?;
    Ok(Action::StripPrefixRegexp(patterns))
}

fn replace_path_regex(spec: spec::ReplacePathRegex) -> Action {
    Action::ReplacePathRegexp(Rewrite {
        pattern: spec.regex,
        replacement: spec.replacement,
    })
}

fn redirect_scheme(spec: spec::RedirectScheme) -> Result<Action, Sentence> {
    if spec.scheme.is_empty() {
        return Err("a scheme is needed".into());
    }
    Ok(Action::RedirectScheme(RedirectScheme {
        scheme: spec.scheme,
        port: spec.port,
        permanent: spec.permanent,
    }))
}

fn redirect_regex(spec: spec::RedirectRegex) -> Action {
    let rewrite = Rewrite {
        pattern: spec.regex,
        replacement: spec.replacement,
    };
    Action::Redirect(Redirect {
        rewrite,
        permanent: spec.permanent,
    })
}

fn basic_auth(spec: spec::BasicAuth, namespace: &str) -> Result<Action, Sentence> {
    if spec.secret.is_empty() {
        return Err("a secret is needed".into());
    }
    let secret = Reference {
        namespace: namespace.to_owned(),
        name: spec.secret,
    };
    Ok(Action::BasicAuth(BasicAuth {
        secret,
        realm: spec.realm,
        header_field: spec.header_field,
        remove_header: spec.remove_header,
    }))
}

fn forward_auth(spec: spec::ForwardAuth, warnings: &mut Warnings) -> Action {
    if spec.trust_forward_header {
        let why = "clients' X-Forwarded headers are never trusted";
        warnings.push(format!("trustForwardHeader has no effect: {why}"));
    }
    Action::ForwardAuth(ForwardAuth {
        address: spec.address,
        response_headers: spec.auth_response_headers,
        response_headers_regexp: spec.auth_response_headers_regex,
        request_headers: spec.auth_request_headers,
    })
}

fn rate_limit(spec: spec::RateLimit) -> Result<Action, Sentence> {
    let by_client = Source::Client(strategy(None));
    Ok(Action::RateLimit(RateLimit {
        average: spec.average,
        period_ms: millis_or(spec.period.as_ref(), 1000)?,
        burst: spec.burst.unwrap_or(1),
        source: source(spec.source_criterion, by_client),
    }))
}

fn in_flight(spec: spec::InFlightReq) -> Action {
    Action::InFlight(InFlight {
        amount: spec.amount,
        source: source(spec.source_criterion, Source::Host),
    })
}

fn retry(spec: spec::Retry) -> Result<Action, Sentence> {
    Ok(Action::Retry(Retry {
        attempts: spec.attempts,
        initial_interval_ms: millis_or(spec.initial_interval.as_ref(), 0)?,
    }))
}

fn circuit_breaker(spec: spec::CircuitBreaker) -> Result<Action, Sentence> {
    Ok(Action::CircuitBreaker(CircuitBreaker {
        expression: breaker::parse(&spec.expression)?,
        check_period_ms: millis_or(spec.check_period.as_ref(), 100)?,
        fallback_duration_ms: millis_or(spec.fallback_duration.as_ref(), 10_000)?,
        recovery_duration_ms: millis_or(spec.recovery_duration.as_ref(), 10_000)?,
        response_code: spec.response_code.unwrap_or(503),
    }))
}

fn compress(spec: spec::Compress) -> Result<Action, Sentence> {
    let encodings = &spec.encodings;
    if !encodings.is_empty() && !encodings.iter().any(|encoding| encoding == "gzip") {
        return Err("gzip is the only encoding supported".into());
    }
    Ok(Action::Compress(Compress {
        min_bytes: spec.min_response_body_bytes,
        excluded: spec.excluded_content_types,
        included: spec.included_content_types,
    }))
}

fn ip_allow_list(spec: spec::IpAllowList) -> Result<Action, Sentence> {
    let ranges = non_empty("sourceRange", spec.source_range)?;
    Ok(Action::IpAllowList((ranges, strategy(spec.ip_strategy))))
}

fn buffering(spec: spec::Buffering, warnings: &mut Warnings) -> Action {
    if spec.mem_request_body_bytes > 0 || spec.mem_response_body_bytes > 0 {
        let warning = "buffered bodies are held in memory whole; mem*BodyBytes has no effect";
        warnings.push(warning.to_owned());
    }
    Action::Buffering(Buffering {
        max_request_bytes: spec.max_request_body_bytes,
        max_response_bytes: spec.max_response_body_bytes,
    })
}

fn errors(spec: spec::Errors, context: &Context<'_>) -> Result<Action, Sentence> {
    let service = spec.service.ok_or("a service is needed")?;
    let status: Result<_, Sentence> = spec.status.iter().map(|text| status_range(text)).collect();
    Ok(Action::Errors(ErrorPages {
        status: status?,
        target: service::target(context.view, context.namespace, &[service])?,
        query: spec.query,
    }))
}

/// `404`, or `500-599`.
fn status_range(text: &str) -> Result<(u16, u16), Sentence> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |part: &str| {
        let parsed = part.parse::<u16>();
        parsed.map_err(|_| format!("{text:?} is not a range of status codes"))
    };
    Ok((number(first)?, number(last)?))
}

fn non_empty<T>(name: &str, list: Vec<T>) -> Result<Vec<T>, Sentence> {
    if list.is_empty() {
        return Err(format!("{name} is needed").into());
    }
    Ok(list)
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
