//! Which kinds the host should pass, and which of their fields.

use crate::key::Kind;
use crate::wit::Interest;

/// Version, plural, whether namespaced, whether optional, fields.
type Row = (
    &'static str,
    &'static str,
    bool,
    bool,
    &'static [&'static str],
);

fn custom(plural: &'static str) -> Row {
    (
        "v1alpha1",
        plural,
        true,
        true,
        &["metadata.annotations", "spec"],
    )
}

/// Group and kind are [`Kind`]'s; here are version, plural, scope and fields.
pub(crate) fn all() -> Vec<Interest> {
    Kind::ALL.iter().map(|kind| interest(*kind)).collect()
}

fn interest(kind: Kind) -> Interest {
    let (version, plural, namespaced, optional, fields): Row = match kind {
        Kind::Ingress => (
            "v1",
            "ingresses",
            true,
            false,
            &["metadata.annotations", "spec"],
        ),
        Kind::IngressClass => (
            "v1",
            "ingressclasses",
            false,
            false,
            &["metadata.annotations", "spec.controller"],
        ),
        Kind::Service => (
            "v1",
            "services",
            true,
            false,
            &[
                "metadata.annotations",
                "spec.ports",
                "spec.type",
                "spec.externalName",
            ],
        ),
        Kind::IngressRoute => custom("ingressroutes"),
        Kind::IngressRouteTcp => custom("ingressroutetcps"),
        Kind::Middleware => custom("middlewares"),
        Kind::TraefikService => custom("traefikservices"),
        Kind::TlsOption => custom("tlsoptions"),
        Kind::ServersTransport => custom("serverstransports"),
    };
    Interest {
        group: kind.group().to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        kind: kind.name().to_owned(),
        namespaced,
        optional,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    }
}
