//! Which Pods go first when there are too many (upstream `ActivePodsWithRanks`).

use std::cmp::Reverse;
use std::collections::HashMap;

use k3s_client::Object;

use crate::common::pod;
use crate::common::time;

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The Pods in the order in which they are given up.
pub(super) fn first_to_go(active: &[Object], related: &[Object]) -> Vec<Object> {
    let mut per_node: HashMap<&str, usize> = HashMap::new();
    for sibling in related.iter().filter(|p| pod::is_active(p)) {
        *per_node
            .entry(pod::of(sibling).spec.node_name.as_str())
            .or_default() += 1;
    }
    let mut ranked = active.to_vec();
    ranked.sort_by_cached_key(|object| {
        let view = pod::of(object);
        let created = time::parse(&object.meta().creation_timestamp);
        (
            view.is_scheduled(),
            phase(&view.status.phase),
            view.is_ready(),
            cost(object.annotation(COST)),
            Reverse(
                per_node
                    .get(view.spec.node_name.as_str())
                    .copied()
                    .unwrap_or(0),
            ),
            // Those ready for a shorter time, restarted more, or younger go first.
            Reverse(pod::ready_since(view)),
            Reverse(pod::restarts(view)),
            Reverse(created),
        )
    });
    ranked
}

fn phase(name: &str) -> u8 {
    match name {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn cost(annotation: Option<&str>) -> i32 {
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}
