//! A subscriber's queue: one merged change per object, in the order objects first changed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use k3s_base::Shrink as _;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Informer;
use crate::object::Object;

/// A change of one object since the subscriber last heard of it.
#[derive(Clone, Debug)]
pub enum InformerEvent {
    /// The object is new to the subscriber.
    Added(Object),
    /// The object changed; several changes may be merged. Both states have one UID: an object that
    /// was deleted and created again is reported as deleted and added.
    Updated {
        /// The state the subscriber knew.
        old: Object,
        /// The present state.
        new: Object,
    },
    /// The object was deleted; this is the last state the informer knew.
    Deleted(Object),
}

impl InformerEvent {
    /// The newest state the event carries.
    #[must_use]
    pub fn object(&self) -> &Object {
        match self {
            Self::Added(object) | Self::Deleted(object) | Self::Updated { new: object, .. } => {
                object
            }
        }
    }

    /// Whether the object was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Deleted(_))
    }
}

/// Bounded by the number of objects: a change of an object that is already queued merges into its
/// entry.
#[derive(Default)]
pub(super) struct Feed {
    pending: Mutex<Pending>,
    wake: Notify,
}

#[derive(Default)]
struct Pending {
    order: VecDeque<Arc<str>>,
    changes: HashMap<Arc<str>, Change>,
}

/// What the subscriber knows (`old`) and what is true now (`new`); `unseen` is the last state of an
/// object that came and went between two reads of the subscriber.
struct Change {
    old: Option<Object>,
    new: Option<Object>,
    unseen: Option<Object>,
}

impl Feed {
    pub(super) fn push(&self, old: Option<Object>, new: Option<Object>) {
        let Some(key) = new
            .as_ref()
            .or(old.as_ref())
            .map(|object| object.key().clone())
        else {
            return;
        };
        let mut pending = self.pending.lock();
        match pending.changes.get_mut(&key) {
            Some(change) => {
                if change.old.is_none() && new.is_none() {
                    change.unseen = change.new.take();
                }
                change.new = new;
            }
            None => {
                pending.order.push_back(key.clone());
                pending.changes.insert(
                    key,
                    Change {
                        old,
                        new,
                        unseen: None,
                    },
                );
            }
        }
        drop(pending);
        self.wake.notify_one();
    }

    /// Two states with different UIDs are two objects, and an object that came and went unseen was
    /// still there: both become two events, since controllers count what they created and deleted.
    fn pop(&self) -> Option<InformerEvent> {
        let mut pending = self.pending.lock();
        let key = pending.order.pop_front()?;
        let Change { old, new, unseen } = pending.changes.remove(&key)?;
        pending.order.shrink_when_sparse();
        pending.changes.shrink_when_sparse();
        match (old, new) {
            (None, Some(new)) => Some(InformerEvent::Added(new)),
            (Some(old), Some(new)) if old.uid() == new.uid() => {
                Some(InformerEvent::Updated { old, new })
            }
            (Some(old), Some(new)) => {
                pending.put_back(
                    key,
                    Change {
                        old: None,
                        new: Some(new),
                        unseen: None,
                    },
                );
                Some(InformerEvent::Deleted(old))
            }
            (Some(old), None) => Some(InformerEvent::Deleted(old)),
            (None, None) => {
                let last = unseen?;
                pending.put_back(
                    key,
                    Change {
                        old: Some(last.clone()),
                        new: None,
                        unseen: None,
                    },
                );
                Some(InformerEvent::Added(last))
            }
        }
    }
}

impl Pending {
    fn put_back(&mut self, key: Arc<str>, change: Change) {
        self.order.push_front(key.clone());
        self.changes.insert(key, change);
    }
}

/// A stream of changes. Holds its informer alive.
pub struct Subscription {
    feed: Arc<Feed>,
    informer: Informer,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.informer.resource())
    }
}

impl Subscription {
    pub(super) fn new(feed: Arc<Feed>, informer: Informer) -> Self {
        Self { feed, informer }
    }

    /// The next change; waits for one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> InformerEvent {
        loop {
            if let Some(event) = self.feed.pop() {
                return event;
            }
            self.feed.wake.notified().await;
        }
    }

    /// The next change, if there is one now.
    pub fn try_next(&mut self) -> Option<InformerEvent> {
        self.feed.pop()
    }

    /// The informer behind.
    #[must_use]
    pub fn informer(&self) -> &Informer {
        &self.informer
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Obj;

    fn object(name: &str, version: &str) -> Object {
        Obj::from_value(json!({"metadata": {"name": name, "resourceVersion": version}})).unwrap()
    }

    #[test]
    fn changes_of_one_object_merge() {
        let feed = Feed::default();
        let (v1, v2, v3) = (object("a", "1"), object("a", "2"), object("a", "3"));
        feed.push(Some(v1.clone()), Some(v2.clone()));
        feed.push(Some(v2), Some(v3));
        let Some(InformerEvent::Updated { old, new }) = feed.pop() else {
            panic!("no update")
        };
        assert_eq!((old.resource_version(), new.resource_version()), ("1", "3"));
        assert!(feed.pop().is_none());
    }

    #[test]
    fn an_object_that_came_and_went_unseen_is_added_and_deleted() {
        let feed = Feed::default();
        feed.push(None, Some(object("a", "1")));
        feed.push(Some(object("a", "1")), None);
        assert!(matches!(feed.pop(), Some(InformerEvent::Added(_))));
        assert!(matches!(feed.pop(), Some(InformerEvent::Deleted(_))));
        assert!(feed.pop().is_none());
        feed.push(Some(object("b", "1")), Some(object("b", "2")));
        feed.push(Some(object("b", "2")), None);
        assert!(
            matches!(feed.pop(), Some(InformerEvent::Deleted(o)) if o.resource_version() == "1")
        );
    }

    #[test]
    fn an_object_created_again_is_another_object() {
        let with_uid =
            |uid: &str| Obj::from_value(json!({"metadata": {"name": "a", "uid": uid}})).unwrap();
        let feed = Feed::default();
        feed.push(Some(with_uid("1")), None);
        feed.push(None, Some(with_uid("2")));
        assert!(matches!(feed.pop(), Some(InformerEvent::Deleted(o)) if o.uid() == "1"));
        assert!(matches!(feed.pop(), Some(InformerEvent::Added(o)) if o.uid() == "2"));
    }
}
