//! The kinds that decisions are made on, and the fields they need.

use k3s_plugin_sdk::ingress::Kind;

const NETWORKING: &str = "networking.k8s.io";

pub(crate) static INGRESS: Kind = Kind::new(NETWORKING, "v1", "ingresses", "Ingress")
    .fields(&["metadata.annotations", "spec"])
    .routed();
pub(crate) static INGRESS_CLASS: Kind =
    Kind::new(NETWORKING, "v1", "ingressclasses", "IngressClass")
        .fields(&["metadata.annotations", "spec.controller"])
        .cluster_scoped();
pub(crate) static SERVICE: Kind = Kind::new("", "v1", "services", "Service").fields(&[
    "metadata.annotations",
    "spec.ports",
    "spec.type",
    "spec.externalName",
]);
pub(crate) static INGRESS_ROUTE: Kind = custom("ingressroutes", "IngressRoute").routed();
pub(crate) static INGRESS_ROUTE_TCP: Kind = custom("ingressroutetcps", "IngressRouteTCP").routed();
pub(crate) static MIDDLEWARE: Kind = custom("middlewares", "Middleware");
pub(crate) static TRAEFIK_SERVICE: Kind = custom("traefikservices", "TraefikService");
pub(crate) static TLS_OPTION: Kind = custom("tlsoptions", "TLSOption");
pub(crate) static SERVERS_TRANSPORT: Kind = custom("serverstransports", "ServersTransport");
pub(crate) static TLS_STORE: Kind = custom("tlsstores", "TLSStore").routed();
/// Kinds whose objects get a report that nothing follows from them.
pub(crate) static INGRESS_ROUTE_UDP: Kind = unsupported("ingressrouteudps", "IngressRouteUDP");
pub(crate) static MIDDLEWARE_TCP: Kind = unsupported("middlewaretcps", "MiddlewareTCP");
pub(crate) static SERVERS_TRANSPORT_TCP: Kind =
    unsupported("serverstransporttcps", "ServersTransportTCP");

/// All of them.
pub(crate) const ALL: &[&Kind] = &[
    &INGRESS,
    &INGRESS_CLASS,
    &SERVICE,
    &INGRESS_ROUTE,
    &INGRESS_ROUTE_TCP,
    &MIDDLEWARE,
    &TRAEFIK_SERVICE,
    &TLS_OPTION,
    &SERVERS_TRANSPORT,
    &TLS_STORE,
    &INGRESS_ROUTE_UDP,
    &MIDDLEWARE_TCP,
    &SERVERS_TRANSPORT_TCP,
];

const fn unsupported(plural: &'static str, name: &'static str) -> Kind {
    Kind::new("traefik.io", "v1alpha1", plural, name)
        .optional()
        .routed()
}

/// One of Traefik's own kinds, whose definitions the cluster may lack.
const fn custom(plural: &'static str, name: &'static str) -> Kind {
    Kind::new("traefik.io", "v1alpha1", plural, name)
        .fields(&["metadata.annotations", "spec"])
        .optional()
}
