//! Names under which the two versions of an event keep the same thing.

pub(crate) struct Names {
    pub(crate) object: &'static str,
    pub(crate) message: &'static str,
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    pub(crate) count: &'static str,
    pub(crate) source: &'static str,
    pub(crate) reporter: &'static str,
}

/// Those of the core group.
pub(crate) const CORE: Names = Names {
    object: "involvedObject",
    message: "message",
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
    source: "source",
    reporter: "reportingComponent",
};
