//! Gives memory back to the kernel after work that needed much of it.
//!
//! glibc keeps what was freed for the next allocation. After 2,000 pods came and went, or after large requests, that
//! is several times what is in use, and on a small machine the pods need it. So large blocks are mapped one by
//! one, arenas are few ([`k3s_sys::process::set_up_heap`]), and what still is free in them is given back by a
//! task that looks from time to time. glibc has no event for it.

use std::time::Duration;

use k3s_lifecycle::Tasks;
use k3s_sys::process::{self, Heap};

/// How often the heap is looked at, which costs some microseconds. Memory that is needed again within this time
/// need not be asked for again.
const INTERVAL: Duration = Duration::from_secs(20);
/// Free memory that is not worth the work: giving back 100 MiB takes some 10 ms of one thread.
const SPARE_BYTES: usize = 8 * 1024 * 1024;

/// Starts to look after the heap, until `tasks` stop.
pub(crate) fn start(tasks: &Tasks) {
    let group = tasks.clone();
    tasks.spawn("heap", async move {
        let mut trimmed_to = 0;
        while group.sleep(INTERVAL).await {
            let (Some(heap), Ok(resident)) = (process::heap(), process::anonymous_bytes()) else {
                return;
            };
            trimmed_to = resident.min(trimmed_to);
            if !is_wasteful(heap, resident, trimmed_to) {
                continue;
            }
            // It holds the locks of the arenas, one by one.
            let trimming = tokio::task::spawn_blocking(|| {
                process::trim_heap();
                process::anonymous_bytes()
            });
            if let Ok(Ok(left)) = trimming.await {
                trimmed_to = left;
                tracing::debug!(before = resident, left, "gave free memory back");
            }
        }
    });
}

/// Whether much of what the heap holds is free, and some of it was used since the last turn, after which the process had
/// `trimmed_to` bytes: what was given back still counts as free.
fn is_wasteful(heap: Heap, resident: usize, trimmed_to: usize) -> bool {
    let much = SPARE_BYTES.max(heap.used_bytes / 8);
    heap.free_bytes > much && resident.saturating_sub(trimmed_to) > SPARE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_is_wasteful_when_much_is_free_that_was_used_since_the_last_turn() {
        const MIB: usize = 1024 * 1024;
        for (used, free, resident, trimmed_to, wasteful) in [
            (20, 4, 40, 0, false),
            (20, 9, 40, 0, true),
            (200, 20, 240, 0, false),
            (80, 350, 450, 100, true),
            // Given back already.
            (80, 350, 105, 100, false),
        ] {
            let heap = Heap {
                used_bytes: used * MIB,
                free_bytes: free * MIB,
            };
            let found = is_wasteful(heap, resident * MIB, trimmed_to * MIB);
            assert_eq!(found, wasteful, "{used} {free} {resident} {trimmed_to}");
        }
    }
}
