//! Plugins: the batteries that run, one object per kind. The server writes them; clients only read.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `k3s.io/v1alpha1` `Plugin`.
pub(crate) struct Plugin;

impl KindRules for Plugin {
    columns!();
}
