//! Events between their two versions. They are one object in the store, in the core form
//! (`pkg/apis/events/v1/conversion.go`).

use k3s_meta::tree;
use serde_json::{Value, json};

/// Names of the same field in the core version and in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Rewrites an event into the form that `api_version` names; an event already in it stays.
pub(crate) fn convert(event: &mut Value, api_version: &str) {
    let core = api_version == "v1";
    if let Some(fields) = event.as_object_mut() {
        for (old, new) in NAMES {
            let (from, to) = if core { (new, old) } else { (old, new) };
            if let Some(value) = fields.remove(from) {
                fields.insert(to.to_owned(), value);
            }
        }
    }
    if !core {
        // This version shows the zero values of neither structure nor text.
        for name in ["reportingController", "reportingInstance"] {
            if tree::text(event, name).is_empty() {
                tree::remove(event, name);
            }
        }
    }
    tree::set(event, "apiVersion", json!(api_version));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "message": "m", "involvedObject": {"name": "p"},
            "source": {"component": "c"}, "count": 2, "reportingComponent": "r", "reportingInstance": "i"});
        let mut event = core.clone();
        convert(&mut event, "events.k8s.io/v1");
        assert_eq!(
            event,
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "m", "regarding": {"name": "p"},
                "deprecatedSource": {"component": "c"}, "deprecatedCount": 2, "reportingController": "r",
                "reportingInstance": "i"})
        );
        convert(&mut event, "v1");
        assert_eq!(event, core);
    }
}
