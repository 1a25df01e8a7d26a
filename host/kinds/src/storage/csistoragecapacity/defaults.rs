//! Canonical quantities of storage capacities.

use serde_json::Value;

use crate::quantity;

pub(super) fn default(capacity: &mut Value) {
    quantity::canonical(capacity, "capacity");
    quantity::canonical(capacity, "maximumVolumeSize");
}
