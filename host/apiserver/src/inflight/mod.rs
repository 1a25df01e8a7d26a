//! How many requests run at once, and whose turn it is.
//!
//! The system's own components come first: what this process asks itself, and whoever may do everything
//! (`system:masters`), never waits here, as upstream exempts them. Nodes share places among
//! themselves, and so do all other users; in either pool no user can take the places of the others
//! ([`pool`]). A request takes its place once its body is here, since a client can be as slow as it
//! likes with that; bodies on their way have bounds of their own ([`bodies`]). Long-running requests
//! do not count: watches would fill any bound by doing nothing.
//!
//! The levels are the coarse form of upstream's API priority and fairness.

mod bodies;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use k3s_meta::{Status, UserInfo};
use k3s_registry::{Error, Result};

pub(crate) use bodies::BodyRoom;
pub(crate) use pool::Place;

use crate::authz::MASTERS;
use crate::authz::node::node_of;
use bodies::Bodies;
use pool::{Limits, Pool};

/// `--max-requests-inflight`.
const READING: usize = 400;
/// `--max-mutating-requests-inflight`; as many again as fit one datastore batch twice over.
const MUTATING: usize = 1024;
/// Requests that may wait in one pool; each holds a few kilobytes and its body.
const WAITING: usize = 10_000;
/// Of them, requests of one user.
const WAITING_PER_USER: usize = 2_500;
/// Clients have timed out by then.
const WAIT: Duration = Duration::from_secs(15);
/// When a client that is refused may try again.
const RETRY_SECONDS: u32 = 1;

/// Whose requests share places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// This process, and `system:masters`: neither waits nor is refused.
    Exempt,
    /// Kubelets of other machines.
    Nodes,
    /// Everybody else.
    Users,
}

/// Who sent a request, as far as its turn depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    level: Level,
    user: Arc<str>,
}

impl Flow {
    /// `asserted` is true for requests that this process sends to itself.
    pub(crate) fn new(user: &UserInfo, asserted: bool) -> Self {
        let level = if asserted || user.in_group(MASTERS) {
            Level::Exempt
        } else if node_of(user).is_some() {
            Level::Nodes
        } else {
            Level::Users
        };
        Self {
            level,
            user: user.name.as_str().into(),
        }
    }
}

/// All places, and the room for bodies.
#[derive(Default)]
pub(crate) struct Inflight {
    nodes: Shared,
    users: Shared,
}

/// What the users of one level share.
struct Shared {
    reading: Arc<Pool>,
    mutating: Arc<Pool>,
    bodies: Arc<Bodies>,
}

impl Default for Shared {
    fn default() -> Self {
        let pool = |places: usize| {
            Pool::new(Limits {
                places,
                // The rest is for the others, however long the requests of one take.
                places_per_user: places / 2,
                waiting: WAITING,
                waiting_per_user: WAITING_PER_USER,
            })
        };
        Self {
            reading: pool(READING),
            mutating: pool(MUTATING),
            bodies: Arc::default(),
        }
    }
}

impl Inflight {
    /// Waits for a place among the running requests; dropping it gives the place back. `None` for
    /// those who need none.
    ///
    /// # Errors
    /// 429 where too many wait already, or the turn does not come in time.
    pub(crate) async fn enter(&self, flow: &Flow, mutating: bool) -> Result<Option<Place>> {
        let Some(shared) = self.shared(flow) else {
            return Ok(None);
        };
        let pool = if mutating {
            &shared.mutating
        } else {
            &shared.reading
        };
        let turn = pool.enter(&flow.user).ok_or_else(full)?;
        match tokio::time::timeout(WAIT, turn.wait()).await {
            Ok(place) => Ok(Some(place)),
            Err(_elapsed) => Err(full()),
        }
    }

    /// Room for one body on its way; dropping it gives the room back. `None` for those who need none.
    ///
    /// # Errors
    /// 429 where the user or all users together send too many at once.
    pub(crate) fn body(&self, flow: &Flow) -> Result<Option<BodyRoom>> {
        let Some(shared) = self.shared(flow) else {
            return Ok(None);
        };
        let room = BodyRoom::open(&shared.bodies, &flow.user);
        room.map(Some).ok_or_else(full)
    }

    fn shared(&self, flow: &Flow) -> Option<&Shared> {
        match flow.level {
            Level::Exempt => None,
            Level::Nodes => Some(&self.nodes),
            Level::Users => Some(&self.users),
        }
    }
}

/// The refusal of a client that sends too much at once.
pub(crate) fn full() -> Error {
    let text = "Too many requests, please try again later.";
    Status::too_many_requests(text, RETRY_SECONDS).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_components_administrators_and_nodes_are_apart_from_users() {
        let masters = UserInfo::new("admin", [MASTERS]);
        let node = UserInfo::new("system:node:a", ["system:nodes"]);
        let account = UserInfo::new("system:serviceaccount:a:b", ["system:serviceaccounts"]);
        // The name alone makes no node.
        let impostor = UserInfo::new("system:node:a", ["system:authenticated"]);
        for (user, asserted, level) in [
            (&account, true, Level::Exempt),
            (&masters, false, Level::Exempt),
            (&node, false, Level::Nodes),
            (&account, false, Level::Users),
            (&impostor, false, Level::Users),
        ] {
            assert_eq!(Flow::new(user, asserted).level, level, "{}", user.name);
        }
    }
}
