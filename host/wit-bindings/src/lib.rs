//! Host bindings of the contracts in `wit/`: the only crate that expands them.
//!
//! One module per package version. A package that others use ([`common`], [`feed`], [`host`], [`sql`]) is
//! expanded once; the worlds of plugin kinds refer to it with `with:`, so that one host implementation and
//! one set of types serve every kind. A kind with two tracks ([`ingress`], [`load_balancer`]) has a type
//! that calls a component of either. To add a kind: a folder in `wit/` and a module here like
//! [`datastore`].
//!
//! All host functions are `trappable`: a bad handle is the guest's fault and traps it.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "expanded code"
)]

pub mod ingress;
pub mod load_balancer;
mod released;

/// `k3s:common@0.1.0`: what every plugin exports.
pub mod common {
    wasmtime::component::bindgen!({
        path: ["../../wit/common"],
        world: "k3s:common/any-plugin",
    });
}

/// `k3s:common/feed@0.1.0`: interests and objects. Keys are ordered and hashable, so maps need no twin of
/// them.
pub mod feed {
    wasmtime::component::bindgen!({
        path: ["../../wit/common"],
        world: "k3s:common/fed-plugin",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord, Hash],
    });
}

/// `k3s:host@0.1.0`: log, clock, random.
pub mod host {
    wasmtime::component::bindgen!({
        path: ["../../wit/host"],
        world: "k3s:host/imports",
        imports: { default: trappable },
    });
}

/// `k3s:sql@0.1.0`. The resources are the host's own types, see [`sql::Database`] and the others.
pub mod sql {
    use std::any::Any;

    /// What a handle stands for. The types are opaque here, as only the adapter that implements SQL
    /// knows what a connection is; it boxes its own type.
    pub struct Database(pub Box<dyn Any + Send>);
    /// See [`Database`].
    pub struct Statement(pub Box<dyn Any + Send>);
    /// See [`Database`].
    pub struct Transaction(pub Box<dyn Any + Send>);

    wasmtime::component::bindgen!({
        path: ["../../wit/sql"],
        world: "k3s:sql/imports",
        imports: { default: trappable },
        with: {
            "k3s:sql/sql.database": Database,
            "k3s:sql/sql.statement": Statement,
            "k3s:sql/sql.transaction": Transaction,
        },
    });
}

/// `k3s:datastore@0.1.0`.
pub mod datastore {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/sql", "../../wit/datastore"],
        world: "k3s:datastore/datastore",
        imports: { default: trappable },
        with: {
            "k3s:host/log@0.1.0": crate::host::k3s::host::log,
            "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
            "k3s:host/random@0.1.0": crate::host::k3s::host::random,
            "k3s:sql/sql@0.1.0": crate::sql::k3s::sql::sql,
        },
    });
}

/// `k3s:net@0.1.0`: the node's network as owned plans.
pub mod net {
    wasmtime::component::bindgen!({
        path: ["../../wit/net"],
        world: "k3s:net/imports",
        imports: { default: trappable },
    });
}

/// `k3s:ipam@0.1.0`: addresses from a range.
pub mod ipam {
    wasmtime::component::bindgen!({
        path: ["../../wit/ipam"],
        world: "k3s:ipam/imports",
        imports: { default: trappable },
    });
}

/// `k3s:cni@0.1.0`.
pub mod cni {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/net", "../../wit/ipam", "../../wit/cni"],
        world: "k3s:cni/cni",
        imports: { default: trappable },
        with: {
            "k3s:host/log@0.1.0": crate::host::k3s::host::log,
            "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
            "k3s:host/random@0.1.0": crate::host::k3s::host::random,
            "k3s:net/net@0.1.0": crate::net::k3s::net::net,
            "k3s:ipam/ipam@0.1.0": crate::ipam::k3s::ipam::ipam,
        },
    });
}

/// `k3s:volumes@0.1.0`: directories below granted roots.
pub mod volumes {
    wasmtime::component::bindgen!({
        path: ["../../wit/volumes"],
        world: "k3s:volumes/imports",
        imports: { default: trappable },
    });
}

/// `k3s:storage@0.1.0`.
pub mod storage {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/volumes", "../../wit/storage"],
        world: "k3s:storage/storage",
        imports: { default: trappable },
        with: {
            "k3s:host/log@0.1.0": crate::host::k3s::host::log,
            "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
            "k3s:host/random@0.1.0": crate::host::k3s::host::random,
            "k3s:volumes/directories@0.1.0": crate::volumes::k3s::volumes::directories,
        },
    });
}

/// `k3s:load-balancer@0.2.0`; [`load_balancer`] has it together with 0.1.
mod load_balancer_0_2 {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/load-balancer-0.2"],
        world: "k3s:load-balancer/load-balancer",
        imports: { default: trappable },
        additional_derives: [PartialEq, Eq],
        with: {
            "k3s:common/plugin@0.1.0": crate::common::exports::k3s::common::plugin,
            "k3s:common/feed@0.1.0": crate::feed::exports::k3s::common::feed,
            "k3s:host/log@0.1.0": crate::host::k3s::host::log,
            "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
            "k3s:host/random@0.1.0": crate::host::k3s::host::random,
        },
    });
}

/// `k3s:ingress@0.2.0`; [`ingress`] has it together with 0.1. Its records are also the model of the data
/// plane, hence comparable.
mod ingress_0_2 {
    wasmtime::component::bindgen!({
        path: ["../../wit/common", "../../wit/host", "../../wit/ingress-0.2"],
        world: "k3s:ingress/ingress",
        imports: { default: trappable },
        additional_derives: [PartialEq],
        with: {
            "k3s:common/plugin@0.1.0": crate::common::exports::k3s::common::plugin,
            "k3s:common/feed@0.1.0": crate::feed::exports::k3s::common::feed,
            "k3s:host/log@0.1.0": crate::host::k3s::host::log,
            "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
            "k3s:host/random@0.1.0": crate::host::k3s::host::random,
        },
    });
}
