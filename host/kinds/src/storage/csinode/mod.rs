//! CSI nodes.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `CSINode`.
pub(crate) struct CSINode;

impl KindRules for CSINode {
    columns!();
}
