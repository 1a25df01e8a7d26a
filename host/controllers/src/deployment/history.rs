//! Pure: revisions, and which old sets are no longer kept.

use k3s_meta::tree;

use super::model::{Deployment, Set, Sets};
use crate::common::number::length;

/// The revision that the new set carries.
pub(super) fn next_revision(sets: &Sets) -> i64 {
    sets.old.iter().map(Set::revision).max().unwrap_or(0) + 1
}

/// Old sets beyond the limit that hold nothing, lowest revision first.
pub(super) fn surplus<'a>(deployment: &Deployment, sets: &'a Sets) -> Vec<&'a Set> {
    let Some(limit) = deployment.history_limit else {
        return Vec::new();
    };
    let mut kept: Vec<&Set> = sets
        .old
        .iter()
        .filter(|set| !set.object.is_deleting())
        .collect();
    let excess = kept.len().saturating_sub(length(limit));
    kept.sort_by_key(|set| (set.revision(), set.created));
    kept.truncate(excess);
    kept.retain(|set| {
        let is_empty = set.replicas == 0 && set.actual == 0;
        is_empty && observed(set)
    });
    kept
}

fn observed(set: &Set) -> bool {
    let seen = tree::int(set.object.value(), "status.observedGeneration").unwrap_or(0);
    seen >= set.object.meta().generation
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::tests::{deployment, set};
    use super::*;

    #[test]
    fn only_empty_sets_beyond_the_limit_go() {
        let mut d = deployment(1, json!(1), json!(0));
        let sets = Sets {
            new: Some(set("new", 1, 1)),
            old: vec![set("a", 0, 0), set("b", 1, 1), set("c", 0, 0)],
        };
        assert!(surplus(&d, &sets).is_empty());
        d.history_limit = Some(1);
        let gone: Vec<_> = surplus(&d, &sets).into_iter().map(Set::name).collect();
        assert_eq!(gone, ["a"]);
    }
}
