//! Zero values that every volume attachment shows.

use serde_json::Value;

use crate::tree;

pub(super) fn default(attachment: &mut Value) {
    tree::set_missing(attachment, "status.attached", false);
}
