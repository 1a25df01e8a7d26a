//! The rule by which collections that live long give back the room of what has left them.
//!
//! The standard collections keep the capacity of the most they ever held. After a burst of objects that is many
//! times what they hold, so whoever removes from a collection with one item per object shrinks it by this rule.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

/// Room for so many items is not worth the work.
const FLOOR: usize = 64;

/// A collection that can give room back.
pub trait Shrink {
    /// Halves the spare room, or more, once less than a quarter is in use. Items move then, but not again before half of
    /// them have left, so that a removal costs a constant time on average.
    fn shrink_when_sparse(&mut self);
}

/// The capacity to shrink to; nothing when it should stay.
fn target(len: usize, capacity: usize) -> Option<usize> {
    (capacity > FLOOR && len < capacity / 4).then(|| len.saturating_mul(2).max(FLOOR / 2))
}

impl<K: Eq + Hash, V, S: BuildHasher> Shrink for HashMap<K, V, S> {
    fn shrink_when_sparse(&mut self) {
        if let Some(capacity) = target(self.len(), self.capacity()) {
            self.shrink_to(capacity);
        }
    }
}

impl<T: Eq + Hash, S: BuildHasher> Shrink for HashSet<T, S> {
    fn shrink_when_sparse(&mut self) {
        if let Some(capacity) = target(self.len(), self.capacity()) {
            self.shrink_to(capacity);
        }
    }
}

impl<T> Shrink for VecDeque<T> {
    fn shrink_when_sparse(&mut self) {
        if let Some(capacity) = target(self.len(), self.capacity()) {
            self.shrink_to(capacity);
        }
    }
}

impl<T> Shrink for Vec<T> {
    fn shrink_when_sparse(&mut self) {
        if let Some(capacity) = target(self.len(), self.capacity()) {
            self.shrink_to(capacity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_shrinks_when_most_of_it_has_left_and_not_at_every_removal() {
        let mut map: HashMap<u32, u32> = (0..4096).map(|n| (n, n)).collect();
        let (full, mut shrunk) = (map.capacity(), 0);
        for n in 0..4096 {
            map.remove(&n);
            let before = map.capacity();
            map.shrink_when_sparse();
            shrunk += usize::from(map.capacity() < before);
            assert!(map.capacity() <= FLOOR.max(map.len() * 8), "{n}");
        }
        assert!(full >= 4096 && map.capacity() <= FLOOR);
        assert!((2..=16).contains(&shrunk), "{shrunk}");
    }

    #[test]
    fn what_is_small_or_in_use_keeps_its_room() {
        for (len, capacity, shrinks) in [
            (0, 64, None),
            (0, 65, Some(32)),
            (256, 1024, None),
            (255, 1024, Some(510)),
        ] {
            assert_eq!(target(len, capacity), shrinks, "{len} of {capacity}");
        }
        let mut queue: VecDeque<u32> = (0..1000).collect();
        queue.truncate(10);
        queue.shrink_when_sparse();
        let mut list: Vec<u32> = (0..1000).collect();
        list.truncate(10);
        list.shrink_when_sparse();
        let mut set: HashSet<u32> = (0..1000).collect();
        set.retain(|n| *n < 10);
        set.shrink_when_sparse();
        for capacity in [queue.capacity(), list.capacity(), set.capacity()] {
            assert!((10..=FLOOR).contains(&capacity), "{capacity}");
        }
    }
}
