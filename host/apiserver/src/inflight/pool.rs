//! Places that users share fairly: a place that becomes free goes to the waiting user who holds the
//! fewest, and no user holds more than a part of them.
//!
//! Invariant: while a place is free, every user that waits holds as many as one may.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests that run at once.
    pub(super) places: usize,
    /// Of them, requests of one user.
    pub(super) places_per_user: usize,
    /// Requests that wait; more are refused.
    pub(super) waiting: usize,
    /// Of them, requests of one user.
    pub(super) waiting_per_user: usize,
}

pub(super) struct Pool {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    /// The last ticket given out; tickets tell who came first.
    tickets: u64,
    /// Users who hold a place or wait for one.
    users: HashMap<Arc<str>, Share>,
}

#[derive(Default)]
struct Share {
    running: usize,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    ticket: u64,
    turn: oneshot::Sender<Place>,
}

/// A place among the running requests; dropping it gives it back.
pub(crate) struct Place {
    /// `None` for a place that was never handed out.
    pool: Option<Arc<Pool>>,
    user: Arc<str>,
}

/// A request that holds a place or stands in line for one. Dropping it leaves the line.
pub(super) struct Turn {
    pool: Arc<Pool>,
    user: Arc<str>,
    ticket: u64,
    place: oneshot::Receiver<Place>,
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Gets in line, at whose head there may be a place at once. `None` where the line is full.
    pub(super) fn enter(self: &Arc<Self>, user: &Arc<str>) -> Option<Turn> {
        let mut state = self.state.lock();
        let may_run = self.may_run(&state, user);
        let queued = state.users.get(user).map_or(0, |share| share.queue.len());
        if !may_run
            && (queued >= self.limits.waiting_per_user || state.waiting >= self.limits.waiting)
        {
            return None;
        }
        let (turn, place) = oneshot::channel();
        state.tickets = state.tickets.saturating_add(1);
        let ticket = state.tickets;
        let share = state.users.entry(user.clone()).or_default();
        share.queue.push_back(Waiter { ticket, turn });
        state.waiting = state.waiting.saturating_add(1);
        self.hand_out(&mut state);
        Some(Turn {
            pool: self.clone(),
            user: user.clone(),
            ticket,
            place,
        })
    }

    fn may_run(&self, state: &State, user: &str) -> bool {
        let held = state.users.get(user).map_or(0, |share| share.running);
        state.running < self.limits.places && held < self.limits.places_per_user
    }

    /// Gives free places to those who wait: the user with the fewest first, of equals who came first.
    fn hand_out(self: &Arc<Self>, state: &mut State) {
        while state.running < self.limits.places && state.waiting > 0 {
            let next = state
                .users
                .iter()
                .filter(|(_, share)| share.running < self.limits.places_per_user)
                .filter_map(|(user, share)| {
                    Some((share.running, share.queue.front()?.ticket, user))
                })
                .min();
            let Some(user) = next.map(|(.., user)| user.clone()) else {
                return;
            };
            let Some(share) = state.users.get_mut(&user) else {
                return;
            };
            let Some(waiter) = share.queue.pop_front() else {
                return;
            };
            share.running = share.running.saturating_add(1);
            state.running = state.running.saturating_add(1);
            state.waiting = state.waiting.saturating_sub(1);
            let place = Place {
                pool: Some(self.clone()),
                user,
            };
            // Whoever leaves the line is out of it before the receiver is dropped.
            if let Err(mut place) = waiter.turn.send(place) {
                place.pool = None;
                state.give_back(&place.user);
            }
        }
    }
}

impl State {
    fn give_back(&mut self, user: &Arc<str>) {
        self.running = self.running.saturating_sub(1);
        if let Some(share) = self.users.get_mut(user) {
            share.running = share.running.saturating_sub(1);
        }
        self.forget(user);
    }

