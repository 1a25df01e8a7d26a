//! The tasks of a controller.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use k3s_base::error::chain;
use k3s_client::{Informer, InformerEvent, WorkQueue};
use k3s_lifecycle::{CancellationToken, Tasks};
use tracing::{debug, warn};

use crate::error::Error;
use crate::status::{Live, Statuses};

/// The unit of a controller's work: `namespace/name`, `name`, or any other text.
pub type Key = Arc<str>;

/// From this many failures in a row, a failure is logged as a warning.
const WARN_AFTER: u32 = 5;

/// How a reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done until something changes.
    Done,
    /// Reconcile again after this time, or earlier if something changes.
    After(Duration),
}

/// The logic of a controller.
pub trait Reconciler: Send + Sync + 'static {
    /// Moves the observed state of one key towards the desired state. Never called twice at once for a
    /// key.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Outcome, Error>> + Send;
}

type Mapper = Box<dyn Fn(&InformerEvent) -> Vec<Key> + Send>;

/// A builder of a controller.
pub struct Controller {
    name: &'static str,
    queue: WorkQueue<Key>,
    workers: usize,
    sources: Vec<(Informer, Mapper)>,
    required: Vec<Informer>,
    first: Vec<Key>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Controller({})", self.name)
    }
}

impl Controller {
    /// A controller that watches nothing yet and has two workers.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            queue: WorkQueue::default(),
            workers: 2,
            sources: Vec::new(),
            required: Vec::new(),
            first: Vec::new(),
        }
    }

    /// Sets the number of workers: how many keys are reconciled at once.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count.max(1);
        self
    }

    /// Watches a collection; `keys` maps a change to the keys that it concerns. It runs in the source's own
    /// task, for each change in order, and must not block.
    #[must_use]
    pub fn watch(
        mut self,
        informer: &Informer,
        keys: impl Fn(&InformerEvent) -> Vec<Key> + Send + 'static,
    ) -> Self {
        self.sources.push((informer.clone(), Box::new(keys)));
        self
    }

    /// Watches the collection whose own keys are the controller's keys.
    #[must_use]
    pub fn watch_own(self, informer: &Informer) -> Self {
        self.watch(informer, |event| vec![event.object().key().clone()])
    }

    /// Waits for a collection that is only read.
    #[must_use]
    pub fn requires(mut self, informer: &Informer) -> Self {
        self.required.push(informer.clone());
        self
    }

    /// A key to reconcile once at the start.
    #[must_use]
    pub fn starts_with(mut self, key: impl Into<Key>) -> Self {
        self.first.push(key.into());
        self
    }

    /// The queue, for reconcilers that add keys themselves.
    #[must_use]
    pub fn queue(&self) -> WorkQueue<Key> {
        self.queue.clone()
    }

    /// Starts the tasks. Workers start once every informer has synced.
    pub fn run<R: Reconciler>(self, reconciler: R, statuses: &Statuses, tasks: &Tasks) {
        let Self {
            name,
            queue,
            workers,
            sources,
            required,
            first,
        } = self;
        let tasks = tasks.child(name);
        let live = Arc::new(Live::new(queue.clone()));
        statuses.register(name, live.clone());
        let mut awaited: Vec<Informer> = sources
            .iter()
            .map(|(informer, _)| informer.clone())
            .collect();
        awaited.extend(required);
        for (informer, mapper) in sources {
            tasks.spawn_until_stopped("source", follow(informer, mapper, queue.clone()));
        }
        first.into_iter().for_each(|key| queue.add(key));
        let ready = CancellationToken::new();
        tasks.spawn_until_stopped("sync", sync(awaited, live.clone(), ready.clone()));
        let reconciler = Arc::new(reconciler);
        for _ in 0..workers {
            let worker = Worker {
                name,
                queue: queue.clone(),
                live: live.clone(),
                reconciler: reconciler.clone(),
            };
            let ready = ready.clone();
            tasks.spawn_until_stopped("worker", async move {
                ready.cancelled().await;
                worker.run().await;
            });
        }
    }
}

async fn follow(informer: Informer, mapper: Mapper, queue: WorkQueue<Key>) {
    let mut changes = informer.subscribe();
    loop {
        let event = changes.next().await;
        mapper(&event).into_iter().for_each(|key| queue.add(key));
    }
}

async fn sync(awaited: Vec<Informer>, live: Arc<Live>, ready: CancellationToken) {
    for informer in &awaited {
        informer.has_synced().await;
    }
    live.synced.store(true, Ordering::Relaxed);
    ready.cancel();
    // What is only read stays alive as long as the controller.
    std::future::pending::<()>().await;
    drop(awaited);
}

struct Worker<R> {
    name: &'static str,
    queue: WorkQueue<Key>,
    live: Arc<Live>,
    reconciler: Arc<R>,
}

impl<R: Reconciler> Worker<R> {
    async fn run(self) {
        while let Some(key) = self.queue.get().await {
            // A reconciler keeps no lock across a call, so a panic leaves nothing half done that
            // the next reconciliation would not see.
            let result = AssertUnwindSafe(self.reconciler.reconcile(&key))
                .catch_unwind()
                .await;
            self.finish(&key, result.unwrap_or_else(|_| Err(self.panicked())));
            self.queue.done(&key);
        }
    }

    fn panicked(&self) -> Error {
        self.live.panicked.fetch_add(1, Ordering::Relaxed);
        Error::Panicked
    }

    fn finish(&self, key: &Key, result: Result<Outcome, Error>) {
        match result {
            Ok(outcome) => {
                self.live.reconciled.fetch_add(1, Ordering::Relaxed);
                self.queue.forget(key);
                if let Outcome::After(delay) = outcome {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                self.live.failed.fetch_add(1, Ordering::Relaxed);
                let error_text = chain(&error);
                *self.live.last_error.lock() = Some(format!("{key}: {error_text}"));
                let failures = self.queue.failures(key);
                if failures >= WARN_AFTER && !error.is_race() {
                    warn!(controller = self.name, %key, error = error_text, failures, "cannot reconcile");
                } else {
                    debug!(controller = self.name, %key, error = error_text, failures, "cannot reconcile yet");
                }
                self.queue.add_rate_limited(key.clone());
            }
        }
    }
}
