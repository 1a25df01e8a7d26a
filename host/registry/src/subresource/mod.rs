//! Subresources that change their parent: what each may change and what it refuses.

mod approval;
mod binding;
mod eviction;
mod finalize;
mod pod;
pub mod scale;

pub use approval::APPROVAL;
pub use finalize::FINALIZE;
pub use pod::EPHEMERAL_CONTAINERS;
