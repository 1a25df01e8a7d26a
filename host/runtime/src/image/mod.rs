//! Images: from archives and registries into unpacked layers that containers are started from.

pub(crate) mod archive;
pub(crate) mod artifact;
mod content;
pub(crate) mod error;
mod layer;
pub(crate) mod model;
pub(crate) mod pull;
pub(crate) mod reference;
pub(crate) mod registries;
mod registry;
mod room;
pub(crate) mod snapshots;
pub(crate) mod store;
mod tarball;
pub(crate) mod unpack;
pub(crate) mod watch;

pub use archive::count_images;
pub use layer::unpack_layer;
