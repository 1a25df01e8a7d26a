//! Labels of namespaces, by which affinity terms pick the namespaces of pods.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::event::Event;
use crate::model::{PodInfo, PodTerm, Weighted};

/// All namespaces, as their informer has them.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(HashMap<String, Arc<BTreeMap<String, String>>>);

impl Namespaces {
    /// Takes in a namespace's present labels; an event when they differ from before.
    pub(crate) fn set(&mut self, name: &str, labels: &BTreeMap<String, String>) -> Option<Event> {
        if self.0.get(name).is_some_and(|known| **known == *labels) {
            return None;
        }
        self.0.insert(name.to_owned(), Arc::new(labels.clone()));
        Some(Event::NamespaceChanged)
    }

    /// Forgets a namespace. Its pods are deleted before it is, and their leaving is an event.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The pod as the filters of a cycle ask for it: with the labels of its namespace, by which others keep it away,
    /// and with the namespaces that its own terms select at this moment.
    pub(crate) fn resolve(&self, pod: Arc<PodInfo>) -> Arc<PodInfo> {
        let labels = self.0.get(&pod.namespace).cloned().unwrap_or_default();
        let picks = terms(&pod).any(|term| term.namespace_selector.is_some());
        if !picks && *labels == *pod.namespace_labels {
            return pod;
        }
        let all = |terms: &[PodTerm]| -> Vec<PodTerm> {
            terms.iter().map(|term| self.term(term)).collect()
        };
        let weighted = |preference: &Weighted<PodTerm>| Weighted {
            weight: preference.weight,
            term: self.term(&preference.term),
        };
        Arc::new(PodInfo {
            namespace_labels: labels,
            affinity: all(&pod.affinity),
            anti_affinity: all(&pod.anti_affinity),
            preferred_pods: pod.preferred_pods.iter().map(weighted).collect(),
            ..PodInfo::clone(&pod)
        })
    }

    fn term(&self, term: &PodTerm) -> PodTerm {
        let mut resolved = term.clone();
        if let Some(selector) = resolved.namespace_selector.take() {
            let selected = self.0.iter();
            let selected = selected.filter(|(_, labels)| selector.matches_labels(labels));
            let names = selected.map(|(name, _)| name.clone());
            resolved.namespaces.extend(names);
        }
        resolved
    }
}

fn terms(pod: &PodInfo) -> impl Iterator<Item = &PodTerm> {
    let preferred = pod.preferred_pods.iter().map(|preference| &preference.term);
    let required = pod.affinity.iter().chain(&pod.anti_affinity);
    required.chain(preferred)
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::{Value, json};

    use super::*;

    fn pod(namespace: &str, term: &Value) -> Arc<PodInfo> {
        let terms =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        let value = json!({"metadata": {"name": "p", "namespace": namespace, "labels": {"app": "a"}},
            "spec": {"affinity": terms}});
        Arc::new(PodInfo::read(&Obj::from_value(value).unwrap()).unwrap())
    }

    fn namespaces() -> Namespaces {
        let mut namespaces = Namespaces::default();
        for (name, team) in [("blue", "x"), ("green", "x"), ("red", "y")] {
            let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
            assert!(namespaces.set(name, &labels).is_some());
            assert!(namespaces.set(name, &labels).is_none());
        }
        namespaces
    }

    #[test]
    fn terms_pick_namespaces_by_name_and_by_label_from_both_sides() {
        let namespaces = namespaces();
        let selector = |team: &str| json!({"matchLabels": {"team": team}});
        for (term, from, expected) in [
            (json!({}), "red", vec!["red"]),
            (
                json!({"namespaceSelector": selector("x")}),
                "red",
                vec!["blue", "green"],
            ),
            (
                json!({"namespaceSelector": selector("x"), "namespaces": ["red"]}),
                "blue",
                vec!["blue", "green", "red"],
            ),
            (
                json!({"namespaceSelector": {}}),
                "red",
                vec!["blue", "green", "red"],
            ),
            (json!({"namespaceSelector": selector("z")}), "red", vec![]),
        ] {
            let mut term = term;
            term["topologyKey"] = "zone".into();
            term["labelSelector"] = json!({"matchLabels": {"app": "a"}});
            let running = pod(from, &term);
            let asking = namespaces.resolve(running.clone());
            let mut found = Vec::new();
            for name in ["blue", "green", "red"] {
                let other = pod(name, &json!({"topologyKey": "zone"}));
                let selected = asking.anti_affinity[0].selects(&other);
                // A running pod keeps its term, and the pod of the cycle brings its namespace's labels.
                let other = namespaces.resolve(other);
                assert_eq!(
                    running.anti_affinity[0].selects(&other),
                    selected,
                    "{term} {name}"
                );
                if selected {
                    found.push(name);
                }
            }
            assert_eq!(found, expected, "{term}");
        }
    }

    #[test]
    fn a_pod_without_labels_around_it_is_not_copied() {
        let plain = pod("unknown", &json!({"topologyKey": "zone"}));
        assert!(Arc::ptr_eq(&namespaces().resolve(plain.clone()), &plain));
    }
}
