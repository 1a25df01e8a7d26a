//! Pure: the status of a quota from the objects it counts.

use std::collections::BTreeMap;

use k3s_kinds::amounts::{Amounts, add, amounts};
use k3s_kinds::quota::{covers, usage};
use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::{Value, json};

/// Group and plural.
type Kind<'a> = (&'a str, &'a str);

/// A count under way.
pub(super) struct Tally<'a> {
    spec: &'a Value,
    hard: Amounts,
    used: Amounts,
}

impl<'a> Tally<'a> {
    pub(super) fn new(quota: &'a Value) -> Self {
        let spec = tree::get(quota, "spec").unwrap_or(&Value::Null);
        Self {
            spec,
            hard: amounts(spec, "hard"),
            used: Amounts::new(),
        }
    }

    /// A kind that is counted here, even when there is no object of it.
    pub(super) fn kind(&mut self, (group, plural): Kind<'_>) {
        let counted = if group.is_empty() {
            plural.to_owned()
        } else {
            format!("{plural}.{group}")
        };
        for name in self.hard.keys() {
            let own = match (group, plural) {
                ("", "pods") => is_compute(name),
                ("", "services") => name.starts_with("services"),
                ("", "persistentvolumeclaims") => is_storage(name),
                _ => group.is_empty() && name == plural,
            };
            if own || name.strip_prefix("count/") == Some(counted.as_str()) {
                self.used.entry(name.clone()).or_insert(Quantity::ZERO);
            }
        }
    }

    /// One object of a counted kind.
    pub(super) fn add(&mut self, (group, plural): Kind<'_>, object: &Value) {
        if covers(self.spec, group, plural, object) {
            let mut own = usage(group, plural, object);
            own.retain(|name, _| self.hard.contains_key(name));
            add(&mut self.used, &own);
        }
    }

    pub(super) fn status(self) -> Value {
        json!({
            "hard": texts(&self.hard),
            "used": texts(&self.used),
        })
    }
}

fn texts(amounts: &Amounts) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (name, amount) in amounts {
        texts.insert(name.clone(), amount.to_string());
    }
    texts
}

fn is_storage(name: &str) -> bool {
    name == "persistentvolumeclaims"
        || name == "requests.storage"
        || name.contains(".storageclass.storage.k8s.io/")
}

/// Everything that pods use: their number, and whatever they request or are limited in.
fn is_compute(name: &str) -> bool {
    let computes = ["requests.", "limits.", "hugepages-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    matches!(name, "pods" | "cpu" | "memory" | "ephemeral-storage")
        || (computes && !is_storage(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_what_it_limits_and_nothing_else() {
        let quota = json!({"spec": {"hard": {"pods": "3", "requests.cpu": "1", "count/secrets": "5", "count/widgets.example.com": "1",
            "requests.storage": "1Gi"}}});
        let mut tally = Tally::new(&quota);
        for kind in [
            ("", "pods"),
            ("", "secrets"),
            ("", "persistentvolumeclaims"),
        ] {
            tally.kind(kind);
        }
        let pod = |cpu: &str, phase: &str| json!({"status": {"phase": phase}, "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
        tally.add(("", "pods"), &pod("200m", "Running"));
        tally.add(("", "pods"), &pod("300m", "Pending"));
        tally.add(("", "pods"), &pod("9", "Succeeded"));
        tally.add(("", "secrets"), &json!({}));
        let status = tally.status();
        // Resources that no controller counts are left out, so that admission refuses them.
        assert_eq!(
            status["used"],
            json!({"pods": "2", "requests.cpu": "500m", "count/secrets": "1", "requests.storage": "0"})
        );
        assert_eq!(status["hard"]["requests.storage"], "1Gi");
    }
}
