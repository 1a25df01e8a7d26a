//! The result of one probe, whatever its kind.

/// What one probe found; the texts go into events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure(String),
    /// The probe itself could not be made; upstream counts it as a failure.
    Error(String),
}
