//! Zero values that every volume attachment shows.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn default(attachment: &mut Value) {
    tree::set_missing(attachment, "status.attached", false);
}
