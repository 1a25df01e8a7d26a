//! Pure: which ReplicaSet gets how many replicas.

use super::model::{Deployment, Set, Sets};

/// A set and its new size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resize {
    pub(super) name: String,
    pub(super) to: i64,
}

impl Resize {
    pub(super) fn new(set: &Set, to: i64) -> Self {
        Self {
            name: set.name().to_owned(),
            to,
        }
    }
}

/// The size of the new set, given the sets there are.
pub(super) fn new_size(deployment: &Deployment, sets: &Sets) -> i64 {
    let own = sets.new.as_ref().map_or(0, |set| set.replicas);
    if deployment.is_recreate() {
        return deployment.replicas;
    }
    let total = sets.total();
    let limit = deployment.max_total();
    if total >= limit {
        return own.min(deployment.replicas);
    }
    own + (limit - total).min(deployment.replicas - own)
}

/// One step of a rolling update: up first, and down only when there is nothing to add.
pub(super) fn rolling(deployment: &Deployment, sets: &Sets) -> Vec<Resize> {
    let Some(new) = &sets.new else {
        return Vec::new();
    };
    let wanted = if new.replicas >= deployment.replicas {
        deployment.replicas
    } else {
        new_size(deployment, sets)
    };
    if wanted != new.replicas {
        return vec![Resize::new(new, wanted)];
    }
    shrink_old(deployment, sets, new)
}

fn shrink_old(deployment: &Deployment, sets: &Sets, new: &Set) -> Vec<Resize> {
    if sets.old.iter().all(|set| set.replicas == 0) {
        return Vec::new();
    }
    let min_available = deployment.min_available();
    let new_unavailable = new.replicas - new.available;
    let mut room = sets.total() - min_available - new_unavailable;
    if room <= 0 {
        return Vec::new();
    }
    let mut old = sets.old.clone();
    // Replicas that are not available serve no traffic: they are removed first and free room for the others.
    for set in &mut old {
        let unavailable = set.replicas - set.available;
        let down = unavailable.clamp(0, room);
        set.replicas -= down;
        room -= down;
    }
    let mut spare = (sets.available() - min_available).max(0);
    for set in &mut old {
        let down = set.replicas.min(spare);
        set.replicas -= down;
        spare -= down;
    }
    let mut steps = Vec::new();
    for (after, before) in old.iter().zip(&sets.old) {
        if after.replicas != before.replicas {
            steps.push(Resize::new(after, after.replicas));
        }
    }
    steps
}

/// Recreate, first half: all old sets are scaled to zero.
pub(super) fn retire(sets: &Sets) -> Vec<Resize> {
    sets.old
        .iter()
        .filter(|set| set.replicas > 0)
        .map(|set| Resize::new(set, 0))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {

    use k3s_client::Obj;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn deployment(replicas: i64, surge: Value, unavailable: Value) -> Deployment {
        let object = Obj::from_value(json!({"metadata": {"name": "d", "namespace": "n", "uid": "d"},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "new"}}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
        .unwrap();
        Deployment::read(&object)
    }

    pub(crate) fn set(name: &str, replicas: i64, available: i64) -> Set {
        Set::read(
            &Obj::from_value(json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"replicas": replicas},
                "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}}))
            .unwrap(),
        )
    }

    fn step(d: &Deployment, new: (i64, i64), old: &[(i64, i64)]) -> Vec<(String, i64)> {
        let sets = Sets {
            new: Some(set("new", new.0, new.1)),
            old: old
                .iter()
                .enumerate()
                .map(|(n, (r, a))| set(&format!("old{n}"), *r, *a))
                .collect(),
        };
        rolling(d, &sets)
            .into_iter()
            .map(|r| (r.name, r.to))
            .collect()
    }

    #[test]
    fn a_rolling_update_keeps_within_surge_and_unavailable() {
        let d = deployment(10, json!(2), json!(2));
        let one = |name: &str, to| vec![(name.to_owned(), to)];
        assert_eq!(step(&d, (0, 0), &[(10, 10)]), one("new", 2));
        assert_eq!(step(&d, (2, 0), &[(10, 10)]), one("old0", 8));
        assert_eq!(step(&d, (2, 0), &[(8, 8)]), one("new", 4));
        assert_eq!(step(&d, (4, 0), &[(8, 8)]), []);
        assert_eq!(step(&d, (4, 4), &[(8, 8)]), one("old0", 4));
        assert_eq!(step(&d, (10, 10), &[(0, 0)]), []);
        assert_eq!(step(&d, (12, 10), &[]), one("new", 10));
    }

    #[test]
    fn broken_old_replicas_go_first() {
        let d = deployment(10, json!(0), json!(2));
        let down = step(&d, (0, 0), &[(4, 0), (6, 6)]);
        assert_eq!(down, [("old0".to_owned(), 2)]);
    }

    #[test]
    fn a_new_set_starts_with_what_the_surge_allows() {
        let d = deployment(3, json!("25%"), json!("25%"));
        let fresh = Sets {
            new: None,
            old: vec![],
        };
        assert_eq!(new_size(&d, &fresh), 3);
        let busy = Sets {
            new: None,
            old: vec![set("old", 3, 3)],
        };
        assert_eq!(new_size(&d, &busy), 1);
        let full = Sets {
            new: None,
            old: vec![set("old", 4, 4)],
        };
        assert_eq!(new_size(&d, &full), 0);
    }
}
