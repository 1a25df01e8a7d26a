//! Hosts WebAssembly components as supervised neighbours: loads them by digest, checks what they
//! import and export, bounds what they may use, and restarts them when they fail. It knows no kind
//! of plugin; an adapter brings the bindings, the capabilities and the meaning.
//!
//! How an adapter uses it:
//!
//! 1. One [`Host`] per process ([`Host::new`]): engine, compiled-code cache, epoch ticker.
//! 2. [`Host::load`] a [`Source`] against a [`Contract`] → [`Loaded`]: digest, imports, exports checked.
//! 3. A `Linker<PluginState<T>>` from [`Host::linker`] (log, clock and random are in it already), to
//!    which it adds its capabilities; `T` is what these need per instance.
//! 4. [`Plugin::new`] with [`PluginSpec`]; then [`Plugin::call`] from a blocking thread. Calls of one
//!    `Plugin` run one at a time; for parallel calls make several of the same [`Loaded`].
//!
//! What the operator grants beyond the kind's capabilities comes with [`Host::granting`]. Every plugin
//! shows in [`Host::status`] by itself. To replace a running one, make the new one with
//! [`Host::candidate`], try it, and [`Plugin::adopt`] it when it takes over.
//!
//! Host functions that block wrap that in [`PluginState::outside`], so that the time is not held
//! against the guest. After a trap the instance is gone; the next call starts a fresh one, so nothing
//! may be kept in a guest that cannot be had again.
//!
//! Bounds: [`Limits`] for an instance, [`Policy`] for restarts, [`Source::LIMIT_BYTES`] for a file.
//!
//! Tasks: none. One thread, `plugin-epoch`, which sleeps while no guest runs.
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
mod cause;
mod contract;
mod describe;
mod digest;
mod engine;
mod error;
mod format;
mod grants;
mod hostfns;
mod limits;
mod log_rate;
mod metrics;
mod plugin;
mod precompiled;
mod state;
mod supervise;
mod table;
mod ticker;
mod wasi;

pub use contract::{Contract, InterfaceId, Need};
pub use describe::Description;
pub use digest::Digest;
pub use engine::{Host, HostOptions, Inspection, Loaded, Source, compile_for_baseline};
pub use error::{CacheError, CallError, ComponentError, LoadError, Refused};
pub use format::componentize;
pub use grants::Grants;
pub use limits::Limits;
pub use metrics::PluginMetrics;
pub use plugin::{Plugin, PluginSpec};
pub use state::PluginState;
pub use supervise::{Health, Policy};
pub use table::PluginStatus;
