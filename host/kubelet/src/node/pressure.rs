//! The node's shortages, as its conditions show them. Eviction finds them, admission and status read
//! them.

/// What the node is short of: its pressure conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodePressure {
    pub(crate) memory: bool,
    pub(crate) disk: bool,
    pub(crate) pid: bool,
}
