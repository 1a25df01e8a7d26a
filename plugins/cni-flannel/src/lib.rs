//! The bundled pod network, compatible with flannel: a bridge per node, addresses from the node's pod
//! CIDR, and VXLAN or plain routes between nodes.
//!
//! This component only writes plans; the host makes them true. [`node`] plans what a node needs,
//! [`pod`] what a pod needs, [`overlay`] how to reach other nodes, [`hostports`] and [`masquerade`] the
//! packet filter. Those are pure. [`flannel`] implements the contract with them.
//!
//! Names, VXLAN id, port and annotations are flannel's, so that nodes of both kinds form one network.
//! Not supported yet: WireGuard, IPv6. The host enforces bandwidth limits.
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
mod hostports;
mod masquerade;
mod node;
mod overlay;
mod pod;
mod rules;

k3s_plugin_sdk::export_cni!(flannel::Flannel);
