//! Events of `events.k8s.io` over those of the core group: the same stored object under newer names
//! (`pkg/apis/events/v1/conversion.go`).

use k3s_meta::tree;
use serde_json::Value;

use crate::convert::Conversion;

/// `events.k8s.io/v1`, stored as `v1`.
pub(super) const V1: Conversion = Conversion {
    version: "v1",
    to_served,
    to_stored,
};

/// Stored name, served name.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn to_served(event: &mut Value) {
    for (stored, served) in NAMES {
        rename(event, stored, served);
    }
    // Texts that the core version shows when empty and this one leaves out (`omitempty`).
    for name in ["reportingController", "reportingInstance"] {
        if tree::text(event, name).is_empty() {
            tree::remove(event, name);
        }
    }
    tree::set(event, "apiVersion", "events.k8s.io/v1");
}

fn to_stored(event: &mut Value) {
    for (stored, served) in NAMES {
        rename(event, served, stored);
    }
    tree::set(event, "apiVersion", "v1");
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if let Some(fields) = event.as_object_mut()
        && let Some(value) = fields.remove(from)
    {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_and_back() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "message": "m", "involvedObject": {"name": "p"},
            "source": {"component": "c"}, "count": 2, "reportingComponent": "r", "reportingInstance": "i"});
        let mut event = core.clone();
        to_served(&mut event);
        assert_eq!(
            event,
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "m", "regarding": {"name": "p"},
                "deprecatedSource": {"component": "c"}, "deprecatedCount": 2, "reportingController": "r",
                "reportingInstance": "i"})
        );
        to_stored(&mut event);
        assert_eq!(event, core);
    }

    #[test]
    fn empty_reporters_are_left_out() {
        let mut event =
            json!({"apiVersion": "v1", "reportingComponent": "", "reportingInstance": ""});
        to_served(&mut event);
        assert_eq!(event, json!({"apiVersion": "events.k8s.io/v1"}));
    }
}
