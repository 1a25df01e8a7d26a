//! A watch: newline-separated JSON events, decoded as they arrive.
//!
//! kube's own stream copies every line into a `String` and decodes it into a struct or tree. Here
//! an object is a slice of the frame it came in: in the server's process a frame is one event that
//! the API server has encoded once, so all informers hold the same bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body as _;
use k3s_meta::Status;
use kube::client::Body as ClientBody;
use serde::Deserialize;
use serde_json::value::RawValue;

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
    /// The object was deleted, or left the selection; this is its last state.
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
    body: ClientBody,
    /// What is left of the newest frame.
    frame: Bytes,
    /// The start of a line whose end has not come yet.
    partial: BytesMut,
    resource: Resource,
    ended: bool,
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchStream({})", self.resource)
    }
}

impl WatchStream {
    pub(crate) fn new(body: ClientBody, resource: Resource) -> Self {
        Self {
            body,
            frame: Bytes::new(),
            partial: BytesMut::new(),
            resource,
            ended: false,
        }
    }

    /// The next whole line: a slice of its frame, or a copy where it came in several.
    fn next_line(&mut self) -> Option<Bytes> {
        let Some(end) = memchr::memchr(b'\n', &self.frame) else {
            let start = std::mem::take(&mut self.frame);
            self.partial.extend_from_slice(&start);
            return None;
        };
        let line = self.frame.split_to(end + 1);
        if self.partial.is_empty() {
            return Some(line);
        }
        self.partial.extend_from_slice(&line);
        Some(self.partial.split().freeze())
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
            if self.partial.len() > MAX_EVENT_BYTES {
                return self.fail(Error::decode("a watch event", "it is too large"));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.frame = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return self.fail(Error::Transport(error.into())),
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

fn decode(line: &Bytes, resource: &Resource) -> Result<WatchEvent> {
    let what = || format!("a watch event of {resource}");
    let raw: RawEvent<'_> = serde_json::from_slice(line).map_err(|e| Error::decode(what(), e))?;
    let object = || Obj::from_item(line.slice_ref(raw.object.get().as_bytes()), resource);
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
    use http::{Request, Response};
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use k3s_meta::user::UserInfo;
    use tower::service_fn;

    use super::*;
    use crate::body::BoxError;
    use crate::client::Client;
    use crate::params::WatchParams;
    use crate::resources::PODS;

    /// A watch of a server that answers with these frames.
    async fn stream_of(frames: &[Bytes]) -> WatchStream {
        let frames: Vec<_> = frames.to_vec();
        let server = service_fn(move |_: Request<crate::body::Body>| {
            let frames = frames.clone().into_iter();
            let frames = frames.map(|data| Ok::<_, BoxError>(Frame::data(data)));
            let body = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
            std::future::ready(Ok::<_, BoxError>(Response::new(body)))
        });
        let client = Client::in_process(server, UserInfo::default());
        let params = WatchParams::default();
        client.watch(&PODS, None, &params, "").await.unwrap()
    }

    fn frames(parts: &[&'static str]) -> Vec<Bytes> {
        parts
            .iter()
            .map(|part| Bytes::from_static(part.as_bytes()))
            .collect()
    }

    #[tokio::test]
    async fn an_object_is_a_slice_of_its_frame() {
        let line =
            "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}}\n";
        let frame = Bytes::from(line.repeat(2));
        let mut events = stream_of(std::slice::from_ref(&frame)).await;
        for _ in 0..2 {
            let Some(Ok(WatchEvent::Added(object))) = events.next().await else {
                panic!("no object")
            };
            assert!(frame.as_ptr_range().contains(&object.raw().as_ptr()));
        }
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn events_split_over_frames_come_whole_and_in_order() {
        let mut events = stream_of(&frames(&[
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"na",
            "me\":\"a\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
            "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n",
        ]))
        .await;
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
        let mut events = stream_of(&frames(&[
            "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\",\"reason\":\"Expired\",\"code\":410}}\n",
        ]))
        .await;
        assert!(events.next().await.unwrap().unwrap_err().is_gone());
        assert!(events.next().await.is_none());
    }
}
