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

/// Tells authors of fields that are there and have no effect, and why.
pub(super) fn warn_ignored(warnings: &mut Warnings, fields: &[(&str, &spec::Ignored, &str)]) {
    for (name, _, why) in fields.iter().filter(|(_, field, _)| field.is_some()) {
        warnings.push(format!("{name} has no effect: {why}"));
    }
}

/// The action of a middleware; none for one that is not acted on and keeps nothing out. An error is one sentence for
/// its author.
pub(super) fn action(spec: Spec, context: &mut Context<'_>) -> Result<Option<Action>, Sentence> {
    let mut no_effect = |what: &str| {
        context.warnings.push(format!("{what} has no effect"));
        Ok(None)
    };
    match spec {
        Spec::PassTlsClientCert(_) => no_effect("passTLSClientCert"),
        Spec::ContentType(_) => no_effect("contentType"),
        Spec::GrpcWeb(_) => no_effect("grpcWeb"),
        Spec::Compress(spec) => compress(spec, context.warnings),
        Spec::Retry(spec) if spec.disable_retry_on_network_error => no_effect("retry"),
        other => effective(other, context).map(Some),
    }
}

fn effective(spec: Spec, context: &mut Context<'_>) -> Result<Action, Sentence> {
    match spec {
        Spec::StripPrefix(spec) => strip_prefix(spec, context.warnings),
        Spec::StripPrefixRegex(spec) => strip_prefix_regex(spec),
        Spec::AddPrefix(spec) => Ok(Action::AddPrefix(spec.prefix)),
        Spec::ReplacePath(spec) => Ok(Action::ReplacePath(spec.path)),
        Spec::ReplacePathRegex(spec) => Ok(replace_path_regex(spec)),
        Spec::RedirectScheme(spec) => redirect_scheme(spec),
        Spec::RedirectRegex(spec) => Ok(redirect_regex(spec)),
        Spec::Headers(spec) => Ok(Action::Headers(headers::headers(*spec, context.warnings))),
        Spec::BasicAuth(spec) => basic_auth(spec, context.namespace),
        Spec::ForwardAuth(spec) => Ok(forward_auth(spec, context.warnings)),
        Spec::RateLimit(spec) => rate_limit(spec, context.warnings),
        Spec::InFlightReq(spec) => Ok(in_flight(spec, context.warnings)),
        Spec::Retry(spec) => retry(&spec, context.warnings),
        Spec::CircuitBreaker(spec) => circuit_breaker(spec),
        Spec::IpAllowList(spec) | Spec::IpWhiteList(spec) => ip_allow_list(spec, context.warnings),
        Spec::Buffering(spec) => Ok(buffering(spec, context.warnings)),
        Spec::Errors(spec) => errors(*spec, context),
        // The middlewares of a chain are resolved before; the others have no effect.
        _ => Err("it has no action of its own".into()),
    }
}

