//! A watch as an answer: one JSON document per line, for as long as the client stays.
//!
//! A change is encoded once and shared by all watchers that take whole objects as JSON, or their
//! metadata; other forms (tables, YAML) are made per watcher.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use k3s_meta::tree;
use k3s_registry::{Change, Object, Result, WatchItem, WatchStream};
use k3s_serve::{Body, BoxError, body};
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::table::{self, Include};
use super::{JSON, partial, with_body};
use crate::context::Context;
use crate::metrics::Counted;
use crate::request::Shape;

/// How often a watcher that wants bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// The response of a running watch; it ends at `deadline`, when the server stops, or with the client.
pub(crate) fn response(
    context: Arc<Context>,
    watch: WatchStream,
    deadline: Instant,
) -> Result<Response<Body>> {
    let bookmarks = context.query.flag("allowWatchBookmarks");
    let include = Include::read(&context)?;
    let state = State {
        stopping: Box::pin(context.core.tasks.stopping().cancelled_owned()),
        deadline: Box::pin(sleep_until(deadline)),
        next_bookmark: bookmarks.then(|| Instant::now() + BOOKMARK_INTERVAL),
        _open: context.core.metrics.watch(),
        frames: VecDeque::new(),
        columns_sent: false,
        ended: false,
        include,
        context,
        watch,
    };
    let frames = stream::unfold(state, |mut state| async move {
        let frame = state.next().await?;
        Some((Ok::<_, BoxError>(frame), state))
    });
    Ok(with_body(StatusCode::OK, JSON, body::stream(frames)))
}

struct State {
    context: Arc<Context>,
    watch: WatchStream,
    frames: VecDeque<Bytes>,
    deadline: std::pin::Pin<Box<Sleep>>,
    stopping: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
    next_bookmark: Option<Instant>,
    include: Include,
    columns_sent: bool,
    ended: bool,
    _open: Counted,
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            let bookmark_due = until(self.next_bookmark);
            tokio::select! {
                biased;
                () = &mut self.stopping => self.ended = true,
                items = self.watch.next_batch() => self.push_frames(items),
                () = &mut self.deadline => self.last_bookmark(),
                () = bookmark_due => {
                    self.next_bookmark = Some(Instant::now() + BOOKMARK_INTERVAL);
                    self.bookmark();
                }
            }
        }
    }

    fn push_frames(&mut self, items: Vec<WatchItem>) {
        for item in items {
            let frame = self.frame(&item);
            self.frames.push_back(frame.unwrap_or_else(|error| {
                self.ended = true;
                failed(&error.into_status())
            }));
        }
        self.ended |= self.watch.is_over();
    }

    /// A watch that ends in order says how far it came, so that the next one can go on from there.
    fn last_bookmark(&mut self) {
        if self.next_bookmark.is_some() {
            self.bookmark();
        }
        self.ended = true;
    }

    fn bookmark(&mut self) {
        if let Some(WatchItem::Bookmark {
            revision,
            initial_end,
        }) = self.watch.bookmark()
        {
            self.frames
                .push_back(self.bookmark_frame(revision, initial_end));
        }
    }

    fn frame(&mut self, item: &WatchItem) -> Result<Bytes> {
        match item {
            WatchItem::Failed(status) => Ok(failed(status)),
            WatchItem::Bookmark {
                revision,
                initial_end,
            } => Ok(self.bookmark_frame(*revision, *initial_end)),
            WatchItem::Change {
                change,
                object,
                event,
            } => match (self.context.accept.shape, event) {
                (Shape::Table, _) => self.table_frame(*change, object),
                (shape, Some(event)) if object.raw()?.is_some() => {
                    // One memo per event; a resource is served in its stored form at one version.
                    let memo = event.memo(|| Arc::new(Frames::default()));
                    match memo.downcast_ref::<Frames>() {
                        Some(frames) => frames.get(*change, shape == Shape::Partial, object),
                        None => encode(*change, shape == Shape::Partial, object),
                    }
                }
                (shape, _) => encode(*change, shape == Shape::Partial, object),
            },
        }
    }

    fn table_frame(&mut self, change: Change, object: &Object) -> Result<Bytes> {
        let value = object.to_value()?;
        let resource = object.resource();
        let mut shown = json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": tree::text(&value, "metadata.resourceVersion")},
            "rows": [table::row(&self.context, resource, &value, self.include)],
        });
        // Only the first event says what the columns are.
        let columns = if std::mem::replace(&mut self.columns_sent, true) {
            Value::Null
        } else {
            table::columns(resource)
        };
        tree::set(&mut shown, "columnDefinitions", columns);
        Ok(line(change.as_str(), &shown))
    }

    fn bookmark_frame(&self, revision: u64, initial_end: bool) -> Bytes {
        let resource = self.watch.resource();
        let mut metadata =
            json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            let end = json!({"k8s.io/initial-events-end": "true"});
            tree::set(&mut metadata, "annotations", end);
        }
        let object = match self.context.accept.shape {
            Shape::Partial => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Shape::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": null,
                "metadata": {"resourceVersion": revision.to_string()},
                "rows": [{"cells": [], "object": {"kind": resource.kind.kind, "apiVersion": resource.api_version, "metadata": metadata}}],
            }),
            _ => {
                json!({"kind": resource.kind.kind, "apiVersion": resource.api_version, "metadata": metadata})
            }
        };
        line("BOOKMARK", &object)
    }
}

/// Waits for the time; never ends where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The encodings of one event that watchers share.
#[derive(Default)]
struct Frames {
    whole: [OnceLock<Bytes>; 3],
    partial: [OnceLock<Bytes>; 3],
}

impl Frames {
    fn get(&self, change: Change, partial: bool, object: &Object) -> Result<Bytes> {
        let slots = if partial { &self.partial } else { &self.whole };
        let [added, modified, deleted] = slots;
        let slot = match change {
            Change::Added => added,
            Change::Modified => modified,
            Change::Deleted => deleted,
        };
        if let Some(frame) = slot.get() {
            return Ok(frame.clone());
        }
        let frame = encode(change, partial, object)?;
        Ok(slot.get_or_init(|| frame).clone())
    }
}

fn encode(change: Change, partial: bool, object: &Object) -> Result<Bytes> {
    if partial {
        return Ok(line(change.as_str(), &partial::of(&object.to_value()?)));
    }
    let mut out = format!("{{\"type\":\"{}\",\"object\":", change.as_str()).into_bytes();
    object.write_json(&mut out)?;
    out.extend_from_slice(b"}\n");
    Ok(out.into())
}

fn failed(status: &k3s_meta::Status) -> Bytes {
    line("ERROR", &status.to_value())
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}

/// A watch that fails at once: the reason as its only event.
pub(crate) fn refused(status: &k3s_meta::Status) -> Response<Body> {
    with_body(StatusCode::OK, JSON, body::full(failed(status)))
}
