//! WATCH of the fake: the log from a version on, as a stream of lines.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k3s_meta::Status;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer;
use super::path::Target;
use super::read::Selection;
use super::store::{Change, Signal, Store};
use crate::body::{Body, BoxError};

struct Lines {
    signals: mpsc::UnboundedReceiver<Signal>,
    target: Target,
    selection: Selection,
    ready: VecDeque<Value>,
    ended: bool,
}

pub(super) fn start(
    store: &Arc<Store>,
    target: &Target,
    query: &BTreeMap<String, String>,
) -> Response<Body> {
    let selection = match Selection::from_query(query) {
        Ok(selection) => selection,
        Err(status) => return answer::status(&status),
    };
    let from: Option<u64> = query
        .get("resourceVersion")
        .and_then(|v| v.parse().ok())
        .filter(|v| *v > 0);
    let initial = query.get("sendInitialEvents").is_some_and(|v| v == "true");
    let mut ready = VecDeque::new();
    let after = match from.filter(|_| !initial) {
        Some(from) => from,
        None => {
            let (objects, revision) = store.snapshot(target);
            ready.extend(
                objects
                    .into_iter()
                    .filter(|o| selection.picks(o))
                    .map(|o| json!({"type": "ADDED", "object": o})),
            );
            if initial {
                ready.push_back(json!({"type": "BOOKMARK", "object": {"apiVersion": target.api_version,
                    "metadata": {"resourceVersion": revision.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}}}));
            }
            revision
        }
    };
    let Some(signals) = store.watch(after) else {
        return answer::status(&Status::expired(format!(
            "too old resource version: {after}"
        )));
    };
    let lines = Lines {
        signals,
        target: target.clone(),
        selection,
        ready,
        ended: false,
    };
    Response::new(BodyExt::boxed(StreamBody::new(lines)))
}

impl Stream for Lines {
    type Item = Result<Frame<Bytes>, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("{line}\n"))))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.signals.poll_recv(cx)) {
                Some(Signal::Change(change)) => {
                    if let Some(line) = self.event(&change) {
                        self.ready.push_back(line);
                    }
                }
                Some(Signal::Expired) => {
                    self.ended = true;
                    let status = Status::expired("too old resource version");
                    self.ready
                        .push_back(json!({"type": "ERROR", "object": status.to_value()}));
                }
                None => self.ended = true,
            }
        }
    }
}

impl Lines {
    /// An object that leaves the selection is DELETED for this watch, one that enters is ADDED.
    fn event(&self, change: &Change) -> Option<Value> {
        if change.table != self.target.table() {
            return None;
        }
        let picks = |o: &&Value| {
            let namespace = k3s_meta::object::namespace(o);
            (self.target.namespace.is_empty() || self.target.namespace == namespace)
                && self.selection.picks(o)
        };
        let before = change.before.as_ref().filter(picks);
        let after = change.after.as_ref().filter(picks);
        let (kind, object) = match (before, after) {
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(before), None) => ("DELETED", change.after.as_ref().unwrap_or(before)),
            (None, None) => return None,
        };
        Some(json!({"type": kind, "object": object}))
    }
}
