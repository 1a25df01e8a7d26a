//! Mirrors: what readers see of writes, deletions, lost history and objects that cannot be decoded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_lifecycle::Tasks;
use k3s_meta::tree;
use k3s_registry::mirror::{Decode, Index, Lister, Mirror};
use k3s_registry::{Registry, Resource, Resources, View};
use k3s_store::{Entry, MemoryBackend, Precondition, Store, StoreOptions, Write};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    registry: Registry,
    store: Store,
    tasks: Tasks,
}

impl Rig {
    async fn new() -> Self {
        Self::with(StoreOptions::default()).await
    }

    async fn with(options: StoreOptions) -> Self {
        let tasks = Tasks::root("test");
        let clock = Clock::system();
        let resources = Arc::new(Resources::new(k3s_api::kinds(), |_, _| None));
        let options = StoreOptions {
            extract: View::extractor(&resources),
            ..options
        };
        let backend = Arc::new(MemoryBackend::new());
        let store = Store::open(backend, options, clock.clone(), &tasks)
            .await
            .unwrap();
        let random = Random::seeded(1);
        let registry = Registry::new(store.clone(), resources, clock, random).unwrap();
        Self {
            registry,
            store,
            tasks,
        }
    }

    fn resource(&self, plural: &str) -> &Arc<Resource> {
        self.registry.resource("", "v1", plural).unwrap()
    }

    async fn put(&self, plural: &str, name: &str, value: &str) {
        let object = json!({
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "ns"},
            "data": {"value": value},
        });
        self.put_bytes(plural, name, object.to_string().into_bytes())
            .await;
    }

    async fn put_bytes(&self, plural: &str, name: &str, bytes: Vec<u8>) {
        let key = self.resource(plural).key("ns", name);
        let write = Write::put(key, Precondition::Any, bytes);
        self.store.write(write).await.unwrap();
    }

    async fn delete(&self, plural: &str, name: &str) {
        let key = self.resource(plural).key("ns", name);
        let write = Write::delete(key, Precondition::Any);
        self.store.write(write).await.unwrap();
    }

    fn lister(&self) -> Lister<Map> {
        Lister::start("test lister", &self.registry, &self.tasks).unwrap()
    }
}

#[derive(Debug, PartialEq)]
struct Map {
    value: String,
}

impl Decode for Map {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "configmaps";

    fn decode(object: &Value) -> Self {
        Self {
            value: tree::text(object, "data.value").to_owned(),
        }
    }
}

fn values(lister: &Lister<Map>) -> Vec<String> {
    let list = lister.list("ns").unwrap();
    list.iter().map(|map| map.value.clone()).collect()
}

/// Entries by key, of several resources.
#[derive(Default)]
struct Keys(BTreeMap<String, u64>);

impl Index for Keys {
    fn clear(&mut self, resource: &Resource) {
        self.0.retain(|key, _| !key.starts_with(&*resource.prefix));
    }

    fn upsert(&mut self, _: &Resource, entry: &Arc<Entry>) {
        self.0.insert(entry.key.to_string(), entry.mod_revision.0);
    }

    fn remove(&mut self, _: &Resource, entry: &Arc<Entry>) {
        self.0.remove(&*entry.key);
    }
}

#[tokio::test]
async fn a_reader_sees_every_acknowledged_write() {
    let rig = Rig::new().await;
    rig.put("configmaps", "before", "0").await;
    let lister = rig.lister();
    assert_eq!(values(&lister), ["0"]);
    // The mirror's task is given no chance: the read alone has to catch up.
    let rig = &rig;
    for i in 0..50 {
        let value = i.to_string();
        rig.put("configmaps", "before", &value).await;
        assert_eq!(lister.get("ns", "before").unwrap().unwrap().value, value);
    }
    rig.put("configmaps", "after", "x").await;
    assert_eq!(values(&lister), ["x", "49"]);
    rig.delete("configmaps", "before").await;
    assert_eq!(lister.get("ns", "before").unwrap(), None);
    assert_eq!(values(&lister), ["x"]);
    assert!(lister.list("other").unwrap().is_empty());
}

