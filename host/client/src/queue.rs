//! The work queue of controllers: each key at most once in line, at most once in work.
//!
//! A key that is added while a worker has it is handed out again after [`WorkQueue::done`]. Keys
//! can be delayed, and failing ones are delayed longer each time. The queue is bounded by the
//! number of distinct keys.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{BackoffPolicy, Shrink as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Delays of a failing key: 5 ms doubling (client-go's default limiter), capped at a minute so
/// that recovery is seen soon.
pub const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(5),
    factor: 2.0,
    cap: Duration::from_secs(60),
    jitter: 0.0,
};

/// A deduplicating, delaying, rate-limiting queue. Cheap to clone; clones are the same queue.
pub struct WorkQueue<K>(Arc<Inner<K>>);

struct Inner<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    retry: BackoffPolicy,
}

struct State<K> {
    line: VecDeque<K>,
    /// Keys that are in line, or wait for the worker that has them.
    dirty: HashSet<K>,
    in_work: HashSet<K>,
    delayed: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    sequence: u64,
    closed: bool,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> std::fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorkQueue({} in line)", self.0.state.lock().line.len())
    }
}

impl<K: Clone + Eq + Hash> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new(RETRY)
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue whose failing keys are delayed by `retry`.
    #[must_use]
    pub fn new(retry: BackoffPolicy) -> Self {
        let state = State {
            line: VecDeque::new(),
            dirty: HashSet::new(),
            in_work: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
            closed: false,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            wake: Notify::new(),
            retry,
        }))
    }

    /// Puts a key in line, unless it is there. Nothing after [`WorkQueue::close`].
    pub fn add(&self, key: K) {
        self.0.state.lock().add(key);
        self.0.wake.notify_one();
    }

    /// Puts a key in line after `delay`; of two delays of one key the shorter counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.0.state.lock().delay(key, Instant::now() + delay);
        // A worker that sleeps until a later moment must check again.
        self.0.wake.notify_one();
    }

    /// Puts a failing key in line after a delay that grows with each call until
    /// [`WorkQueue::forget`].
    pub fn add_rate_limited(&self, key: K) {
        let delay = {
            let mut state = self.0.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            let delay = self.0.retry.delay(*failures);
            *failures = failures.saturating_add(1);
            delay
        };
        self.add_after(key, delay);
    }

    /// Ends a key's row of failures.
    pub fn forget(&self, key: &K) {
        let mut state = self.0.state.lock();
        state.failures.remove(key);
        state.failures.shrink_when_sparse();
    }

    /// How often the key was added as failing since it was last forgotten.
    #[must_use]
    pub fn failures(&self, key: &K) -> u32 {
        self.0.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// The next key, or `None` once the queue is closed. The caller owes a [`WorkQueue::done`].
    pub async fn get(&self) -> Option<K> {
        loop {
            let next_due = {
                let mut state = self.0.state.lock();
                if state.closed {
                    return None;
                }
                state.promote(Instant::now());
                if let Some(key) = state.take() {
                    if !state.line.is_empty() {
                        self.0.wake.notify_one();
                    }
                    return Some(key);
                }
                state.delayed.keys().next().map(|(due, _)| *due)
            };
            match next_due {
                Some(due) => {
                    tokio::select! {
                        () = self.0.wake.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                None => self.0.wake.notified().await,
            }
        }
    }

    /// A worker has finished with a key; if it was added meanwhile, it is queued again.
    pub fn done(&self, key: &K) {
        let mut state = self.0.state.lock();
        state.in_work.remove(key);
        if state.dirty.contains(key) {
            state.line.push_back(key.clone());
            drop(state);
            self.0.wake.notify_one();
        }
    }

    /// Keys in line now; neither those in work nor delayed ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().line.len()
    }

    /// Whether no key is in line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes every worker with `None` and ignores further keys.
    pub fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.wake.notify_waiters();
        self.0.wake.notify_one();
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) {
        if self.closed || !self.dirty.insert(key.clone()) {
            return;
        }
        if !self.in_work.contains(&key) {
            self.line.push_back(key);
        }
    }

    fn delay(&mut self, key: K, due: Instant) {
        if self.closed {
            return;
        }
        if let Some(at) = self.due.get(&key).copied() {
            if at.0 <= due {
                return;
            }
            self.delayed.remove(&at);
        }
        self.sequence += 1;
        let at = (due, self.sequence);
        self.delayed.insert(at, key.clone());
        self.due.insert(key, at);
    }

    fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.due.shrink_when_sparse();
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.line.pop_front()?;
        self.dirty.remove(&key);
        self.line.shrink_when_sparse();
        self.dirty.shrink_when_sparse();
        self.in_work.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_in_work_comes_back_once_after_done() {
        let queue = WorkQueue::default();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.get().await, Some("a"));
        queue.add("a");
        queue.add("a");
        assert!(queue.is_empty());
        queue.done(&"a");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.get().await, Some("a"));
        queue.done(&"a");
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn delayed_keys_come_in_order_of_time() {
        let queue = WorkQueue::default();
        queue.add_after("late", Duration::from_secs(20));
        queue.add_after("soon", Duration::from_millis(40));
        queue.add_after("late", Duration::from_millis(20));
        let start = Instant::now();
        assert_eq!(queue.get().await, Some("late"));
        assert_eq!(queue.get().await, Some("soon"));
        assert!(start.elapsed() >= Duration::from_millis(40));
    }

    #[tokio::test]
    async fn failing_keys_wait_longer_until_forgotten() {
        let queue = WorkQueue::default();
        for expected in [5, 10, 20] {
            let start = Instant::now();
            queue.add_rate_limited("a");
            assert_eq!(queue.get().await, Some("a"));
            assert!(start.elapsed() >= Duration::from_millis(expected));
            queue.done(&"a");
        }
        assert_eq!(queue.failures(&"a"), 3);
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test]
    async fn close_wakes_all_workers() {
        let queue: WorkQueue<u8> = WorkQueue::default();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let q = queue.clone();
                    async move { q.get().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close();
        for worker in workers {
            assert_eq!(worker.await.unwrap(), None);
        }
        queue.add(1);
        assert!(queue.is_empty());
    }
}
