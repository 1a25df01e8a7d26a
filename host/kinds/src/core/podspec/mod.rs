//! Rules for pod specs and pod templates, shared by pods and by every kind that makes pods.

pub mod amounts;
pub(crate) mod defaults;
pub(crate) mod image;
pub(crate) mod validation;
pub(crate) mod volume_defaults;
pub(crate) mod warnings;
