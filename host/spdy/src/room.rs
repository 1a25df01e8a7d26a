//! What one connection may hold for readers that are slow.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Octets that wait for the readers of one connection. Without room nothing more is read from it: queues for each
/// of many streams would hold too much together.
#[derive(Clone, Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    capacity_bytes: u32,
}

impl Room {
    /// Room for as many octets.
    #[must_use]
    pub fn new(capacity_bytes: u32) -> Self {
        let permits = usize::try_from(capacity_bytes).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            left: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            capacity_bytes,
        }
    }

    /// Waits for room, which the data keeps until its last part is dropped. Data that is longer than all of the room
    /// takes all of it.
    pub async fn hold(&self, data: Bytes) -> Bytes {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let wanted = length.min(self.capacity_bytes);
        match self.left.clone().acquire_many_owned(wanted).await {
            Ok(room) => Bytes::from_owner(Held { data, _room: room }),
            // It is never closed.
            Err(_) => data,
        }
    }
}

struct Held {
    data: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn room_is_free_again_when_the_last_part_of_the_data_is_dropped() {
        let room = Room::new(4);
        let hold = |text: &'static [u8]| room.hold(Bytes::from_static(text)).now_or_never();
        let mut held = hold(b"abc").unwrap();
        let part = held.split_to(1);
        assert_eq!((&part[..], &held[..]), (&b"a"[..], &b"bc"[..]));
        drop(held);
        assert!(hold(b"xy").is_none());
        drop(part);
        assert!(hold(b"longer than all of it").is_some());
    }
}
