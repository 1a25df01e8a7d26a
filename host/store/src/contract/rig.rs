//! A store on a backend under test, and the few helpers that the cases share.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract case fails by panicking"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_lifecycle::Tasks;

use crate::backend::Backend;
use crate::list::ListOptions;
use crate::model::{Committed, Precondition, Revision, Write};
use crate::options::StoreOptions;
use crate::store::Store;

/// How long a condition may remain false before the case fails.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Rig {
    pub(super) store: Store,
    tasks: Tasks,
}

impl Rig {
    pub(super) async fn open(backend: Arc<dyn Backend>) -> Self {
        Self::with(backend, StoreOptions::default()).await
    }

    pub(super) async fn with(backend: Arc<dyn Backend>, options: StoreOptions) -> Self {
        let tasks = Tasks::root("contract");
        let options = StoreOptions {
            compact_interval: None,
            ..options
        };
        let store = Store::open(backend, options, Clock::system(), &tasks)
            .await
            .expect("the store opens");
        Self { store, tasks }
    }

    pub(super) async fn stop(self) {
        assert!(
            self.tasks.stop(DEADLINE).await,
            "the store's tasks stop by themselves"
        );
    }

    pub(super) async fn put(&self, key: &str, value: &str) -> Committed {
        let write = Write::put(key, Precondition::Any, value.as_bytes().to_vec());
        within("a put", self.store.write(write))
            .await
            .expect("the put commits")
    }

    pub(super) async fn delete(&self, key: &str) -> Committed {
        within(
            "a delete",
            self.store.write(Write::delete(key, Precondition::Any)),
        )
        .await
        .expect("the delete commits")
    }

    /// `key=value` of everything below `prefix`, as of `at`.
    pub(super) async fn dump(&self, prefix: &str, at: Option<Revision>) -> Vec<String> {
        let page = self
            .store
            .list(
                prefix,
                ListOptions {
                    at,
                    ..ListOptions::default()
                },
            )
            .await
            .expect("the list");
        page.entries
            .iter()
            .map(|e| format!("{}={}", e.key, String::from_utf8_lossy(&e.value)))
            .collect()
    }
}

/// Awaits `future`, failing with `what` at the deadline.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in time"),
    }
}

/// Polls until `holds`, failing with `what` at the deadline.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