    /// Keeps nothing of a user without requests.
    fn forget(&mut self, user: &Arc<str>) {
        let share = self.users.get(user);
        if share.is_some_and(|share| share.running == 0 && share.queue.is_empty()) {
            self.users.remove(user);
        }
    }
}

impl Turn {
    /// Waits for the place. Cancel safe: a turn that is dropped gives up place or position.
    pub(super) async fn wait(mut self) -> Place {
        match (&mut self.place).await {
            Ok(place) => place,
            // The sender stays in line until it is used.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let Some(share) = state.users.get_mut(&self.user) else {
            return;
        };
        let before = share.queue.len();
        share.queue.retain(|waiter| waiter.ticket != self.ticket);
        let left = before.saturating_sub(share.queue.len());
        state.waiting = state.waiting.saturating_sub(left);
        state.forget(&self.user);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else {
            return;
        };
        let mut state = pool.state.lock();
        state.give_back(&self.user);
        pool.hand_out(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn pool() -> Arc<Pool> {
        Pool::new(Limits {
            places: 4,
            places_per_user: 3,
            waiting: 5,
            waiting_per_user: 3,
        })
    }

    fn enter(pool: &Arc<Pool>, user: &str) -> Option<Turn> {
        pool.enter(&Arc::from(user))
    }

    /// The place of a turn that has come.
    fn now(turn: Turn) -> Option<Place> {
        turn.wait().now_or_never()
    }

    #[test]
    fn one_user_cannot_hold_the_last_places() {
        let pool = pool();
        let held: Vec<_> = (0..3)
            .map(|_| now(enter(&pool, "a").unwrap()).unwrap())
            .collect();
        assert!(now(enter(&pool, "a").unwrap()).is_none());
        let other = now(enter(&pool, "b").unwrap());
        assert!(other.is_some(), "the last place is for others");
        drop((held, other));
        assert_eq!(pool.state.lock().running, 0);
        assert!(
            pool.state.lock().users.is_empty(),
            "nothing is kept of users without requests"
        );
    }

    #[test]
    fn a_free_place_goes_to_the_user_with_the_fewest() {
        let pool = pool();
        let mut a: Vec<_> = (0..3)
            .map(|_| now(enter(&pool, "a").unwrap()).unwrap())
            .collect();
        let b = now(enter(&pool, "b").unwrap()).unwrap();
        let (mut waits_a, mut waits_c) = (enter(&pool, "a").unwrap(), enter(&pool, "c").unwrap());
        drop(a.pop());
        let c = (&mut waits_c.place).now_or_never();
        assert!(c.is_some(), "c held none");
        assert!((&mut waits_a.place).now_or_never().is_none());
        drop(b);
        assert!((&mut waits_a.place).now_or_never().is_some());
    }

    #[test]
    fn lines_have_an_end_for_each_user_and_for_all() {
        let pool = pool();
        let held: Vec<_> = (0..4)
            .map(|at| now(enter(&pool, &format!("h{at}")).unwrap()).unwrap())
            .collect();
        let line: Vec<_> = (0..3).map(|_| enter(&pool, "a").unwrap()).collect();
        assert!(enter(&pool, "a").is_none(), "the user's line is full");
        let others: Vec<_> = (0..2).map(|_| enter(&pool, "b").unwrap()).collect();
        assert!(enter(&pool, "c").is_none(), "the whole line is full");
        drop(line);
        assert_eq!(pool.state.lock().waiting, 2, "who gives up leaves the line");
        assert!(enter(&pool, "c").is_some());
        drop((held, others));
        assert!(pool.state.lock().users.is_empty());
    }

    #[test]
    fn a_turn_that_came_and_was_dropped_gives_its_place_on() {
        let pool = pool();
        let turns: Vec<_> = (0..4)
            .map(|at| enter(&pool, &format!("u{at}")).unwrap())
            .collect();
        let late = enter(&pool, "late").unwrap();
        drop(turns);
        assert!(now(late).is_some());
    }
}
