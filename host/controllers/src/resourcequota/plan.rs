//! Pure: the status of a quota from the objects it counts and from what admission has charged.
//!
//! Admission charges a quota before the object is stored, so a count alone may miss charges, and writing it
//! would give away what they hold. So a count raises what is used, but lowers it only by objects that were
//! counted before and are no more. What is charged too much (for objects that were never stored) is given
//! back once the quota has been quiet for longer than a request can take.

use std::collections::{BTreeMap, HashMap};

use k3s_kinds::amounts::{Amounts, add, amounts};
use k3s_kinds::quota::{covers, usage};
use k3s_meta::quantity::Quantity;
use k3s_meta::{object, tree};
use serde_json::{Value, json};

/// Group and plural.
type Kind<'a> = (&'a str, &'a str);

/// A count under way.
pub(super) struct Tally<'a> {
    spec: &'a Value,
    hard: Amounts,
    used: Amounts,
    objects: Usage,
}

/// What each counted object uses, by UID.
pub(super) type Usage = HashMap<String, Amounts>;

impl<'a> Tally<'a> {
    pub(super) fn new(quota: &'a Value) -> Self {
        let spec = tree::get(quota, "spec").unwrap_or(&Value::Null);
        Self {
            spec,
            hard: amounts(spec, "hard"),
            used: Amounts::new(),
            objects: Usage::new(),
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
            self.objects.insert(object::uid(object).to_owned(), own);
        }
    }

    /// The status that follows `quota`'s, where `before` was counted the last time. `quiet` means that nothing
    /// can be charged whose object is still to come.
    pub(super) fn settle(self, quota: &Value, before: &Usage, quiet: bool) -> Settled {
        let status = tree::get(quota, "status").unwrap_or(&Value::Null);
        let charged = amounts(status, "used");
        let released = released(before, &self.objects);
        let mut used = self.used;
        let mut holds_more = false;
        for (name, counted) in &mut used {
            let Some(charged) = charged.get(name).filter(|_| !quiet) else {
                continue;
            };
            let held = *charged - released.get(name).copied().unwrap_or(Quantity::ZERO);
            if held > *counted {
                *counted = held;
                holds_more = true;
            }
        }
        Settled {
            status: json!({"hard": texts(&self.hard), "used": texts(&used)}),
            holds_more,
            counted: self.objects,
        }
    }
}

/// The outcome of a count.
pub(super) struct Settled {
    pub(super) status: Value,
    /// More is charged than was counted.
    pub(super) holds_more: bool,
    /// What was counted, for the next time.
    pub(super) counted: Usage,
}

/// What objects used before and do not use now.
fn released(before: &Usage, now: &Usage) -> Amounts {
    let mut released = Amounts::new();
    let nothing = Amounts::new();
    for (uid, was) in before {
        let is = now.get(uid).unwrap_or(&nothing);
        let mut less = Amounts::new();
        for (name, amount) in was {
            let rest = *amount - is.get(name).copied().unwrap_or(Quantity::ZERO);
            if !rest.is_negative() {
                less.insert(name.clone(), rest);
            }
        }
        add(&mut released, &less);
    }
    released
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
        let status = tally.settle(&quota, &Usage::new(), false).status;
        // Resources that no controller counts are left out, so that admission refuses them.
        assert_eq!(
            status["used"],
            json!({"pods": "2", "requests.cpu": "500m", "count/secrets": "1", "requests.storage": "0"})
        );
        assert_eq!(status["hard"]["requests.storage"], "1Gi");
    }

    /// Used and whether more is held than counted, after a count of `present`. Objects are named by letters.
    fn count(charged: &str, present: &str, before: &str, quiet: bool) -> (String, bool) {
        let quota = json!({"spec": {"hard": {"configmaps": "9"}}, "status": {"used": {"configmaps": charged}}});
        let tally = |names: &str| {
            let mut tally = Tally::new(&quota);
            tally.kind(("", "configmaps"));
            for name in names.chars() {
                let map = json!({"metadata": {"name": name, "uid": name}});
                tally.add(("", "configmaps"), &map);
            }
            tally
        };
        let before = tally(before).settle(&quota, &Usage::new(), true).counted;
        let settled = tally(present).settle(&quota, &before, quiet);
        let used = tree::text(&settled.status, "used.configmaps").to_owned();
        (used, settled.holds_more)
    }

    #[test]
    fn a_count_gives_away_no_charge_whose_object_is_still_to_come() {
        for (charged, present, before, want, holds_more) in [
            // Charged, not stored yet.
            ("3", "a", "a", "3", true),
            // Stored, one more is charged.
            ("3", "ab", "a", "3", true),
            ("2", "ab", "a", "2", false),
            // One was deleted, one is still to come.
            ("3", "a", "ab", "2", true),
            ("2", "a", "ab", "1", false),
            // It came and was deleted between two counts: nothing is known of it.
            ("2", "a", "a", "2", true),
            // Stored without a charge, before the quota was.
            ("0", "ab", "", "2", false),
        ] {
            let found = count(charged, present, before, false);
            let want = (want.to_owned(), holds_more);
            assert_eq!(found, want, "{charged} {present:?} {before:?}");
        }
    }

    #[test]
    fn a_quiet_quota_holds_what_is_there() {
        assert_eq!(count("5", "a", "a", true), ("1".to_owned(), false));
    }
}
