//! What becomes of the status of a device that is no longer allocated.

use k3s_meta::tree;
use serde_json::Value;

use super::status::{id, ids_of};
use crate::context::Context;

/// Removes the status of devices that this update deallocates, which drivers need not know about
/// (`dropDeallocatedStatusDevices`).
pub(super) fn prepare_status_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    const RESULTS: &str = "status.allocation.devices.results";
    const DEVICES: &str = "status.devices";
    let kept = ids_of(new, RESULTS);
    let mut freed = ids_of(old, RESULTS);
    freed.retain(|id| !kept.contains(id));
    if freed.is_empty() || !tree::has(new, DEVICES) {
        return;
    }
    let mut devices = tree::list(new, DEVICES).to_vec();
    devices.retain(|device| !freed.contains(&id(device).to_string()));
    if devices.is_empty() {
        tree::remove(new, DEVICES);
    } else {
        tree::set(new, DEVICES, devices);
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_of_a_device_goes_with_its_allocation() {
        let device = |name: &str| json!({"driver": "d", "pool": "p", "device": name});
        let claim = |allocated: &[&str]| {
            let results: Vec<Value> = allocated.iter().map(|name| device(name)).collect();
            json!({"status": {"allocation": {"devices": {"results": results}},
                "devices": [device("a"), device("b"), device("never")]}})
        };
        let (old, mut new) = (claim(&["a", "b"]), claim(&["b"]));
        let user = UserInfo::default();
        prepare_status_update(&mut new, &old, &Context::at_epoch(&user));
        assert_eq!(
            new["status"]["devices"],
            json!([device("b"), device("never")])
        );
    }
}
