//! Watches: the present state where asked for, then every change, as the selectors see it.

mod step;

use std::collections::VecDeque;
use std::sync::Arc;

use k3s_meta::Status;
use k3s_store::{Entry, Event, Revision, WatchError, Watcher};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::list::ListRequest;
use crate::list::Selectors;
use crate::object::Object;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::view::View;
use step::{Step, step};

/// Initial objects handed out at once.
const INITIAL_BATCH: usize = 256;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchRequest {
    /// Only this namespace; empty for all.
    pub namespace: String,
    /// Only objects that match.
    pub selectors: Selectors,
    /// Events after this version; `None` and 0 begin with the present state.
    pub version: Option<u64>,
    /// `sendInitialEvents`.
    pub send_initial: Option<bool>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
}

/// What happened, as the watcher sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object is new to the watcher.
    Added,
    /// It changed.
    Modified,
    /// It was deleted, or the selectors no longer match it.
    Deleted,
}

/// One item of a watch.
pub enum WatchItem {
    /// A change. `event` is shared by all watchers of it; initial objects have none.
    Change {
        /// What happened.
        change: Change,
        /// The object.
        object: Object,
        /// Where an encoding can be kept.
        event: Option<Arc<Event>>,
    },
    /// Everything up to this version was sent.
    Bookmark {
        /// The version.
        revision: u64,
        /// The present state is complete.
        initial_end: bool,
    },
    /// The watch ends.
    Failed(Box<Status>),
}

/// A running watch.
pub struct WatchStream {
    resource: Arc<Resource>,
    selectors: Selectors,
    key: Option<String>,
    initial: VecDeque<Arc<Entry>>,
    initial_bookmark: Option<u64>,
    watcher: Watcher,
    failed: bool,
}

impl Change {
    /// As the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

impl Registry {
    /// Starts a watch.
    ///
    /// # Errors
    /// For an unknown field, and (410) for a version that is compacted; upstream sends the latter as
    /// the first event.
    pub fn watch(&self, resource: &Arc<Resource>, request: &WatchRequest) -> Result<WatchStream> {
        request.selectors.check_fields(resource)?;
        let list = ListRequest {
            namespace: request.namespace.clone(),
            selectors: request.selectors.clone(),
            ..ListRequest::default()
        };
        let range = list.range(resource);
        let version = request.version.unwrap_or(0);
        let wants_state = request.send_initial.unwrap_or(version == 0);
        let (initial, from) = if wants_state {
            self.present(resource, &range, version, &request.selectors)?
        } else if version == 0 {
            (VecDeque::new(), self.store.revision())
        } else {
            (VecDeque::new(), Revision(version))
        };
        let announce = wants_state && request.send_initial == Some(true) && request.bookmarks;
        Ok(WatchStream {
            resource: resource.clone(),
            selectors: request.selectors.clone(),
            key: (!range.ends_with('/')).then(|| range.clone()),
            initial,
            initial_bookmark: announce.then_some(from.0),
            watcher: self.store.watch(&range, from)?,
            failed: false,
        })
    }

    fn present(
        &self,
        resource: &Resource,
        range: &str,
        version: u64,
        selectors: &Selectors,
    ) -> Result<(VecDeque<Arc<Entry>>, Revision)> {
        let snapshot = self.store.snapshot();
        let revision = snapshot.revision();
        if version > revision.0 {
            return Err(Status::too_large_resource_version(version, revision.0, 1).into());
        }
        let mut present = VecDeque::new();
        for entry in snapshot.range(range, None) {
            if resource.is_readable(entry)
                && View::of(entry)?.matches(entry, selectors, resource)?
            {
                present.push_back(entry.clone());
            }
        }
        Ok((present, revision))
    }
}

impl WatchStream {
    /// The next items, at least one while the watch lasts. After [`WatchItem::Failed`], and once the
    /// definition of the resource has changed, there are none. Cancel safe.
    pub async fn next_batch(&mut self) -> Vec<WatchItem> {
        if !self.initial.is_empty() {
            let count = self.initial.len().min(INITIAL_BATCH);
            let resource = &self.resource;
            return self
                .initial
                .drain(..count)
                .map(|entry| added(resource, entry))
                .collect();
        }
        if let Some(revision) = self.initial_bookmark.take() {
            return vec![WatchItem::Bookmark {
                revision,
                initial_end: true,
            }];
        }
        loop {
            let retired = self
                .resource
                .dynamic
                .as_ref()
                .map(|dynamic| dynamic.retired().clone());
            let batch = tokio::select! {
                biased;
                batch = self.watcher.next_batch() => batch,
                () = over(retired) => {
                    self.failed = true;
                    return Vec::new();
                }
            };
            let items = match batch {
                Ok(events) => self.items(&events),
                Err(error) => vec![self.fail(error)],
            };
            if !items.is_empty() {
                return items;
            }
        }
    }

    /// A bookmark of what was sent so far; `None` while initial objects are still to come.
    #[must_use]
    pub fn bookmark(&self) -> Option<WatchItem> {
        let complete = self.initial.is_empty() && self.initial_bookmark.is_none();
        complete.then(|| WatchItem::Bookmark {
            revision: self.watcher.progress().0,
            initial_end: false,
        })
    }

    /// True once the watch has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.failed
    }

    /// The resource watched.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    fn items(&mut self, events: &[Arc<Event>]) -> Vec<WatchItem> {
        let mut items = Vec::with_capacity(events.len());
        for event in events {
            if self.key.as_deref().is_some_and(|key| key != &**event.key()) {
                continue;
            }
            match step(event, &self.selectors, &self.resource) {
                Ok(Some(step)) => items.push(self.item(step, event)),
                Ok(None) => {}
                Err(error) => {
                    self.failed = true;
                    items.push(WatchItem::Failed(Box::new(error.into_status())));
                    return items;
                }
            }
        }
        items
    }

    fn item(&self, step: Step, event: &Arc<Event>) -> WatchItem {
        let Step { change, entry } = step;
        let object = Object::at_revision(&self.resource, entry, event.revision.0);
        WatchItem::Change {
            change,
            object,
            event: Some(event.clone()),
        }
    }

    fn fail(&mut self, error: WatchError) -> WatchItem {
        self.failed = true;
        WatchItem::Failed(Box::new(Error::from(error).into_status()))
    }
}

/// Waits for the end of a resource that is defined at run time; never resolves for others.
async fn over(retired: Option<CancellationToken>) {
    match retired {
        Some(retired) => retired.cancelled().await,
        None => std::future::pending().await,
    }
}

fn added(resource: &Arc<Resource>, entry: Arc<Entry>) -> WatchItem {
    WatchItem::Change {
        change: Change::Added,
        object: Object::stored(resource, entry),
        event: None,
    }
}
