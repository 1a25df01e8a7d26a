//! `events.k8s.io/v1` Event over the stored `v1` Event: the same data under newer names.

use serde_json::Value;

use super::{Convert, rename, set_type};

pub(super) struct EventsGroup;

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

impl Convert for EventsGroup {
    fn to_served(&self, object: &mut Value) {
        for (stored, served) in NAMES {
            rename(object, stored, served);
        }
        set_type(object, "events.k8s.io/v1");
    }

    fn to_stored(&self, object: &mut Value) {
        for (stored, served) in NAMES {
            rename(object, served, stored);
        }
        set_type(object, "v1");
    }
}
