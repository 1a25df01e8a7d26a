//! A pod's volumes on the node: made before its containers, kept up to date while it runs, removed
//! after it. Directories as upstream: `pods/<uid>/volumes/kubernetes.io~<kind>/<name>`.

pub(crate) mod atomic;
mod claim;
pub(crate) mod context;
mod error;
mod hostpath;
pub(crate) mod manager;
mod payload;
pub(crate) mod pod;
mod token;

pub(crate) use error::VolumeError;
