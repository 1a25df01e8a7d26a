//! Informers and recorder against the in-memory API server.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::informer::{BY_NODE, BY_OWNER};
use k3s_client::resources::{CONFIG_MAPS, EVENTS, PODS};
use k3s_client::{
    DeleteParams, EventRecorder, Informer, InformerEvent, Informers, ListParams, Patch, Scope,
    uid_is,
};
use k3s_lifecycle::Tasks;
use k3s_meta::Status;
use serde_json::json;

fn setup() -> (FakeApi, Informers, Tasks) {
    let api = FakeApi::new(Clock::system());
    let tasks = Tasks::root("test");
    let informers = Informers::new(
        api.client("test"),
        Clock::system(),
        Random::seeded(1),
        &tasks,
    );
    (api, informers, tasks)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}

fn pod(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n",
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "owner"}]}, "spec": {"nodeName": "node-1"}})
}

async fn synced(informer: &Informer) {
    tokio::time::timeout(Duration::from_secs(5), informer.has_synced())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_informer_lists_watches_and_indexes() {
    let (api, informers, tasks) = setup();
    api.seed(&PODS, pod("a"));
    let informer = informers.all(&PODS);
    synced(&informer).await;
    let mut events = informer.subscribe();
    assert!(matches!(events.next().await, InformerEvent::Added(o) if o.name() == "a"));
    api.client("t")
        .create(&PODS, Some("n"), &pod("b"))
        .await
        .unwrap();
    assert!(matches!(events.next().await, InformerEvent::Added(o) if o.name() == "b"));
    assert_eq!(informer.by_index(BY_NODE, "node-1").len(), 2);
    assert_eq!(informer.by_index(BY_OWNER, "owner").len(), 2);
    api.remove(&PODS, "n", "a");
    assert!(matches!(events.next().await, InformerEvent::Deleted(o) if o.name() == "a"));
    assert!(informer.get("n/a").is_none());
    assert_eq!(informer.in_namespace("n").len(), 1);
    assert!(tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn compaction_and_failures_lead_to_a_new_list_that_misses_nothing() {
    let (api, informers, _tasks) = setup();
    api.seed(&PODS, pod("a"));
    let informer = informers.all(&PODS);
    synced(&informer).await;
    let mut left = 3;
    api.fail(move |asked| {
        left -= i32::from(left > 0 && asked.path.ends_with("/pods"));
        (left > 0).then(|| Status::internal("on purpose"))
    });
    api.remove(&PODS, "n", "a");
    api.compact();
    api.seed(&PODS, pod("b"));
    until("b replaces a", || {
        informer.get("n/b").is_some() && informer.get("n/a").is_none()
    })
    .await;
}

#[tokio::test]
async fn equal_scopes_share_one_watch_and_it_ends_with_its_users() {
    let (api, informers, tasks) = setup();
    let one = informers.of(&PODS, Scope::fields("spec.nodeName=node-1"));
    let two = informers.of(&PODS, Scope::fields("spec.nodeName=node-1"));
    synced(&one).await;
    synced(&two).await;
    let lists = api
        .requests()
        .iter()
        .filter(|a| a.path == "/api/v1/pods")
        .count();
    assert!(lists <= 2, "one list and one watch, got {lists}");
    drop((one, two));
    assert!(tasks.stop(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn metadata_only_keeps_nothing_else() {
    let (api, informers, _tasks) = setup();
    api.seed(&CONFIG_MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}}));
    let informer = informers.of(&CONFIG_MAPS, Scope::metadata());
    synced(&informer).await;
    assert!(informer.get("n/c").unwrap().value().get("data").is_none());
}

#[tokio::test]
async fn verbs_follow_the_rules_of_the_api() {
    let (api, _, _tasks) = setup();
    let client = api.client("me");
    let made = client.create(&PODS, Some("n"), &pod("a")).await.unwrap();
    assert!(
        client
            .create(&PODS, Some("n"), &pod("a"))
            .await
            .unwrap_err()
            .is_already_exists()
    );
    let patched = client
        .patch(
            &PODS,
            Some("n"),
            "a",
            &Patch::Merge(json!({"spec": {"x": 1}})),
        )
        .await
        .unwrap();
    assert_eq!(patched.meta().generation, 2);
    assert!(
        client
            .update(&PODS, Some("n"), made.value())
            .await
            .unwrap_err()
            .is_conflict()
    );
    let same = client
        .update(&PODS, Some("n"), patched.value())
        .await
        .unwrap();
    assert_eq!(same.resource_version(), patched.resource_version());
    client
        .patch_status(
            &PODS,
            Some("n"),
            "a",
            &Patch::Merge(json!({"status": {"phase": "Running"}})),
        )
        .await
        .unwrap();
    let picked = client
        .list_all(
            &PODS,
            None,
            &ListParams::default()
                .fields("status.phase=Running")
                .limit(1),
        )
        .await
        .unwrap();
    assert_eq!(picked.items.len(), 1);
    let held = client
        .delete(&PODS, Some("n"), "a", &DeleteParams::default())
        .await
        .unwrap();
    assert!(held.is_deleting());
    assert!(
        client
            .delete(
                &PODS,
                Some("n"),
                "a",
                &DeleteParams::default()
                    .grace_period(0)
                    .preconditions(uid_is("other"))
            )
            .await
            .unwrap_err()
            .is_conflict()
    );
    client
        .delete(
            &PODS,
            Some("n"),
            "a",
            &DeleteParams::default().grace_period(0),
        )
        .await
        .unwrap();
    assert!(
        client
            .get(&PODS, Some("n"), "a")
            .await
            .unwrap_err()
            .is_not_found()
    );
    let (served, failed) = client.discover().await.unwrap();
    assert!(
        failed.is_empty()
            && served
                .iter()
                .any(|s| s.resource == PODS && s.takes(&["list", "delete"]))
    );
}

#[tokio::test]
async fn pages_add_up() {
    let (api, _, _tasks) = setup();
    (0..7).for_each(|n| drop(api.seed(&PODS, pod(&format!("p{n}")))));
    let list = api
        .client("me")
        .list_all(&PODS, None, &ListParams::default().limit(2))
        .await
        .unwrap();
    assert_eq!(list.items.len(), 7);
}

#[tokio::test]
async fn equal_events_become_one_with_a_count() {
    let (api, _, tasks) = setup();
    let made = api
        .client("me")
        .create(&PODS, Some("n"), &pod("a"))
        .await
        .unwrap();
    let recorder = EventRecorder::new(
        api.client("kubelet"),
        "kubelet",
        "node-1",
        Clock::system(),
        &tasks,
    );
    for _ in 0..3 {
        recorder.warning(&*made, "BackOff", "back-off");
    }
    assert!(
        api.eventually(|api| api.all(&EVENTS).first().is_some_and(|e| e["count"] == 3))
            .await
    );
    let event = &api.all(&EVENTS)[0];
    assert_eq!(event["involvedObject"]["name"], "a");
    assert_eq!(
        event["source"],
        json!({"component": "kubelet", "host": "node-1"})
    );
}

#[tokio::test]
async fn informers_of_two_users_hold_one_object() {
    let api = FakeApi::new(Clock::system());
    let tasks = Tasks::root("test");
    let clients = api.factory();
    let informer = |name: &str| {
        let client = clients.for_controller(name);
        let informers = Informers::new(client, Clock::system(), Random::seeded(1), &tasks);
        informers.all(&PODS)
    };
    api.seed(&PODS, pod("listed"));
    let (one, two) = (informer("one"), informer("two"));
    synced(&one).await;
    synced(&two).await;
    api.seed(&PODS, pod("watched"));
    for key in ["n/listed", "n/watched"] {
        until("both hold the same object", || {
            let both = one.get(key).zip(two.get(key));
            both.is_some_and(|(one, two)| std::sync::Arc::ptr_eq(&one, &two))
        })
        .await;
    }
}
