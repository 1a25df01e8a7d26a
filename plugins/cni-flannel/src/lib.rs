//! The bundled pod network, compatible with flannel: a bridge per node, addresses from the node's pod
//! CIDR, and VXLAN or plain routes between nodes.
//!
//! This component only writes plans; the host makes them true. [`node`] plans what a node needs,
//! [`pod`] what a pod needs, [`overlay`] how to reach the others, [`hostports`] and [`masquerade`] the
//! packet filter. Those are pure. [`flannel`] carries out the contract's functions on [`host::Host`],
//! and `guest` binds both to the component's exports and imports.
//!
//! Names, VXLAN id, port and annotations are flannel's, so that nodes of both kinds make one network.
//! Not offered yet: WireGuard, IPv6. Bandwidth limits are the host's.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "the exports that use it all exist on wasm only")
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod config;
mod flannel;
mod host;
mod hostports;
mod masquerade;
mod node;
mod overlay;
mod pod;
mod rules;

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/net", "../../wit/ipam", "../../wit/cni"],
        world: "k3s:cni/cni",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod guest;
