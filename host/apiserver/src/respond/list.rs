//! A list as an answer: made piece by piece while the client reads, so that its memory does not grow
//! with its length.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use k3s_base::error::chain;
use k3s_registry::{ListResult, Object, Resource, Result};
use k3s_serve::{Body, BoxError, body};
use k3s_store::Entry;
use serde_json::{Value, json};

use super::table::{self, Include};
use super::{JSON, compress, partial, tree, unwritable, with_body};
use crate::context::Context;
use crate::request::{Form, Shape};

/// API version of tables and of metadata alone.
const META_API: &str = "meta.k8s.io/v1";
/// Bytes collected before they are handed on: a few TLS records.
const CHUNK_BYTES: usize = 64 * 1024;

/// The list in the shape and form the client takes.
pub(crate) fn response(
    context: Arc<Context>,
    resource: &Arc<Resource>,
    list: ListResult,
) -> Result<Response<Body>> {
    let writer = Writer::new(context.clone(), resource.clone(), list)?;
    if context.accept.form == Form::Yaml || context.pretty() {
        // For people: small lists, read whole.
        let value: Value =
            serde_json::from_slice(&writer.whole()?).map_err(|error| unwritable(&error))?;
        return tree(&context, StatusCode::OK, &value);
    }
    let count = writer.rest.len();
    if compress::wanted(&context.headers, count) {
        return Ok(compress::response(StatusCode::OK, JSON, writer));
    }
    if count <= SMALL {
        return Ok(with_body(StatusCode::OK, JSON, body::full(writer.whole()?)));
    }
    Ok(with_body(
        StatusCode::OK,
        JSON,
        body::stream(stream::iter(writer)),
    ))
}

/// A list this short is made in one piece.
const SMALL: usize = 16;

/// Makes the JSON of a list chunk by chunk.
pub(crate) struct Writer {
    context: Arc<Context>,
    resource: Arc<Resource>,
    include: Include,
    head: Option<String>,
    rest: std::vec::IntoIter<Arc<Entry>>,
    first: bool,
    done: bool,
}

impl Writer {
    fn new(context: Arc<Context>, resource: Arc<Resource>, list: ListResult) -> Result<Self> {
        let head = head(context.accept.shape, &resource, &list);
        let include = Include::read(&context)?;
        let rest = list.entries.into_iter();
        Ok(Self {
            context,
            resource,
            include,
            head: Some(head),
            rest,
            first: true,
            done: false,
        })
    }

    /// The next chunk; `None` at the end.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if self.done {
            return Ok(None);
        }
        let mut out = self.head.take().map(String::into_bytes).unwrap_or_default();
        out.reserve(CHUNK_BYTES);
        while out.len() < CHUNK_BYTES {
            let Some(entry) = self.rest.next() else {
                out.extend_from_slice(b"]}\n");
                self.done = true;
                return Ok(Some(out));
            };
            if !std::mem::take(&mut self.first) {
                out.push(b',');
            }
            self.item(&mut out, entry)?;
        }
        Ok(Some(out))
    }

    fn item(&self, out: &mut Vec<u8>, entry: Arc<Entry>) -> Result<()> {
        let object = Object::stored(&self.resource, entry);
        let value = match self.context.accept.shape {
            Shape::Table => table::row(
                &self.context,
                &self.resource,
                &object.to_value()?,
                self.include,
            ),
            Shape::Partial => partial::of(&object.to_value()?),
            _ => return object.write_json(out),
        };
        serde_json::to_writer(out, &value).map_err(|error| unwritable(&error))
    }

    fn whole(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

impl Iterator for Writer {
    type Item = std::result::Result<Bytes, BoxError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_chunk() {
            Ok(chunk) => chunk.map(|bytes| Ok(Bytes::from(bytes))),
            Err(error) => {
                // The status line was sent already: only breaking off shows the client that it failed.
                self.done = true;
                tracing::error!(error = chain(&error), "a list broke off");
                Some(Err(error.into()))
            }
        }
    }
}

/// Everything before the first item.
fn head(shape: Shape, resource: &Resource, list: &ListResult) -> String {
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if let Some(token) = &list.continue_token {
        k3s_meta::tree::set(&mut metadata, "continue", token.as_str());
    }
    if let Some(remaining) = list.remaining {
        k3s_meta::tree::set(&mut metadata, "remainingItemCount", remaining);
    }
    let start = |kind: &str, api_version: &str| {
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata}")
    };
    match shape {
        Shape::Table => {
            let start = start("Table", META_API);
            let columns = table::columns(resource);
            format!("{start},\"columnDefinitions\":{columns},\"rows\":[")
        }
        Shape::Partial => {
            let start = start("PartialObjectMetadataList", META_API);
            format!("{start},\"items\":[")
        }
        Shape::Whole | Shape::Discovery => {
            let start = start(resource.kind.list_kind, &resource.api_version);
            format!("{start},\"items\":[")
        }
    }
}
