//! The specs of Traefik's middlewares. Fields that are not here are refused by name: all that keeps requests out and
//! is not done here. What is [`Ignored`] keeps nothing out; its author is told that it has no effect.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::types::{Reference, Service};
use super::values::NumberOrText;

/// A field that is not acted on, if it is there.
pub(crate) type Ignored = Option<IgnoredAny>;

/// Exactly one of these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Spec {
    StripPrefix(StripPrefix),
    StripPrefixRegex(StripPrefixRegex),
    AddPrefix(AddPrefix),
    ReplacePath(ReplacePath),
    ReplacePathRegex(ReplacePathRegex),
    RedirectScheme(RedirectScheme),
    RedirectRegex(RedirectRegex),
    Headers(Box<Headers>),
    BasicAuth(BasicAuth),
    ForwardAuth(ForwardAuth),
    RateLimit(RateLimit),
    InFlightReq(InFlightReq),
    Retry(Retry),
    CircuitBreaker(CircuitBreaker),
    Compress(Compress),
    IpAllowList(IpAllowList),
    /// The older name.
    IpWhiteList(IpAllowList),
    Buffering(Buffering),
    Chain(Chain),
    Errors(Box<Errors>),
    /// Sets a header for servers; clients cannot set it either.
    #[serde(rename = "passTLSClientCert")]
    PassTlsClientCert(IgnoredAny),
    /// Content types are passed on as servers send them.
    ContentType(IgnoredAny),
    GrpcWeb(IgnoredAny),
}

macro_rules! spec {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
            pub(crate) struct $name {
                $($(#[$attribute])* pub(crate) $field: $type,)*
            }
        )*
    };
}

spec! {
    StripPrefix { prefixes: Vec<String>, force_slash: Option<bool>, }
    StripPrefixRegex { regex: Vec<String>, }
    AddPrefix { prefix: String, }
    ReplacePath { path: String, }
    ReplacePathRegex { regex: String, replacement: String, }
    RedirectScheme { scheme: String, port: String, permanent: bool, }
    RedirectRegex { regex: String, replacement: String, permanent: bool, }
    BasicAuth { secret: String, realm: String, remove_header: bool, header_field: String, }
    ForwardAuth {
        address: String,
        trust_forward_header: bool,
        auth_response_headers: Vec<String>,
        auth_response_headers_regex: String,
        auth_request_headers: Vec<String>,
        tls: Ignored,
        add_auth_cookies_to_response: Ignored,
        #[serde(rename = "authSigninURL")] auth_signin_url: Ignored,
        max_response_body_size: Ignored,
        /// Limits bodies that are sent to the other server, and none are.
        #[serde(rename = "maxBodySize")] _max_body_size: Ignored,
        /// For the access log.
        #[serde(rename = "headerField")] _header_field: Ignored,
        /// It is always preserved.
        #[serde(rename = "preserveLocationHeader")] _preserve_location_header: Ignored,
    }
    IpStrategy {
        depth: u32,
        #[serde(rename = "excludedIPs")] excluded_ips: Vec<String>,
        #[serde(rename = "ipv6Subnet")] ipv6_subnet: Ignored,
    }
    SourceCriterion { ip_strategy: Option<IpStrategy>, request_header_name: String, request_host: bool, }
    RateLimit {
        average: u64,
        period: Option<NumberOrText>,
        burst: Option<u64>,
        source_criterion: Option<SourceCriterion>,
        redis: Ignored,
    }
    InFlightReq { amount: u64, source_criterion: Option<SourceCriterion>, }
    Retry {
        attempts: u32,
        initial_interval: Option<NumberOrText>,
        timeout: Ignored,
        status: Ignored,
        max_request_body_bytes: Ignored,
        retry_non_idempotent_method: bool,
        disable_retry_on_network_error: bool,
    }
    CircuitBreaker {
        expression: String,
        check_period: Option<NumberOrText>,
        fallback_duration: Option<NumberOrText>,
        recovery_duration: Option<NumberOrText>,
        response_code: Option<u16>,
    }
    Compress {
        excluded_content_types: Vec<String>,
        included_content_types: Vec<String>,
        min_response_body_bytes: u32,
        encodings: Vec<String>,
        default_encoding: String,
    }
    IpAllowList {
        source_range: Vec<String>,
        ip_strategy: Option<IpStrategy>,
        reject_status_code: Option<u16>,
    }
    Buffering {
        max_request_body_bytes: u64,
        max_response_body_bytes: u64,
        /// Bodies are held in memory up to the limit; there is no file to spill into.
        mem_request_body_bytes: u64,
        mem_response_body_bytes: u64,
        retry_expression: Ignored,
    }
    Chain { middlewares: Vec<Reference>, }
    Errors {
        status: Vec<String>,
        service: Option<Service>,
        query: String,
        status_rewrites: Ignored,
        error_request_headers: Ignored,
    }
    Headers {
        custom_request_headers: BTreeMap<String, String>,
        custom_response_headers: BTreeMap<String, String>,
        access_control_allow_credentials: bool,
        access_control_allow_headers: Vec<String>,
        access_control_allow_methods: Vec<String>,
        access_control_allow_origin_list: Vec<String>,
        access_control_allow_origin_list_regex: Vec<String>,
        access_control_expose_headers: Vec<String>,
        access_control_max_age: u64,
        add_vary_header: bool,
        allowed_hosts: Vec<String>,
        hosts_proxy_headers: Ignored,
        ssl_proxy_headers: Ignored,
        is_development: bool,
        public_key: String,
        feature_policy: Ignored,
        ssl_redirect: Ignored,
        ssl_temporary_redirect: Ignored,
        ssl_host: Ignored,
        ssl_force_host: Ignored,
        sts_seconds: u64,
        sts_include_subdomains: bool,
        sts_preload: bool,
        #[serde(rename = "forceSTSHeader")] force_sts_header: bool,
        frame_deny: bool,
        custom_frame_options_value: String,
        content_type_nosniff: bool,
        browser_xss_filter: bool,
        #[serde(rename = "customBrowserXSSValue")] custom_browser_xss_value: String,
        content_security_policy: String,
        content_security_policy_report_only: String,
        referrer_policy: String,
        permissions_policy: String,
    }
}
