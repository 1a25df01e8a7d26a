//! The middleware `headers`: security headers by name, custom ones, and CORS.

use super::actions::warn_ignored;
use super::middleware_types::Headers as Spec;
use crate::outcome::Warnings;
use crate::wit::{Cors, Headers};

/// The contract's form of the spec.
pub(super) fn headers(spec: Spec, warnings: &mut Warnings) -> Headers {
    let proxies = "no proxy in front is trusted to name host or scheme";
    let removed = "use the middleware redirectScheme";
    warn_ignored(
        warnings,
        &[
            ("hostsProxyHeaders", &spec.hosts_proxy_headers, proxies),
            ("sslProxyHeaders", &spec.ssl_proxy_headers, proxies),
            (
                "featurePolicy",
                &spec.feature_policy,
                "use permissionsPolicy",
            ),
            ("sslRedirect", &spec.ssl_redirect, removed),
            (
                "sslTemporaryRedirect",
                &spec.ssl_temporary_redirect,
                removed,
            ),
            ("sslHost", &spec.ssl_host, removed),
            ("sslForceHost", &spec.ssl_force_host, removed),
        ],
    );
    let cors = cors(&spec);
    let mut response = security_headers(&spec);
    let mut response_on_tls = Vec::new();
    if let Some(value) = strict_transport_security(&spec) {
        let header = ("Strict-Transport-Security".to_owned(), value);
        if spec.force_sts_header {
            response.push(header);
        } else {
            response_on_tls.push(header);
        }
    }
    if !spec.public_key.is_empty() && !spec.is_development {
        let header = ("Public-Key-Pins".to_owned(), spec.public_key);
        response_on_tls.push(header);
    }
    response.extend(spec.custom_response_headers);
    Headers {
        request: spec.custom_request_headers.into_iter().collect(),
        response,
        response_on_tls,
        // As the library that Traefik uses: in development neither hosts nor transport security are checked.
        allowed_hosts: if spec.is_development {
            Vec::new()
        } else {
            spec.allowed_hosts
        },
        cors,
    }
}

/// The security headers that the spec has fields for, in Traefik's order. A custom value replaces that of
/// a switch.
fn security_headers(spec: &Spec) -> Vec<(String, String)> {
    let switch = |is_on: bool, value: &'static str| if is_on { value } else { "" };
    let frame = switch(spec.frame_deny, "DENY");
    let xss = switch(spec.browser_xss_filter, "1; mode=block");
    let headers = [
        (
            "X-Frame-Options",
            or(&spec.custom_frame_options_value, frame),
        ),
        (
            "X-Content-Type-Options",
            switch(spec.content_type_nosniff, "nosniff"),
        ),
        ("X-XSS-Protection", or(&spec.custom_browser_xss_value, xss)),
        ("Content-Security-Policy", &spec.content_security_policy),
        (
            "Content-Security-Policy-Report-Only",
            &spec.content_security_policy_report_only,
        ),
        ("Referrer-Policy", &spec.referrer_policy),
        ("Permissions-Policy", &spec.permissions_policy),
    ];
    let set = headers.into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn or<'a>(custom: &'a str, default: &'a str) -> &'a str {
    if custom.is_empty() { default } else { custom }
}

fn strict_transport_security(spec: &Spec) -> Option<String> {
    if spec.sts_seconds == 0 || spec.is_development {
        return None;
    }
    let mut value = format!("max-age={}", spec.sts_seconds);
    if spec.sts_include_subdomains {
        value.push_str("; includeSubDomains");
    }
    if spec.sts_preload {
        value.push_str("; preload");
    }
    Some(value)
}

/// None unless the spec grants something to other origins.
fn cors(spec: &Spec) -> Option<Cors> {
    let lists = [
        &spec.access_control_allow_headers,
        &spec.access_control_allow_methods,
        &spec.access_control_allow_origin_list,
        &spec.access_control_allow_origin_list_regex,
        &spec.access_control_expose_headers,
    ];
    if !spec.access_control_allow_credentials && lists.iter().all(|list| list.is_empty()) {
        return None;
    }
    let max_age_s = spec.access_control_max_age;
    Some(Cors {
        allow_credentials: spec.access_control_allow_credentials,
        allow_headers: spec.access_control_allow_headers.clone(),
        allow_methods: spec.access_control_allow_methods.clone(),
        allow_origins: spec.access_control_allow_origin_list.clone(),
        allow_origin_regexps: spec.access_control_allow_origin_list_regex.clone(),
        expose_headers: spec.access_control_expose_headers.clone(),
        max_age_s: (max_age_s > 0).then_some(max_age_s),
        add_vary: spec.add_vary_header,
    })
}
