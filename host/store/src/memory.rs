//! A backend that keeps the log in memory: the reference for the contract, and the store of tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::backend::{
    AfterBatch, AfterRequest, Append, Backend, BackendError, Change, Opened, Outcome, RangeBatch,
    RangeRequest, Record,
};
use crate::model::{EventKind, Revision};

/// Keeps everything in memory. Clones share it, so a "restart" is opening a clone.
#[derive(Clone, Default)]
pub struct MemoryBackend(Arc<Mutex<Table>>);

struct Table {
    rows: BTreeMap<Revision, Change>,
    revision: Revision,
    compacted: Revision,
}

impl Default for Table {
    /// Revision 1 is taken, as in kine, whose first row is the compaction marker: clients must never
    /// see resourceVersion 0.
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            revision: Revision(1),
            compacted: Revision::ZERO,
        }
    }
}

impl MemoryBackend {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Table {
    /// `row` was decided when the log ended at `head`.
    fn append(&mut self, head: Revision, row: &Append) -> Outcome {
        let created = row.kind == EventKind::Put { created: true };
        let replaced = |c: &Change| c.key == row.key && c.prev_revision == row.prev_revision;
        let changed = self
            .rows
            .range(head.plus(1)..)
            .any(|(_, c)| c.key == row.key);
        if changed || !created && self.rows.values().any(replaced) {
            return Outcome::Conflict;
        }
        self.revision = self.revision.plus(1);
        let change = Change {
            revision: self.revision,
            key: row.key.clone(),
            kind: row.kind,
            create_revision: if created {
                self.revision
            } else {
                row.create_revision
            },
            prev_revision: row.prev_revision,
            lease_secs: row.lease_secs,
            value: row.value.clone(),
            old_value: row.old_value.clone(),
        };
        self.rows.insert(self.revision, change);
        Outcome::Committed(self.revision)
    }

    fn check(&self, revision: Revision) -> Result<(), BackendError> {
        if revision < self.compacted {
            Err(BackendError::Compacted(self.compacted))
        } else {
            Ok(())
        }
    }

    /// The newest row of each key, as of `at`.
    fn latest(&self, at: Revision) -> BTreeMap<&Arc<str>, &Change> {
        self.rows
            .range(..=at)
            .map(|(_, row)| (&row.key, row))
            .collect()
    }

    fn compact(&mut self, to: Revision) {
        let keep: Vec<Revision> = self
            .latest(to)
            .into_values()
            .filter(|row| row.kind != EventKind::Delete)
            .map(|row| row.revision)
            .collect();
        self.rows
            .retain(|revision, _| *revision > to || keep.contains(revision));
        self.compacted = to;
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn open(&self) -> Result<Opened, BackendError> {
        let table = self.0.lock();
        Ok(Opened {
            revision: table.revision,
            compacted: table.compacted,
        })
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        let mut table = self.0.lock();
        if table.revision < head || table.compacted > head {
            return Err(BackendError::Stale(table.revision));
        }
        Ok(writes.iter().map(|row| table.append(head, row)).collect())
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        let table = self.0.lock();
        table.check(request.after)?;
        let mut batch = AfterBatch {
            changes: Vec::new(),
            through: request.through,
        };
        let mut bytes = 0;
        for (revision, row) in table
            .rows
            .range(request.after.plus(1)..=request.through.max(request.after.plus(1)))
        {
            if *revision > request.through || !row.key.starts_with(&*request.prefix) {
                continue;
            }
            bytes += row.value.len() + row.old_value.len();
            if batch.changes.len() >= request.limit
                || (bytes > request.limit_bytes && !batch.changes.is_empty())
            {
                batch.through = batch
                    .changes
                    .last()
                    .map_or(request.after, |c: &Change| c.revision);
                break;
            }
            batch.changes.push(row.clone());
        }
        Ok(batch)
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        let table = self.0.lock();
        table.check(request.at)?;
        let mut batch = RangeBatch::default();
        let mut bytes = 0;
        for (key, row) in table.latest(request.at) {
            let wanted = key.starts_with(&*request.prefix)
                && request.start_after.as_ref().is_none_or(|a| key > a);
            if !wanted || row.kind == EventKind::Delete {
                continue;
            }
            bytes += row.value.len();
            if batch.records.len() >= request.limit
                || (bytes > request.limit_bytes && !batch.records.is_empty())
            {
                batch.more = true;
                break;
            }
            batch.records.push(Record {
                key: key.clone(),
                value: row.value.clone(),
                create_revision: row.create_revision,
                mod_revision: row.revision,
                lease_secs: row.lease_secs,
            });
        }
        Ok(batch)
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        let mut table = self.0.lock();
        let to = to.min(table.revision);
        if to > table.compacted {
            table.compact(to);
        }
        Ok(table.compacted)
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        let table = self.0.lock();
        Ok(table
            .rows
            .values()
            .map(|r| (r.key.len() + r.value.len() + r.old_value.len()) as u64)
            .sum())
    }

    async fn health(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
