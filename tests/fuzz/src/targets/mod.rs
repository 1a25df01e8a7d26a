//! The targets, one function each.

mod bodies;
mod dns;
mod images;
mod ingress;
mod kinds;
mod patches;
mod selectors;
mod streams;
mod texts;

pub use bodies::{json_body, protobuf_body, yaml_body};
pub use dns::dns_message;
pub use images::{image_archive, image_reference, layer};
pub use ingress::{ingress_objects, router_rule};
pub use kinds::{cel_expression, cron_schedule, json_path};
pub use patches::{json_patch, merge_patch, strategic_patch};
pub use selectors::{field_selector, label_selector};
pub use streams::{spdy_frames, websocket_frames};
pub use texts::{duration, quantity};

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of the function, of the program and of the folder of samples.
    pub name: &'static str,
    /// Panics where a property does not hold.
    pub run: fn(&[u8]),
    /// Inputs that are made of its samples in a test: fewer where each writes files.
    pub mutations: usize,
}

macro_rules! targets {
    ($($name:ident: $mutations:expr),* $(,)?) => {
        /// All of them.
        pub const ALL: &[Target] = &[
            $(Target { name: stringify!($name), run: $name, mutations: $mutations }),*
        ];
    };
}

targets! {
    cel_expression: 3000,
    cron_schedule: 3000,
    dns_message: 5000,
    duration: 5000,
    field_selector: 5000,
    image_archive: 500,
    image_reference: 5000,
    ingress_objects: 500,
    json_body: 3000,
    json_patch: 3000,
    json_path: 3000,
    label_selector: 5000,
    layer: 500,
    merge_patch: 3000,
    protobuf_body: 5000,
    quantity: 5000,
    router_rule: 3000,
    spdy_frames: 3000,
    strategic_patch: 3000,
    websocket_frames: 3000,
    yaml_body: 2000,
}
