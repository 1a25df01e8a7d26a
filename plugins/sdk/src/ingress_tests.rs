//! What an incremental ingress controller decides again when something changes.

use super::*;

static KIND: Kind = Kind::new("g", "v1", "routes", "Route").routed();
static SERVICE: Kind = Kind::new("", "v1", "services", "Service");
static CLASS: Kind = Kind::new("g", "v1", "classes", "Class").cluster_scoped();

/// Serves an object if the Service `web` and some class are there.
struct Picky;

impl IngressController for Picky {
    type Config = ();

    const NAME: &'static str = "picky";
    const VERSION: &'static str = "0.1.0";
    const KINDS: &'static [&'static Kind] = &[&KIND, &SERVICE, &CLASS];

    fn new((): ()) -> Result<Self, Sentence> {
        Ok(Self)
    }

    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, Sentence> {
        cluster.read::<BTreeMap<String, String>>(key)?;
        if cluster.list::<serde_json::Value>(&CLASS).is_empty() {
            return Ok(None);
        }
        let mut outcome = Outcome::of(key);
        match cluster.get::<serde_json::Value>(&SERVICE, "n", "web") {
            Some(_) => outcome.publish_address = true,
            None => outcome.error("BackendNotFound", "no web"),
        }
        Ok(Some(outcome))
    }
}

fn object(kind: &'static Kind, name: &str, json: &str) -> Object {
    let namespace = if kind.namespaced { "n" } else { "" };
    Object {
        key: Key::new(kind, namespace, name).to_contract(),
        json: json.as_bytes().to_vec(),
    }
}

/// Name, whether it is served, number of diagnostics.
fn summary(changes: Vec<Change>) -> Vec<(String, bool, usize)> {
    let one = |change| match change {
        Change::Put(outcome) => (
            outcome.key.name,
            outcome.publish_address,
            outcome.diagnostics.len(),
        ),
        Change::Gone(key) => (key.name, false, 0),
    };
    changes.into_iter().map(one).collect()
}

#[test]
fn a_change_leads_to_new_decisions_of_those_that_looked_it_up() {
    let mut state = Incremental::new(Picky);
    state.upsert(vec![
        object(&KIND, "a", "{}"),
        object(&KIND, "b", "{}"),
        object(&KIND, "c", "{}"),
    ]);
    assert_eq!(
        (
            state.compile(2).len(),
            state.compile(2).len(),
            state.compile(2).len()
        ),
        (2, 1, 0)
    );
    state.upsert(vec![object(&CLASS, "any", "{}")]);
    assert_eq!(summary(state.compile(1)), [("a".to_owned(), false, 1)]);
    assert_eq!(state.compile(10).len(), 2, "all of them listed classes");
    state.upsert(vec![object(&SERVICE, "other", "{}")]);
    assert!(state.compile(10).is_empty(), "no decision looked it up");
    state.upsert(vec![object(&SERVICE, "web", "{}")]);
    assert!(
        summary(state.compile(10))
            .iter()
            .all(|(_, served, _)| *served)
    );
    state.remove(vec![
        object(&SERVICE, "web", "").key,
        object(&KIND, "c", "").key,
    ]);
    let changes = summary(state.compile(10));
    assert_eq!(
        changes,
        [
            ("a".to_owned(), false, 1),
            ("b".to_owned(), false, 1),
            ("c".to_owned(), false, 0)
        ]
    );
    state.upsert(vec![object(&SERVICE, "web", "{}")]);
    assert_eq!(state.compile(10).len(), 2, "c was removed");
}

#[test]
fn an_unreadable_object_gets_a_diagnostic() {
    let mut state = Incremental::new(Picky);
    state.upsert(vec![
        object(&KIND, "broken", "[1]"),
        object(&KIND, "fine", "{}"),
        object(&CLASS, "any", "{}"),
    ]);
    assert_eq!(
        summary(state.compile(10)),
        [
            ("broken".to_owned(), false, 1),
            ("fine".to_owned(), false, 1)
        ]
    );
}
