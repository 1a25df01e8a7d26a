//! The bundled ingress controller: Ingress objects and Traefik's custom resources into routes.
//!
//! This component only decides; the host's data plane serves. [`state`] keeps the objects and knows what
//! must be decided anew; [`ingress`] decides on Ingress v1 with Traefik's annotations, [`crd`] on
//! Traefik's own kinds. All of it is pure and tested natively; `guest` binds it to the exports.
//!
//! What an object asks for and this cannot do is a diagnostic on that object. Where leaving it out would
//! let in requests that the author meant to keep out, the object gets no routes.
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

mod annotations;
mod class;
mod config;
mod crd;
mod ingress;
mod interests;
mod key;
mod objects;
mod outcome;
mod priority;
mod service;
mod state;
#[cfg(test)]
mod tests;

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
        path: ["../../wit/common", "../../wit/host", "../../wit/ingress"],
        world: "k3s:ingress/ingress",
        generate_all,
        additional_derives: [PartialEq],
    });
}

/// The contract's records: what this component decides in.
use bindings::exports::k3s::ingress::routing as wit;

#[cfg(target_arch = "wasm32")]
mod guest;
