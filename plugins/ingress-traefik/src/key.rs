//! What names an object.

use crate::wit::ObjectKey;

/// The kinds that are decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Ingress,
    IngressClass,
    Service,
    IngressRoute,
    IngressRouteTcp,
    Middleware,
    TraefikService,
    TlsOption,
    ServersTransport,
}

/// Kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Ingress,
        Self::IngressClass,
        Self::Service,
        Self::IngressRoute,
        Self::IngressRouteTcp,
        Self::Middleware,
        Self::TraefikService,
        Self::TlsOption,
        Self::ServersTransport,
    ];

    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Ingress | Self::IngressClass => "networking.k8s.io",
            Self::Service => "",
            _ => "traefik.io",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Service => "Service",
            Self::IngressRoute => "IngressRoute",
            Self::IngressRouteTcp => "IngressRouteTCP",
            Self::Middleware => "Middleware",
            Self::TraefikService => "TraefikService",
            Self::TlsOption => "TLSOption",
            Self::ServersTransport => "ServersTransport",
        }
    }

    /// Routes follow from it, rather than from others that name it.
    pub(crate) fn is_routed(self) -> bool {
        matches!(
            self,
            Self::Ingress | Self::IngressRoute | Self::IngressRouteTcp
        )
    }
}

impl Key {
    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// None for kinds that were not asked for.
    pub(crate) fn read(key: &ObjectKey) -> Option<Self> {
        let kind = Kind::ALL
            .iter()
            .find(|k| k.group() == key.group && k.name() == key.kind)?;
        Some(Self::new(*kind, &key.namespace, &key.name))
    }

    pub(crate) fn to_wit(&self) -> ObjectKey {
        ObjectKey {
            group: self.kind.group().to_owned(),
            kind: self.kind.name().to_owned(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}
