//! The tower services below `kube::Client`: a function call in the server's process, HTTPS outside.

pub(crate) mod credentials;
pub(crate) mod https;
pub(crate) mod in_process;
mod reload;

pub(crate) use reload::{Loaded, Reload};
