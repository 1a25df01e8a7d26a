//! The specs of Traefik's routes and services.

use k3s_plugin_sdk::serde_json::{Map, Value};
use serde::Deserialize;

use super::middleware_types::Ignored;
use super::values::NumberOrText;
use crate::objects::Meta;

/// An object of one of Traefik's kinds.
#[derive(Debug, Deserialize)]
pub(crate) struct Custom<S> {
    #[serde(default)]
    pub(crate) metadata: Meta,
    pub(crate) spec: S,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IngressRoute {
    pub(crate) ingress_class_name: Option<String>,
    #[serde(default)]
    pub(crate) entry_points: Vec<String>,
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) r#match: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default)]
    pub(crate) syntax: String,
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    #[serde(default)]
    pub(crate) middlewares: Vec<Reference>,
    /// What is shown of requests; nothing here.
    pub(crate) observability: Option<serde::de::IgnoredAny>,
}

/// Which kind of object names another. `allowCrossNamespace` is a setting of Traefik's own kinds; annotations of an
/// Ingress or Service name objects of every namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Ingress,
    Custom,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tls {
    #[serde(default)]
    pub(crate) secret_name: String,
    pub(crate) options: Option<Reference>,
    pub(crate) cert_resolver: Option<String>,
    pub(crate) domains: Option<serde::de::IgnoredAny>,
    pub(crate) store: Option<serde::de::IgnoredAny>,
    /// Connections only.
    #[serde(default)]
    pub(crate) passthrough: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) port: Option<NumberOrText>,
    #[serde(default)]
    pub(crate) scheme: String,
    pub(crate) weight: Option<u32>,
    pub(crate) pass_host_header: Option<bool>,
    pub(crate) sticky: Option<Sticky>,
    #[serde(default)]
    pub(crate) servers_transport: String,
    #[serde(default)]
    pub(crate) strategy: String,
    pub(crate) health_check: Ignored,
    pub(crate) passive_health_check: Ignored,
    /// Answers are always flushed as they come.
    #[serde(default, rename = "responseForwarding")]
    pub(crate) _response_forwarding: Option<ResponseForwarding>,
    /// Requests always go to endpoints.
    #[serde(default, rename = "nativeLB")]
    pub(crate) _native_lb: Option<bool>,
    #[serde(default, rename = "nodePortLB")]
    pub(crate) _node_port_lb: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseForwarding {
    #[serde(default, rename = "flushInterval")]
    pub(crate) _flush_interval: Option<NumberOrText>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sticky {
    pub(crate) cookie: Option<StickyCookie>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StickyCookie {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) secure: bool,
    #[serde(default)]
    pub(crate) http_only: bool,
    #[serde(default)]
    pub(crate) same_site: String,
    pub(crate) max_age: Option<i32>,
    pub(crate) path: Option<String>,
    pub(crate) domain: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TraefikService {
    pub(crate) weighted: Option<Weighted>,
    pub(crate) highest_random_weight: Option<HighestRandomWeight>,
    /// A [`Service`] whose requests others get copies of.
    pub(crate) mirroring: Option<Map<String, Value>>,
}

/// Its clients are spread by address instead of by weight alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HighestRandomWeight {
    #[serde(default)]
    pub(crate) services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weighted {
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    pub(crate) sticky: Option<Sticky>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IngressRouteTcp {
    pub(crate) ingress_class_name: Option<String>,
    #[serde(default)]
    pub(crate) entry_points: Vec<String>,
    #[serde(default)]
    pub(crate) routes: Vec<RouteTcp>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RouteTcp {
    pub(crate) r#match: String,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default)]
    pub(crate) syntax: String,
    #[serde(default)]
    pub(crate) services: Vec<ServiceTcp>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServiceTcp {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: String,
    pub(crate) port: NumberOrText,
    pub(crate) weight: Option<u32>,
    #[serde(default, rename = "nativeLB")]
    pub(crate) _native_lb: bool,
    #[serde(default, rename = "nodePortLB")]
    pub(crate) _node_port_lb: bool,
}
