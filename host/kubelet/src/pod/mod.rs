//! A pod's life on the node.
//!
//! Decisions without I/O: `admit.rs` (may it run here), `state.rs` (which sync function comes next),
//! `plan.rs` (which action), `restarts.rs` (what is stopped to be started again), `allocation.rs`, `resize.rs`
//! and `sizes.rs` (resources that change while the pod runs), `status.rs` and `conditions.rs` (what the API
//! shows). `manager.rs` follows the pods' sources, `resizer.rs` decides about resizes, `workers.rs` starts a
//! `worker.rs` for each pod, which drives `sync/`; `perform/` acts on the runtime, `publish.rs` and `writer.rs`
//! report. `handle.rs` is all that other parts of the node see of a pod.

mod admit;
mod allocation;
pub(crate) mod burstable;
mod conditions;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod housekeeping;
mod inputs;
pub(crate) mod lifecycle_events;
pub(crate) mod manager;
mod message;
pub(crate) mod perform;
pub(crate) mod plan;
mod publish;
mod resize;
mod resizer;
mod restarts;
mod sizes;
mod state;
pub(crate) mod static_pods;
mod status;
mod sync;
pub(crate) mod table;
mod worker;
pub(crate) mod workers;
mod writer;