#[tokio::test]
async fn an_object_is_decoded_once_per_change() {
    let rig = Rig::new().await;
    for i in 0..5 {
        rig.put("configmaps", &format!("m{i}"), "x").await;
    }
    let lister = rig.lister();
    let maps = rig.resource("configmaps").clone();
    assert_eq!(maps.decoded(), 5);
    for _ in 0..10 {
        assert_eq!(values(&lister).len(), 5);
    }
    assert_eq!(maps.decoded(), 5, "reads decode nothing");
    rig.put("configmaps", "m0", "y").await;
    for _ in 0..10 {
        assert_eq!(values(&lister)[0], "y");
    }
    assert_eq!(maps.decoded(), 6);
}

#[tokio::test]
async fn a_mirror_starts_over_when_the_log_has_moved_on() {
    let options = StoreOptions {
        ring_events: 4,
        ..StoreOptions::default()
    };
    let rig = Rig::with(options).await;
    // No task follows: a group that has stopped keeps the mirror from being warmed.
    let stopped = Tasks::root("stopped");
    stopped.stop(DEADLINE).await;
    rig.put("configmaps", "gone", "x").await;
    rig.put("secrets", "kept", "x").await;
    let resources = [rig.resource("configmaps"), rig.resource("secrets")];
    let mirror =
        Mirror::start("keys", &rig.registry, &resources, Keys::default(), &stopped).unwrap();
    rig.delete("configmaps", "gone").await;
    for i in 0..10 {
        rig.put("configmaps", "new", &i.to_string()).await;
    }
    let behind = mirror.peek(|index| index.0.clone());
    assert_eq!(behind.len(), 2, "nothing has followed the store");
    let caught_up = mirror.read(|index| index.0.clone());
    let kept = rig.store.get("/registry/secrets/ns/kept").unwrap();
    let expected = [
        ("/registry/configmaps/ns/new", rig.store.revision().0),
        ("/registry/secrets/ns/kept", kept.mod_revision.0),
    ];
    let expected = expected.map(|(key, revision)| (key.to_owned(), revision));
    assert_eq!(caught_up.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_task_keeps_the_index_warm() {
    let rig = Rig::new().await;
    let resources = [rig.resource("configmaps"), rig.resource("secrets")];
    let index = Keys::default();
    let mirror = Mirror::start("keys", &rig.registry, &resources, index, &rig.tasks).unwrap();
    rig.put("secrets", "s", "x").await;
    rig.put("configmaps", "m", "x").await;
    let warm = async {
        while mirror.peek(|index| index.0.len()) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, warm)
        .await
        .expect("the task follows without being asked");
    assert!(rig.tasks.stop(DEADLINE).await, "it ends with its group");
}

#[tokio::test]
async fn what_cannot_be_decoded_is_an_error_and_not_missing() {
    let rig = Rig::new().await;
    let lister = rig.lister();
    rig.put("configmaps", "good", "x").await;
    rig.put_bytes("configmaps", "bad", b"{".to_vec()).await;
    assert!(lister.get("ns", "good").unwrap().is_some());
    let error = lister.get("ns", "bad").unwrap_err();
    assert_eq!(error.status().code, 500);
    assert!(lister.list("ns").is_err());
    rig.put("configmaps", "bad", "mended").await;
    assert_eq!(values(&lister), ["mended", "x"]);
}

#[tokio::test]
async fn an_object_that_is_not_there_yet_is_waited_for() {
    let rig = Rig::new().await;
    let lister = rig.lister();
    let waiting = lister.wait_for("ns", "late", DEADLINE);
    let (found, ()) = tokio::join!(waiting, rig.put("configmaps", "late", "x"));
    assert_eq!(found.unwrap().unwrap().value, "x");
    let never = lister.wait_for("ns", "never", Duration::ZERO).await;
    assert_eq!(never.unwrap(), None);
}
