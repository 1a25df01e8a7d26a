//! Controller revisions.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `apps/v1` `ControllerRevision`.
pub(crate) struct ControllerRevision;

impl KindRules for ControllerRevision {
    columns!();
}
