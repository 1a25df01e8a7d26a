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
        let mut last = State::default();
        while group.sleep(INTERVAL).await {
            let Some(now) = State::read() else {
                return;
            };
            last = last.at_most(now);
            if !now.is_wasteful(last) {
                continue;
            }
            // It holds the locks of the arenas, one by one.
            let trimming = tokio::task::spawn_blocking(|| {
                process::trim_heap();
                State::read()
            });
            if let Ok(Some(left)) = trimming.await {
                tracing::debug!(?now, ?left, "gave free memory back");
                last = left;
            }
        }
    });
}

/// The heap and the memory that the process has for it, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    used_bytes: usize,
    /// What was given back still counts as free.
    free_bytes: usize,
    resident_bytes: usize,
}

impl State {
    fn read() -> Option<Self> {
        let Heap {
            used_bytes,
            free_bytes,
        } = process::heap()?;
        Some(Self {
            used_bytes,
            free_bytes,
            resident_bytes: process::anonymous_bytes().ok()?,
        })
    }

    fn at_most(self, other: Self) -> Self {
        Self {
            used_bytes: self.used_bytes.min(other.used_bytes),
            free_bytes: self.free_bytes.min(other.free_bytes),
            resident_bytes: self.resident_bytes.min(other.resident_bytes),
        }
    }

    /// Whether much of the heap is free, and some of that has become so since memory was given back the last
    /// time, after which the lowest state was `last`: by being freed, or by being used and freed in between.
    fn is_wasteful(self, last: Self) -> bool {
        let freed = self.free_bytes.saturating_sub(last.free_bytes);
        let touched = self.resident_bytes.saturating_sub(last.resident_bytes);
        let much = SPARE_BYTES.max(self.used_bytes / 8);
        self.free_bytes > much && freed.max(touched) > SPARE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(used: usize, free: usize, resident: usize) -> State {
        const MIB: usize = 1024 * 1024;
        State {
            used_bytes: used * MIB,
            free_bytes: free * MIB,
            resident_bytes: resident * MIB,
        }
    }

    #[test]
    fn a_heap_is_wasteful_when_much_is_free_that_was_used_since_the_last_turn() {
        for (now, last, wasteful) in [
            (state(20, 4, 40), State::default(), false),
            (state(20, 9, 40), State::default(), true),
            (state(200, 20, 240), State::default(), false),
            // Freed since.
            (state(40, 60, 119), state(95, 5, 119), true),
            // Used and freed since.
            (state(80, 350, 450), state(80, 350, 100), true),
            // Given back already.
            (state(80, 350, 105), state(80, 350, 100), false),
        ] {
            assert_eq!(now.is_wasteful(last), wasteful, "{now:?} after {last:?}");
        }
    }
}
