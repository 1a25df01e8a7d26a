//! The driver against the in-memory API server.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::resources::CONFIG_MAPS;
use k3s_client::{Client, Informers, Patch};
use k3s_lifecycle::Tasks;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler, Statuses};
use serde_json::json;

struct Mark {
    client: Client,
    tries: Arc<AtomicU32>,
}

impl Reconciler for Mark {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        match self.tries.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("on purpose"),
            1 => return Err(Error::other("on purpose")),
            _ => {}
        }
        let (namespace, name) = k3s_client::split_key(key);
        self.client
            .patch(
                &CONFIG_MAPS,
                Some(namespace),
                name,
                &Patch::Merge(json!({"data": {"seen": "yes"}})),
            )
            .await?;
        Ok(Outcome::Done)
    }
}

#[tokio::test]
async fn panics_and_failures_are_retried_and_counted() {
    let api = FakeApi::new(Clock::system());
    let tasks = Tasks::root("test");
    let informers = Informers::new(api.client("t"), Clock::system(), Random::seeded(1), &tasks);
    api.seed(
        &CONFIG_MAPS,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}),
    );
    let statuses = Statuses::default();
    let mark = Mark {
        client: api.client("t"),
        tries: Arc::default(),
    };
    Controller::new("mark")
        .watch_own(&informers.all(&CONFIG_MAPS))
        .run(mark, &statuses, &tasks);
    assert!(
        api.eventually(|api| api
            .get(&CONFIG_MAPS, "n", "c")
            .is_some_and(|c| c["data"]["seen"] == "yes"))
            .await
    );
    let status = &statuses.snapshot()[0];
    assert!(
        status.synced && status.failed == 2 && status.panicked == 1,
        "{status:?}"
    );
    assert!(tasks.stop(Duration::from_secs(5)).await);
    assert!(
        !tasks.failed().is_cancelled(),
        "a contained panic fails no task"
    );
}
