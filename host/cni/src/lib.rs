//! The Container Network Interface, from both of its sides.
//!
//! [`ForeignNetwork`] is the runtime's side: with `--flannel-backend=none` it calls the CNI plugins that a
//! conflist names, so that any pod network can be installed. [`serve`] and [`plugin_main`] are the plugin's
//! side: a foreign container runtime calls this executable as a CNI plugin, which forwards to the pod
//! network of the running server over a socket that only root may use.
//!
//! Follows the specification 1.1 (and 0.3 to 1.0, which plugins still use) and, where it leaves things
//! open, libcni: the choice of the configuration, the cache of results, the arguments of Kubernetes.
//!
//! Tasks owned: one that watches the folders of conflists, one that serves the socket and one per caller.
//! Bounds: a plugin's output, its time, callers of the socket, and their messages.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod cache;
mod capabilities;
mod conflist;
mod exec;
mod foreign;
mod forward;
mod install;
mod plugin;
mod result;
mod watch;

pub use foreign::{ForeignNetwork, ForeignOptions};
pub use forward::{ServeError, serve};
pub use install::{InstallError, InstallPaths, install, uninstall};
pub use plugin::{is_plugin_invocation, plugin_main};