fn strip_prefix(spec: spec::StripPrefix, warnings: &mut Warnings) -> Result<Action, Sentence> {
    if spec.force_slash == Some(false) {
        warnings.push("forceSlash has no effect: a path begins with a slash".to_owned());
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
    let stores = "the certificate of the server is checked against the machine's authorities";
    let passed = "answers that refuse are passed on, those that allow are not";
    warn_ignored(
        warnings,
        &[
            ("tls", &spec.tls, stores),
            (
                "addAuthCookiesToResponse",
                &spec.add_auth_cookies_to_response,
                passed,
            ),
            ("authSigninURL", &spec.auth_signin_url, passed),
            (
                "maxResponseBodySize",
                &spec.max_response_body_size,
                "bodies are streamed",
            ),
        ],
    );
    Action::ForwardAuth(ForwardAuth {
        address: spec.address,
        response_headers: spec.auth_response_headers,
        response_headers_regexp: spec.auth_response_headers_regex,
        request_headers: spec.auth_request_headers,
    })
}

fn rate_limit(spec: spec::RateLimit, warnings: &mut Warnings) -> Result<Action, Sentence> {
    let why = "requests are counted by the server itself";
    warn_ignored(warnings, &[("redis", &spec.redis, why)]);
    let by_client = Source::Client(strategy(None, warnings));
    Ok(Action::RateLimit(RateLimit {
        average: spec.average,
        period_ms: millis_or(spec.period.as_ref(), 1000)?,
        burst: spec.burst.unwrap_or(1),
        source: source(spec.source_criterion, by_client, warnings),
    }))
}

fn in_flight(spec: spec::InFlightReq, warnings: &mut Warnings) -> Action {
    Action::InFlight(InFlight {
        amount: spec.amount,
        source: source(spec.source_criterion, Source::Host, warnings),
    })
}

fn retry(spec: &spec::Retry, warnings: &mut Warnings) -> Result<Action, Sentence> {
    let why = "a request is sent again while no server has answered it";
    warn_ignored(
        warnings,
        &[
            ("timeout", &spec.timeout, why),
            ("status", &spec.status, why),
            ("maxRequestBodyBytes", &spec.max_request_body_bytes, why),
        ],
    );
    if spec.retry_non_idempotent_method {
        let why = "what a server may have seen is sent again only if it changes nothing";
        warnings.push(format!("retryNonIdempotentMethod has no effect: {why}"));
    }
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

fn compress(spec: spec::Compress, warnings: &mut Warnings) -> Result<Option<Action>, Sentence> {
    let encodings = &spec.encodings;
    if !encodings.is_empty() && !encodings.iter().any(|encoding| encoding == "gzip") {
        warnings.push("nothing is compressed: gzip is the only encoding supported".to_owned());
        return Ok(None);
    }
    if !matches!(spec.default_encoding.as_str(), "" | "gzip") {
        warnings.push("defaultEncoding has no effect: gzip is the only encoding".to_owned());
    }
    Ok(Some(Action::Compress(Compress {
        min_bytes: spec.min_response_body_bytes,
        excluded: spec.excluded_content_types,
        included: spec.included_content_types,
    })))
}

fn ip_allow_list(spec: spec::IpAllowList, warnings: &mut Warnings) -> Result<Action, Sentence> {
    let ranges = non_empty("sourceRange", spec.source_range)?;
    if spec.reject_status_code.is_some_and(|code| code != 403) {
        warnings.push("rejectStatusCode has no effect: the answer is 403".to_owned());
    }
    let strategy = strategy(spec.ip_strategy, warnings);
    Ok(Action::IpAllowList((ranges, strategy)))
}

fn buffering(spec: spec::Buffering, warnings: &mut Warnings) -> Action {
    if spec.mem_request_body_bytes > 0 || spec.mem_response_body_bytes > 0 {
        let warning = "buffered bodies are held in memory whole; mem*BodyBytes has no effect";
        warnings.push(warning.to_owned());
    }
    let why = "the middleware retry sends requests again";
    warn_ignored(
        warnings,
        &[("retryExpression", &spec.retry_expression, why)],
    );
    Action::Buffering(Buffering {
        max_request_bytes: spec.max_request_body_bytes,
        max_response_bytes: spec.max_response_body_bytes,
    })
}

fn errors(spec: spec::Errors, context: &mut Context<'_>) -> Result<Action, Sentence> {
    let headers = "only Host and Accept are sent for a page";
    warn_ignored(
        context.warnings,
        &[
            (
                "statusRewrites",
                &spec.status_rewrites,
                "a page keeps the status",
            ),
            ("errorRequestHeaders", &spec.error_request_headers, headers),
        ],
    );
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

fn strategy(spec: Option<spec::IpStrategy>, warnings: &mut Warnings) -> IpStrategy {
    let spec = spec.unwrap_or_default();
    let why = "clients are counted by address";
    warn_ignored(warnings, &[("ipv6Subnet", &spec.ipv6_subnet, why)]);
    IpStrategy {
        depth: spec.depth,
        excluded: spec.excluded_ips,
    }
}

fn source(spec: Option<spec::SourceCriterion>, default: Source, warnings: &mut Warnings) -> Source {
    match spec {
        Some(spec) if !spec.request_header_name.is_empty() => {
            Source::Header(spec.request_header_name)
        }
        Some(spec) if spec.request_host => Source::Host,
        Some(spec) if spec.ip_strategy.is_some() => {
            Source::Client(strategy(spec.ip_strategy, warnings))
        }
        _ => default,
    }
}
