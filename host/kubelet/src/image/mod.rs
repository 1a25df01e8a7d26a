//! Having a container's image on the node, and removing images that nothing uses.

mod credentials;
pub(crate) mod error;
pub(crate) mod gc;
pub(crate) mod manager;
pub(crate) mod records;
