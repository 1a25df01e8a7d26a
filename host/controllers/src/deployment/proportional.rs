//! Pure: sharing a change of size among the sets of a rollout that is under way or paused.

use k3s_meta::tree;

use super::model::{Deployment, Set, Sets};
use super::plan::Resize;

/// Whether the Deployment's size changed since the sets were last sized.
pub(super) fn is_scaling(deployment: &Deployment, sets: &Sets) -> bool {
    sets.all()
        .filter(|set| set.replicas > 0)
        .any(|set| set.desired().is_some_and(|n| n != deployment.replicas))
}

/// The new sizes.
pub(super) fn scale(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let wanted = deployment.replicas;
    if let Some(only) = active_or_latest(sets) {
        if only.replicas == wanted {
            return Vec::new();
        }
        return vec![Resize::new(only, wanted)];
    }
    if saturated(deployment, sets.new.as_ref()) {
        return super::plan::retire(sets);
    }
    if deployment.is_recreate() {
        Vec::new()
    } else {
        share(deployment, sets)
    }
}

/// The one active set; with none active the newest.
fn active_or_latest(sets: &Sets) -> Option<&Set> {
    let mut active = sets.all().filter(|set| set.replicas > 0);
    let Some(first) = active.next() else {
        let latest_old = sets.old.last();
        return sets.new.as_ref().or(latest_old);
    };
    if active.next().is_some() {
        return None;
    }
    Some(first)
}

fn saturated(deployment: &Deployment, new: Option<&Set>) -> bool {
    new.is_some_and(|set| {
        set.replicas == deployment.replicas
            && set.desired() == Some(deployment.replicas)
            && set.available == deployment.replicas
    })
}

fn share(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let mut active: Vec<&Set> = sets.all().filter(|set| set.replicas > 0).collect();
    let allowed = if deployment.replicas > 0 {
        deployment.max_total()
    } else {
        0
    };
    let change = allowed - sets.total();
    // The largest first; of equals the newer one grows, and the older one shrinks.
    active.sort_by_key(|set| std::cmp::Reverse(set.replicas));
    if change > 0 {
        active.sort_by_key(|set| {
            (
                std::cmp::Reverse(set.replicas),
                std::cmp::Reverse(set.created),
            )
        });
    }
    let mut done = 0;
    let mut sizes: Vec<i64> = Vec::with_capacity(active.len());
    for set in &active {
        let part = if change == 0 {
            0
        } else {
            proportion(deployment, set, change, done)
        };
        sizes.push(set.replicas + part);
        done += part;
    }
    // The first set gets what rounding left over.
    if let Some(first) = sizes.first_mut() {
        *first = (*first + change - done).max(0);
    }
    active
        .iter()
        .zip(sizes)
        .map(|(set, to)| Resize::new(set, to))
        .collect()
}

/// `GetReplicaSetProportion`
fn proportion(deployment: &Deployment, set: &Set, change: i64, done: i64) -> i64 {
    let left = change - done;
    if left == 0 {
        return 0;
    }
    let fair = fraction(deployment, set);
    if change > 0 {
        fair.min(left)
    } else {
        fair.max(left)
    }
}

/// What the set would change by if all sets kept their share. Where nothing tells how large they were, there is none.
fn fraction(deployment: &Deployment, set: &Set) -> i64 {
    if deployment.replicas == 0 {
        return -set.replicas;
    }
    let running = || tree::int(deployment.object.value(), "status.replicas");
    let base = set.max().filter(|n| *n != 0).or_else(running).unwrap_or(0);
    if base == 0 {
        return 0;
    }
    let share = set.replicas as f64 * deployment.max_total() as f64 / base as f64;
    share.round() as i64 - set.replicas
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::super::plan::tests::{deployment, set};
    use super::*;

    fn sized(name: &str, replicas: i64, max: i64) -> Set {
        let mut set = set(name, replicas, replicas);
        let mut value = set.object.value().clone();
        value["metadata"]["annotations"] = json!({"deployment.kubernetes.io/max-replicas": max.to_string(), "deployment.kubernetes.io/desired-replicas": "10"});
        set.object = Obj::from_value(value).unwrap();
        set
    }

    #[test]
    fn growth_is_shared_by_size_and_adds_up() {
        let d = deployment(20, json!(0), json!(1));
        let sets = Sets {
            new: Some(sized("new", 2, 10)),
            old: vec![sized("old", 8, 10)],
        };
        assert!(is_scaling(&d, &sets));
        let sizes: Vec<_> = scale(&d, &sets)
            .into_iter()
            .map(|r| (r.name, r.to))
            .collect();
        assert_eq!(sizes, [("old".to_owned(), 16), ("new".to_owned(), 4)]);
    }

    #[test]
    fn a_single_active_set_takes_all() {
        let d = deployment(5, json!(1), json!(0));
        let sets = Sets {
            new: Some(sized("new", 0, 10)),
            old: vec![sized("old", 3, 10)],
        };
        assert_eq!(
            scale(&d, &sets),
            [Resize {
                name: "old".into(),
                to: 5
            }]
        );
    }

    #[test]
    fn a_rollout_that_is_stuck_grows_in_proportion() {
        let d = deployment(30, json!(3), json!(2));
        let sets = Sets {
            new: Some(sized("new", 5, 13)),
            old: vec![sized("old", 8, 13)],
        };
        let sizes: Vec<_> = scale(&d, &sets)
            .into_iter()
            .map(|r| (r.name, r.to))
            .collect();
        assert_eq!(sizes, [("old".to_owned(), 20), ("new".to_owned(), 13)]);
    }
}
