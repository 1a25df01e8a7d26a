//! Traefik's kinds as CustomResourceDefinitions.
//!
//! Schemas say the types of what is known and keep what is not: the plugin refuses unknown fields by
//! name on the object, which says more than a field that silently disappears.

use k3s_client::Resource;
use k3s_meta::tree;
use serde_json::{Value, json};

/// `customresourcedefinitions.apiextensions.k8s.io`.
pub(crate) const DEFINITIONS: Resource = k3s_client::resources::CUSTOM_RESOURCE_DEFINITIONS;
const GROUP: &str = "traefik.io";

/// Whether a definition is in force.
pub(crate) fn is_established(definition: &Value) -> bool {
    tree::list(definition, "status.conditions")
        .iter()
        .filter(|c| c.get("type").is_some_and(|t| t == "Established"))
        .any(|c| c.get("status").is_some_and(|s| s == "True"))
}

/// All of them.
pub(crate) fn all() -> Vec<Value> {
    let kinds = [
        ("ingressroutes", "IngressRoute", ingress_route()),
        ("ingressroutetcps", "IngressRouteTCP", ingress_route_tcp()),
        ("middlewares", "Middleware", middleware()),
        ("traefikservices", "TraefikService", traefik_service()),
        ("tlsoptions", "TLSOption", tls_option()),
        ("serverstransports", "ServersTransport", servers_transport()),
        ("tlsstores", "TLSStore", tls_store()),
        // The plugin tells authors that these have no effect.
        ("ingressrouteudps", "IngressRouteUDP", json!({})),
        ("middlewaretcps", "MiddlewareTCP", json!({})),
        ("serverstransporttcps", "ServersTransportTCP", json!({})),
    ];
    kinds
        .iter()
        .map(|(plural, kind, properties)| definition(plural, kind, properties))
        .collect()
}

fn ingress_route() -> Value {
    json!({
        "entryPoints": texts(),
        "routes": list(route()),
        "tls": object(json!({"secretName": text(), "options": reference()})),
    })
}

fn ingress_route_tcp() -> Value {
    json!({
        "entryPoints": texts(),
        "routes": list(json!({"type": "object", KEEP: true, "required": ["match"], "properties": {
            "match": text(), "priority": number(), "services": list(service()), "middlewares": list(reference()),
        }})),
        "tls": object(json!({"secretName": text(), "passthrough": switch(), "options": reference()})),
    })
}

fn middleware() -> Value {
    let source_ranges = single("sourceRange", texts());
    let rewrite = object(json!({"regex": text(), "replacement": text()}));
    json!({
        "addPrefix": single("prefix", text()),
        "stripPrefix": single("prefixes", texts()),
        "stripPrefixRegex": single("regex", texts()),
        "replacePath": single("path", text()),
        "replacePathRegex": rewrite,
        "redirectScheme": object(json!({"scheme": text(), "port": text(), "permanent": switch()})),
        "redirectRegex": object(json!({"regex": text(), "replacement": text(), "permanent": switch()})),
        "headers": object(json!({"customRequestHeaders": map(), "customResponseHeaders": map()})),
        "basicAuth": object(json!({"secret": text(), "realm": text(), "removeHeader": switch(), "headerField": text()})),
        "forwardAuth": object(json!({"address": text(), "authResponseHeaders": texts(), "authRequestHeaders": texts()})),
        "rateLimit": object(json!({"average": number(), "burst": number(), "period": either()})),
        "inFlightReq": single("amount", number()),
        "retry": object(json!({"attempts": number(), "initialInterval": either()})),
        "circuitBreaker": single("expression", text()),
        "compress": object(json!({"excludedContentTypes": texts(), "minResponseBodyBytes": number()})),
        "ipAllowList": source_ranges,
        "ipWhiteList": source_ranges,
        "buffering": object(json!({"maxRequestBodyBytes": number(), "maxResponseBodyBytes": number()})),
        "chain": single("middlewares", list(reference())),
        "errors": object(json!({"status": texts(), "query": text(), "service": service()})),
    })
}

fn traefik_service() -> Value {
    let services = single("services", list(service()));
    json!({"weighted": services, "highestRandomWeight": services, "mirroring": service()})
}

fn tls_option() -> Value {
    json!({
        "minVersion": text(),
        "maxVersion": text(),
        "cipherSuites": texts(),
        "alpnProtocols": texts(),
        "sniStrict": switch(),
        "clientAuth": object(json!({"secretNames": texts(), "clientAuthType": text()})),
    })
}

fn servers_transport() -> Value {
    json!({
        "serverName": text(),
        "insecureSkipVerify": switch(),
        "rootCAsSecrets": texts(),
        "certificatesSecrets": texts(),
        "maxIdleConnsPerHost": number(),
    })
}

fn tls_store() -> Value {
    let certificate = single("secretName", text());
    json!({"defaultCertificate": certificate, "certificates": list(certificate)})
}

/// Fields that are not described are kept.
const KEEP: &str = "x-kubernetes-preserve-unknown-fields";

fn definition(plural: &str, kind: &str, properties: &Value) -> Value {
    let singular = kind.to_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}"), "labels": {"app.kubernetes.io/managed-by": "k3s-ingress"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular},
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["metadata", "spec"], "properties": {
                    "apiVersion": text(), "kind": text(), "metadata": {"type": "object"}, "spec": object(properties.clone()),
                }}},
            }],
        },
    })
}

fn object(properties: Value) -> Value {
    json!({"type": "object", KEEP: true, "properties": properties})
}

/// An object with one field.
fn single(field: &str, schema: Value) -> Value {
    object(json!({field: schema}))
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    list(text())
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn switch() -> Value {
    json!({"type": "boolean"})
}

fn either() -> Value {
    json!({"x-kubernetes-int-or-string": true})
}

fn map() -> Value {
    json!({"type": "object", "additionalProperties": text()})
}

fn reference() -> Value {
    json!({"type": "object", KEEP: true, "required": ["name"], "properties": {"name": text(), "namespace": text()}})
}

fn service() -> Value {
    json!({"type": "object", KEEP: true, "required": ["name"], "properties": {
        "name": text(), "namespace": text(), "kind": text(), "port": either(), "scheme": text(), "weight": number(),
        "passHostHeader": switch(), "serversTransport": text(), "strategy": text(),
    }})
}

fn route() -> Value {
    json!({"type": "object", KEEP: true, "required": ["match"], "properties": {
        "match": text(), "kind": text(), "priority": number(), "services": list(service()), "middlewares": list(reference()),
    }})
}
