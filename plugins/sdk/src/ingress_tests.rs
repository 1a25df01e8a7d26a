//! The books of an ingress controller: what is decided anew when something changes.

use super::*;

const KIND: Kind = Kind {
    group: "g",
    version: "v1",
    plural: "routes",
    kind: "Route",
    namespaced: true,
    optional: false,
    fields: &[],
    routed: true,
};
const SERVICE: Kind = Kind {
    group: "",
    plural: "services",
    kind: "Service",
    routed: false,
    ..KIND
};
const CLASS: Kind = Kind {
    kind: "Class",
    namespaced: false,
    routed: false,
    ..KIND
};

/// Serves an object if the Service `web` and some class are there.
struct Picky;

impl IngressController for Picky {
    type Config = ();

    const NAME: &'static str = "picky";
    const VERSION: &'static str = "0.1.0";
    const KINDS: &'static [Kind] = &[KIND, SERVICE, CLASS];

    fn new((): ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, String> {
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

fn object(kind: &Kind, name: &str, json: &str) -> Object {
    let namespace = if kind.namespaced { "n" } else { "" };
    Object {
        key: Key::new(kind, namespace, Some(name)).to_contract(),
        json: json.as_bytes().to_vec(),
    }
}

/// Name, whether it is served, number of diagnostics.
fn told(changes: Vec<Change>) -> Vec<(String, bool, usize)> {
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
fn a_change_brings_back_those_who_looked_for_it() {
    let mut books = Books::new(Picky);
    books.upsert(vec![
        object(&KIND, "a", "{}"),
        object(&KIND, "b", "{}"),
        object(&KIND, "c", "{}"),
    ]);
    assert_eq!(
        (
            books.compile(2).len(),
            books.compile(2).len(),
            books.compile(2).len()
        ),
        (2, 1, 0)
    );
    books.upsert(vec![object(&CLASS, "any", "{}")]);
    assert_eq!(told(books.compile(1)), [("a".to_owned(), false, 1)]);
    assert_eq!(
        books.compile(10).len(),
        2,
        "all of them had asked for classes"
    );
    books.upsert(vec![object(&SERVICE, "other", "{}")]);
    assert!(books.compile(10).is_empty(), "nobody had asked for it");
    books.upsert(vec![object(&SERVICE, "web", "{}")]);
    assert!(told(books.compile(10)).iter().all(|(_, served, _)| *served));
    books.remove(&[object(&SERVICE, "web", "").key, object(&KIND, "c", "").key]);
    let changes = told(books.compile(10));
    assert_eq!(
        changes,
        [
            ("a".to_owned(), false, 1),
            ("b".to_owned(), false, 1),
            ("c".to_owned(), false, 0)
        ]
    );
    books.upsert(vec![object(&SERVICE, "web", "{}")]);
    assert_eq!(books.compile(10).len(), 2, "c is gone for good");
}

#[test]
fn an_object_that_cannot_be_read_is_said_to_be_so() {
    let mut books = Books::new(Picky);
    books.upsert(vec![
        object(&KIND, "broken", "[1]"),
        object(&KIND, "fine", "{}"),
        object(&CLASS, "any", "{}"),
    ]);
    assert_eq!(
        told(books.compile(10)),
        [
            ("broken".to_owned(), false, 1),
            ("fine".to_owned(), false, 1)
        ]
    );
}
