//! Defaults of what a device needs of its node.

use k3s_meta::tree;
use serde_json::Value;

use crate::quantity;

pub(super) fn default(slice: &mut Value) {
    for device in tree::each_mut(slice, "spec.devices") {
        let mappings = tree::get_mut(device, "nodeAllocatableResourceMappings");
        for mapping in mappings
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(|mappings| mappings.values_mut())
        {
            tree::set_missing(mapping, "allocationMultiplier", "1");
            quantity::canonical(mapping, "allocationMultiplier");
        }
    }
}
