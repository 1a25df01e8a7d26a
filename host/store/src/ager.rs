//! Lets events leave memory with time: every interval those that were there at the look before. A watcher that is
//! further behind reads from the backend. An empty log needs no look.

use std::sync::Arc;
use std::time::Duration;

use k3s_lifecycle::CancellationToken;

use crate::model::Revision;
use crate::shared::Shared;

/// Looks every `interval` until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, interval: Duration, stopping: CancellationToken) {
    let mut seen = Revision::ZERO;
    loop {
        let due = async {
            if shared.state.read().log.len() == 0 {
                shared.log_grew.notified().await;
            }
            tokio::time::sleep(interval).await;
        };
        tokio::select! {
            () = due => {}
            () = stopping.cancelled() => return,
        }
        let (newest, expired) = {
            let mut state = shared.state.write();
            (state.revision, state.log.expire(seen))
        };
        drop(expired);
        seen = newest;
    }
}
