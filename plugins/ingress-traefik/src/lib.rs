//! The bundled ingress controller: Ingress objects and Traefik's custom resources into routes.
//!
//! This component only decides; the host's data plane serves. [`ingress`] decides on Ingress v1 with
//! Traefik's annotations, [`crd`] on Traefik's own kinds; [`traefik`] implements the contract with them. All
//! of it is pure.
//!
//! A request of an object that this plugin does not support leads to a diagnostic on that object. If
//! ignoring the request would let traffic in that the author meant to keep out, the object gets no routes.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod annotations;
mod class;
mod config;
mod crd;
#[cfg(test)]
mod hostile_tests;
mod ingress;
mod kinds;
mod objects;
mod outcome;
mod priority;
mod service;
#[cfg(test)]
mod tests;
mod traefik;
mod view;

/// The contract's records, in which this component decides.
use k3s_plugin_sdk::ingress::contract as wit;

pub use config::Config;
pub use traefik::Traefik;

k3s_plugin_sdk::export_ingress!(Traefik);
