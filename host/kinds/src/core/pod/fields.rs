//! Selectable fields of pods (`pkg/registry/core/pod/strategy.go`, `ToSelectableFields`).

use k3s_meta::tree;
use serde_json::Value;

use crate::selectable::SelectableField;

pub(super) const FIELDS: &[SelectableField] = &[
    SelectableField::text("spec.nodeName"),
    SelectableField::text("spec.restartPolicy"),
    SelectableField::text("spec.schedulerName"),
    SelectableField::text("spec.serviceAccountName"),
    SelectableField::flag("spec.hostNetwork"),
    SelectableField::text("status.phase"),
    SelectableField::computed("status.podIP", pod_ip),
    SelectableField::text("status.nominatedNodeName"),
];

fn pod_ip(pod: &Value) -> String {
    let primary = tree::list(pod, "status.podIPs").first();
    primary
        .map_or_else(
            || tree::text(pod, "status.podIP"),
            |ip| tree::text(ip, "ip"),
        )
        .to_owned()
}
