//! Quality of service class of a pod (`pkg/apis/core/v1/helper/qos`).

use k3s_meta::tree;
use serde_json::Value;

use super::resources::amounts;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn class(spec: &Value) -> &'static str {
    let pod_level = tree::has(spec, "resources.requests") || tree::has(spec, "resources.limits");
    let holders: Vec<&Value> = if pod_level {
        vec![spec]
    } else {
        ["containers", "initContainers"]
            .iter()
            .flat_map(|list| tree::list(spec, list))
            .collect()
    };
    let mut any = false;
    let mut guaranteed = true;
    for holder in holders {
        let (requests, limits) = (compute(holder, "requests"), compute(holder, "limits"));
        any |= !requests.is_empty() || !limits.is_empty();
        guaranteed &= limits.len() == 2 && requests == limits;
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// CPU and memory above zero; nothing else counts for the class.
fn compute(holder: &Value, field: &str) -> Vec<(String, i128)> {
    amounts(holder, field)
        .into_iter()
        .map(|(name, amount)| (name, amount.milli()))
        .filter(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && *amount > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn class_follows_requests_and_limits() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let cases = [
            (json!({"containers": [{}]}), "BestEffort"),
            (
                json!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}),
                "Burstable",
            ),
            (
                json!({"containers": [{"resources": {"requests": full, "limits": full}}]}),
                "Guaranteed",
            ),
            (
                json!({"containers": [{"resources": {"requests": full, "limits": full}}, {}]}),
                "Burstable",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(class(&spec), expected, "{spec}");
        }
    }
}
