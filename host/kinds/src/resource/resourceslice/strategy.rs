//! When a taint of a device was added, which is now where the driver does not say (`SetDefaults_DeviceTaint`).

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

pub(super) fn prepare_create(slice: &mut Value, context: &Context<'_>) {
    stamp_taints(slice, context);
}

pub(super) fn prepare_update(new: &mut Value, _: &Value, context: &Context<'_>) {
    stamp_taints(new, context);
}

fn stamp_taints(slice: &mut Value, context: &Context<'_>) {
    for device in tree::each_mut(slice, "spec.devices") {
        for taint in tree::each_mut(device, "taints") {
            tree::set_missing(taint, "timeAdded", context.time_stamp());
        }
    }
}
