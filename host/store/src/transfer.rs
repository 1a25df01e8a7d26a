//! Copies the contents of one backend to another while no store uses either.
//!
//! Every live key is copied with its value and lease, in the order in which the values were written,
//! which keeps the order of revisions. Their numbers change: the target counts from its own start.
//! History is not copied. All keys are held in memory meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::backend::{Append, Backend, BackendError, RangeRequest, Record};
use crate::model::{EventKind, Revision};

/// Rows per read and per commit.
const ROWS: usize = 512;

/// Bytes per read and per commit, within the limit of one plugin call.
const BYTES: usize = 1 << 20;

/// A summary of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Number of keys.
    pub keys: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// The newest revision at the source.
    pub from: Revision,
    /// The newest revision at the target.
    pub to: Revision,
}

/// Why the copy is missing or incomplete.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The target already has data.
    #[error("the target is not empty: it is at revision {0}; nothing was copied")]
    NotEmpty(Revision),
    /// The source has no keys.
    #[error("there is nothing to copy: the source holds no keys")]
    Nothing,
    /// A server still writes to the source.
    #[error(
        "the source changed while it was copied (revision {0} became {1}); stop its servers and start over with an empty target"
    )]
    Changed(Revision, Revision),
    /// The target returns other data than were written to it.
    #[error("the target differs from the source at key {0}")]
    Differs(Arc<str>),
    /// The source cannot be read.
    #[error("cannot read the source")]
    Source(#[source] BackendError),
    /// The target cannot be written.
    #[error("cannot write the target")]
    Target(#[source] BackendError),
}

/// Copies all of `from` into `to`, and reads it back to compare.
///
/// # Errors
/// See [`CopyError`]. After a failure the target may hold a part of the keys.
pub async fn copy(from: &dyn Backend, to: &dyn Backend) -> Result<Copied, CopyError> {
    let target = to.open().await.map_err(CopyError::Target)?;
    if target.revision > Revision(1) {
        return Err(CopyError::NotEmpty(target.revision));
    }
    let source = from.open().await.map_err(CopyError::Source)?.revision;
    let mut records = read(from, source).await.map_err(CopyError::Source)?;
    if records.is_empty() {
        return Err(CopyError::Nothing);
    }
    records.sort_unstable_by_key(|record| record.mod_revision);
    let end = write(to, target.revision, &records)
        .await
        .map_err(CopyError::Target)?;
    let now = from.open().await.map_err(CopyError::Source)?.revision;
    if now != source {
        return Err(CopyError::Changed(source, now));
    }
    compare(
        records.as_mut_slice(),
        &read(to, end).await.map_err(CopyError::Target)?,
    )?;
    let bytes = records.iter().map(|r| r.value.len() as u64).sum();
    Ok(Copied {
        keys: records.len() as u64,
        bytes,
        from: source,
        to: end,
    })
}

async fn read(backend: &dyn Backend, at: Revision) -> Result<Vec<Record>, BackendError> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let start_after = all.last().map(|r| r.key.clone());
        let request = RangeRequest {
            prefix: "".into(),
            start_after,
            at,
            limit: ROWS,
            limit_bytes: BYTES,
        };
        let batch = backend.range(request).await?;
        if batch.more && batch.records.is_empty() {
            return Err(BackendError::Corrupt(
                "reading the keys in order makes no progress".to_owned(),
            ));
        }
        all.extend(batch.records);
        if !batch.more {
            return Ok(all);
        }
    }
}

async fn write(
    backend: &dyn Backend,
    mut head: Revision,
    records: &[Record],
) -> Result<Revision, BackendError> {
    let mut rest = records;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |record: &&Record| {
            bytes += record.value.len();
            bytes <= BYTES
        };
        let count = rest.iter().take(ROWS).take_while(fits).count().max(1);
        let (batch, later) = rest.split_at(count.min(rest.len()));
        let rows: Vec<Append> = batch.iter().map(creation).collect();
        let outcomes = backend.append(head, rows.into()).await?;
        head = head.plus(outcomes.len() as u64);
        rest = later;
    }
    Ok(head)
}

fn creation(record: &Record) -> Append {
    Append {
        key: record.key.clone(),
        kind: EventKind::Put { created: true },
        create_revision: Revision::ZERO,
        prev_revision: Revision::ZERO,
        lease_secs: record.lease_secs,
        value: record.value.clone(),
        old_value: Bytes::new(),
    }
}

/// Sorts `wanted` by key, the order in which `found` is.
fn compare(wanted: &mut [Record], found: &[Record]) -> Result<(), CopyError> {
    wanted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let same = |a: &Record, b: &Record| {
        (&a.key, &a.value, a.lease_secs) == (&b.key, &b.value, b.lease_secs)
    };
    let differs = wanted
        .iter()
        .zip(found)
        .find(|(a, b)| !same(a, b))
        .map(|(a, _)| a.key.clone());
    let missing = wanted
        .get(found.len())
        .or_else(|| found.get(wanted.len()))
        .map(|r| r.key.clone());
    differs
        .or(missing)
        .map_or(Ok(()), |key| Err(CopyError::Differs(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBackend;

    async fn filled() -> MemoryBackend {
        let backend = MemoryBackend::new();
        let put = |key: &str, value: &str, lease_secs| Append {
            key: key.into(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            ..creation(&Record {
                key: key.into(),
                value: Bytes::new(),
                create_revision: Revision::ZERO,
                mod_revision: Revision::ZERO,
                lease_secs,
            })
        };
        let batch = vec![put("/b", "1", 0), put("/a", "2", 7), put("/gone", "3", 0)];
        backend.append(Revision(1), batch.into()).await.unwrap();
        let delete = Append {
            kind: EventKind::Delete,
            create_revision: Revision(4),
            prev_revision: Revision(4),
            ..put("/gone", "3", 0)
        };
        backend
            .append(Revision(4), vec![delete].into())
            .await
            .unwrap();
        backend
    }

    #[tokio::test]
    async fn copies_keys_in_the_order_of_their_revisions() {
        let (from, to) = (filled().await, MemoryBackend::new());
        let copied = copy(&from, &to).await.unwrap();
        assert_eq!(
            (copied.keys, copied.bytes, copied.from, copied.to),
            (2, 2, Revision(5), Revision(3))
        );
        let all = read(&to, Revision(3)).await.unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|r| (&*r.key, &*r.value, r.mod_revision.0, r.lease_secs))
            .collect();
        assert_eq!(shown, [("/a", &b"2"[..], 3, 7), ("/b", &b"1"[..], 2, 0)]);
    }

    #[tokio::test]
    async fn refuses_a_used_target_and_an_empty_source() {
        let (full, empty) = (filled().await, MemoryBackend::new());
        assert!(matches!(
            copy(&full, &filled().await).await,
            Err(CopyError::NotEmpty(Revision(5)))
        ));
        assert!(matches!(
            copy(&empty, &MemoryBackend::new()).await,
            Err(CopyError::Nothing)
        ));
    }
}
