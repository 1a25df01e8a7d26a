//! Keys with a limited lifetime. As in kine, a lease is a number of seconds in the key's row, counted
//! from the write. The table holds no times, so a restart starts every lease again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Shrink as _;
use k3s_base::error::chain;
use k3s_lifecycle::CancellationToken;
use tracing::debug;

use crate::error::WriteError;
use crate::model::{Entry, Event, EventKind, Precondition, Revision, Write};
use crate::shared::Shared;
use crate::writer::Writer;

/// Expiries handled before the clock is read again.
const ROUND: usize = 256;

/// How long until the delete of an expired key is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Which key expires when, on the store's monotonic clock.
#[derive(Default)]
pub(crate) struct Leases {
    by_key: HashMap<Arc<str>, (Duration, Revision)>,
    by_time: BTreeSet<(Duration, Arc<str>)>,
}

impl Leases {
    /// Updates the schedule from committed events; true when the earliest expiry may have changed.
    pub(crate) fn observe(&mut self, events: &[Arc<Event>], now: Duration) -> bool {
        let mut changed = false;
        for event in events {
            let had = event.previous.as_ref().is_some_and(|p| p.lease_secs > 0);
            if had {
                self.forget(event.key());
            }
            if event.kind != EventKind::Delete && event.entry.lease_secs > 0 {
                self.grant(&event.entry, now);
                changed = true;
            }
        }
        changed
    }

    /// Starts or renews an entry's lease.
    pub(crate) fn grant(&mut self, entry: &Entry, now: Duration) {
        self.schedule(
            &entry.key,
            now + Duration::from_secs(u64::from(entry.lease_secs)),
            entry.mod_revision,
        );
    }

    fn schedule(&mut self, key: &Arc<str>, due: Duration, revision: Revision) {
        self.forget(key);
        self.by_key.insert(key.clone(), (due, revision));
        self.by_time.insert((due, key.clone()));
    }

    fn forget(&mut self, key: &Arc<str>) {
        if let Some((due, _)) = self.by_key.remove(key) {
            self.by_time.remove(&(due, key.clone()));
            self.by_key.shrink_when_sparse();
        }
    }

    /// When the next key expires.
    fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Keys that are due, with the revision whose lease ran out. They stay scheduled for another try.
    fn due(&mut self, now: Duration) -> Vec<(Arc<str>, Revision)> {
        let due: Vec<_> = self
            .by_time
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(ROUND)
            .cloned()
            .collect();
        let mut keys = Vec::with_capacity(due.len());
        for (_, key) in due {
            if let Some((_, revision)) = self.by_key.get(&key).copied() {
                self.schedule(&key, now + RETRY, revision);
                keys.push((key, revision));
            }
        }
        keys
    }
}

/// Deletes keys as their leases run out, until told to stop.
pub(crate) async fn run(writer: Writer, shared: Arc<Shared>, stopping: CancellationToken) {
    loop {
        let next = shared.leases.lock().next();
        let wait = next.map(|due| due.saturating_sub(shared.clock.elapsed()));
        tokio::select! {
            () = stopping.cancelled() => return,
            () = shared.lease_schedule_changed.notified() => continue,
            () = sleep_for(wait) => {}
        }
        expire(&writer, &shared).await;
    }
}

async fn sleep_for(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Deletes the keys that are due, each only if it was not written again.
async fn expire(writer: &Writer, shared: &Shared) {
    let due = shared.leases.lock().due(shared.clock.elapsed());
    for (key, revision) in due {
        let delete = Write::delete(key.clone(), Precondition::Revision(revision));
        match writer.write(delete).await {
            Ok(_) => shared.counters.expired.add(1),
            // Written again in the meantime: the new row's lease counts, if it has one.
            Err(WriteError::Conflict { current }) => {
                if current.is_none_or(|entry| entry.lease_secs == 0) {
                    shared.leases.lock().forget(&key);
                }
            }
            Err(error) => {
                debug!(%key, error = chain(&error), "cannot delete an expired key; retrying");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn put(key: &str, revision: u64, lease_secs: u32) -> Arc<Event> {
        let entry = Arc::new(Entry {
            key: key.into(),
            value: bytes::Bytes::new(),
            create_revision: Revision(revision),
            mod_revision: Revision(revision),
            lease_secs,
            attachment: Arc::new(()),
        });
        Arc::new(Event::new(
            Revision(revision),
            EventKind::Put { created: true },
            entry,
            None,
        ))
    }

    #[test]
    fn leases_run_out_in_order_and_are_tried_again() {
        let mut leases = Leases::default();
        assert!(leases.observe(&[put("/a", 1, 5), put("/b", 2, 2)], SEC));
        assert!(!leases.observe(&[put("/c", 3, 0)], SEC));
        assert_eq!(leases.next(), Some(SEC * 3));
        assert!(leases.due(SEC * 2).is_empty());
        assert_eq!(leases.due(SEC * 3), [("/b".into(), Revision(2))]);
        assert_eq!(leases.next(), Some(SEC * 3 + RETRY));
        assert_eq!(leases.due(SEC * 9).len(), 2);
    }

    #[test]
    fn a_write_renews_the_lease() {
        let mut leases = Leases::default();
        leases.observe(&[put("/a", 1, 5)], SEC);
        leases.observe(&[put("/a", 2, 5)], SEC * 4);
        assert_eq!(leases.next(), Some(SEC * 9));
        assert_eq!(leases.by_time.len(), 1);
    }
}
