//! Request bodies on their way and in memory: how many, and how many bytes, of one user and in all.
//!
//! A body counts from before its first byte until its request is answered, since the tree that is
//! made of it stays until then. Bytes count as they come: a length that is only announced costs
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Bodies at once; a task and its buffers each.
const BODIES: usize = 4_096;
/// Of them, bodies of one user.
const BODIES_PER_USER: usize = 512;
/// Bytes of bodies at once. The trees that are made of them take about eight times as much.
const BYTES: usize = 64 * 1024 * 1024;
/// Of them, bytes of one user: five of the largest.
const BYTES_PER_USER: usize = 16 * 1024 * 1024;

/// All bodies of one level.
#[derive(Default)]
pub(super) struct Bodies(Mutex<State>);

#[derive(Default)]
struct State {
    all: Used,
    /// Users who send a body.
    users: HashMap<Arc<str>, Used>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    bodies: usize,
    bytes: usize,
}

/// The room of one body; dropping it gives the room back.
pub(crate) struct BodyRoom {
    bodies: Arc<Bodies>,
    user: Arc<str>,
    bytes: usize,
}

impl BodyRoom {
    /// Room for a body of which nothing has come yet; `None` where there are too many.
    pub(super) fn open(bodies: &Arc<Bodies>, user: &Arc<str>) -> Option<Self> {
        let mut state = bodies.0.lock();
        let own = state.users.get(user).copied().unwrap_or_default();
        if state.all.bodies >= BODIES || own.bodies >= BODIES_PER_USER {
            return None;
        }
        state.change(user, |used| used.bodies = used.bodies.saturating_add(1));
        Some(Self {
            bodies: bodies.clone(),
            user: user.clone(),
            bytes: 0,
        })
    }

    /// Counts bytes that have come; false where there is no room for them.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let mut state = self.bodies.0.lock();
        let own = state.users.get(&self.user).copied().unwrap_or_default();
        let fits = |used: Used, limit: usize| used.bytes.saturating_add(bytes) <= limit;
        if !fits(state.all, BYTES) || !fits(own, BYTES_PER_USER) {
            return false;
        }
        state.change(&self.user, |used| {
            used.bytes = used.bytes.saturating_add(bytes)
        });
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }
}

impl State {
    fn change(&mut self, user: &Arc<str>, change: impl Fn(&mut Used)) {
        change(&mut self.all);
        let own = self.users.entry(user.clone()).or_default();
        change(own);
        if own.bodies == 0 {
            self.users.remove(user);
        }
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.bodies.0.lock().change(&self.user, |used| {
            used.bodies = used.bodies.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_room_for_the_others() {
        let bodies = Arc::new(Bodies::default());
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let mut rooms: Vec<_> = std::iter::from_fn(|| BodyRoom::open(&bodies, &a)).collect();
        assert_eq!(rooms.len(), BODIES_PER_USER);
        let step = 1024 * 1024;
        let grown = (0..BYTES / step).filter(|_| rooms[0].grow(step)).count();
        assert_eq!(grown * step, BYTES_PER_USER);
        let mut other = BodyRoom::open(&bodies, &b).unwrap();
        assert!(other.grow(step));
        drop(rooms);
        assert!(BodyRoom::open(&bodies, &a).unwrap().grow(step));
        drop(other);
        let state = bodies.0.lock();
        assert_eq!(
            (state.all.bodies, state.all.bytes, state.users.len()),
            (0, 0, 0)
        );
    }
}
