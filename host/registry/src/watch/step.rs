//! From a store event to what a watcher with selectors sees: an object that leaves the selectors'
//! sight is deleted for it, one that enters is added. What cannot be decoded is out of every sight.

use std::sync::Arc;

use k3s_store::{Entry, Event, EventKind};

use super::Change;
use crate::error::{Error, Result};
use crate::list::Selectors;
use crate::resource::Resource;
use crate::view::View;

pub(super) struct Step {
    pub(super) change: Change,
    pub(super) entry: Arc<Entry>,
}

/// What the event is for this watcher; `None` when it sees nothing.
pub(super) fn step(
    event: &Event,
    selectors: &Selectors,
    resource: &Resource,
) -> Result<Option<Step>> {
    let seen = |entry: &Arc<Entry>| {
        Ok::<_, Error>(
            resource.is_readable(entry) && View::of(entry)?.matches(entry, selectors, resource)?,
        )
    };
    let before = match (event.kind, &event.previous) {
        (EventKind::Put { created: true }, _) | (EventKind::Put { .. }, None) => None,
        (EventKind::Put { created: false }, Some(previous)) => Some(previous),
        (EventKind::Delete, _) => Some(&event.entry),
    };
    let was = before.map(seen).transpose()?.unwrap_or(false);
    let is = matches!(event.kind, EventKind::Put { .. }) && seen(&event.entry)?;
    let (change, entry) = match (was, is) {
        (false, true) => (Change::Added, &event.entry),
        (true, true) => (Change::Modified, &event.entry),
        (true, false) => (Change::Deleted, before.unwrap_or(&event.entry)),
        (false, false) => return Ok(None),
    };
    Ok(Some(Step {
        change,
        entry: entry.clone(),
    }))
}
