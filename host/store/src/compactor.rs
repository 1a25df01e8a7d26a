//! Drops old history: every interval, up to what was the newest revision one interval ago, and
//! never the newest [`StoreOptions::compact_retain`] revisions. An idle store compacts nothing.
//!
//! [`StoreOptions::compact_retain`]: crate::StoreOptions::compact_retain

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::CancellationToken;
use tracing::{debug, warn};

use crate::backend::BackendError;
use crate::model::Revision;
use crate::shared::Shared;

/// Revisions per backend transaction, so that writes wait for a step and not for a whole compaction
/// (kine's batch size).
const STEP: u64 = 1000;

/// Compacts every `interval` until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, interval: Duration, stopping: CancellationToken) {
    let mut target = shared.revision();
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stopping.cancelled() => return,
        }
        let next = shared.revision();
        match compact(&shared, target, shared.options.compact_retain).await {
            Ok(compacted) => debug!(%compacted, "compacted"),
            Err(error) => warn!(
                error = chain(&error),
                "compaction failed; the next interval tries again"
            ),
        }
        target = next;
    }
}

/// Compacts up to `target` as far as `retain` allows; returns the compacted revision.
pub(crate) async fn compact(
    shared: &Shared,
    target: Revision,
    retain: u64,
) -> Result<Revision, BackendError> {
    let (newest, start) = {
        let state = shared.state.read();
        (state.revision, state.compacted)
    };
    let target = target.min(newest.minus(retain));
    let mut compacted = start;
    while compacted < target {
        compacted = shared
            .backend
            .compact(target.min(compacted.plus(STEP)))
            .await?;
        shared.state.write().compacted = compacted;
    }
    if compacted > start {
        shared.counters.compactions.add(1);
        shared.backend.maintain().await?;
    }
    Ok(compacted)
}
