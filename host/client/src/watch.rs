//! A watch: newline-separated JSON events, decoded as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body as _;
use k3s_meta::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::Body;
use crate::error::{Error, Result};
use crate::object::{Obj, Object};
use crate::resource::Resource;

/// No event is larger: etcd's and our store's limit for an object is 1.5 to 3 MB.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The object came into being, or into the selection.
    Added(Object),
    /// The object changed.
    Modified(Object),
    /// The object is gone, or out of the selection; this is its last state.
    Deleted(Object),
    /// Nothing changed up to this version.
    Bookmark {
        /// The version.
        resource_version: String,
        /// The bookmark that closes the initial events.
        initial_events_end: bool,
    },
}

/// The stream of a watch. It ends after the first error.
pub struct WatchStream {
    body: Body,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no newline.
    scanned: usize,
    resource: Resource,
    ended: bool,
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchStream({})", self.resource)
    }
}

impl WatchStream {
    pub(crate) fn new(body: Body, resource: Resource) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            scanned: 0,
            resource,
            ended: false,
        }
    }

    fn next_line(&mut self) -> Option<Bytes> {
        let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
        match fresh.iter().position(|&byte| byte == b'\n') {
            Some(at) => {
                let line = self.buffer.split_to(self.scanned + at + 1).freeze();
                self.scanned = 0;
                Some(line)
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<WatchEvent>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(line) = self.next_line() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return match decode(&line, &self.resource) {
                    Ok(event) => Poll::Ready(Some(Ok(event))),
                    Err(error) => self.fail(error),
                };
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                return self.fail(Error::decode("a watch event", "it is too large"));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return self.fail(Error::Transport(error)),
                None => self.ended = true,
            }
        }
    }
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BookmarkObject {
    metadata: BookmarkMeta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct BookmarkMeta {
    resource_version: String,
    annotations: std::collections::BTreeMap<String, String>,
}

fn decode(line: &[u8], resource: &Resource) -> Result<WatchEvent> {
    let what = || format!("a watch event of {resource}");
    let raw: RawEvent<'_> = serde_json::from_slice(line).map_err(|e| Error::decode(what(), e))?;
    let object = || Obj::from_item(raw.object.get().as_bytes(), resource);
    match raw.kind {
        "ADDED" => Ok(WatchEvent::Added(object()?)),
        "MODIFIED" => Ok(WatchEvent::Modified(object()?)),
        "DELETED" => Ok(WatchEvent::Deleted(object()?)),
        "BOOKMARK" => {
            let mark: BookmarkObject =
                serde_json::from_str(raw.object.get()).map_err(|e| Error::decode(what(), e))?;
            let ended = mark
                .metadata
                .annotations
                .get("k8s.io/initial-events-end")
                .is_some_and(|v| v == "true");
            Ok(WatchEvent::Bookmark {
                resource_version: mark.metadata.resource_version,
                initial_events_end: ended,
            })
        }
        "ERROR" => {
            let status: Status =
                serde_json::from_str(raw.object.get()).map_err(|e| Error::decode(what(), e))?;
            Err(Error::Status(Box::new(status)))
        }
        other => Err(Error::decode(what(), format!("unknown type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::body::BoxError;

    fn stream_of(parts: &[&'static str]) -> WatchStream {
        let frames: Vec<Result<Frame<Bytes>, BoxError>> = parts
            .iter()
            .map(|p| Ok(Frame::data(Bytes::from_static(p.as_bytes()))))
            .collect();
        WatchStream::new(
            BodyExt::boxed(StreamBody::new(stream::iter(frames))),
            crate::resources::PODS,
        )
    }

    #[tokio::test]
    async fn events_split_over_frames_come_whole_and_in_order() {
        let mut events = stream_of(&[
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"na",
            "me\":\"a\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
            "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n",
        ]);
        assert!(
            matches!(events.next().await, Some(Ok(WatchEvent::Added(o))) if o.name() == "a" && o.kind() == "Pod")
        );
        assert!(
            matches!(events.next().await, Some(Ok(WatchEvent::Bookmark { resource_version, initial_events_end: true })) if resource_version == "7")
        );
        assert!(matches!(
            events.next().await,
            Some(Ok(WatchEvent::Deleted(_)))
        ));
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn an_error_event_ends_the_stream() {
        let mut events = stream_of(&[
            "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\",\"reason\":\"Expired\",\"code\":410}}\n",
        ]);
        assert!(events.next().await.unwrap().unwrap_err().is_gone());
        assert!(events.next().await.is_none());
    }
}
