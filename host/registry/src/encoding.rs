//! Stored bytes: canonical JSON without a resource version, and where to put it when serving.

use std::fmt;

use bytes::Bytes;
use k3s_meta::{Status, plain, tree};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Result};

/// The bytes of an object as they are stored. `metadata.resourceVersion` is left out, since it is
/// the revision of the write itself, and so is `selfLink`, which no server fills in any more
/// (`PrepareObjectForStorage`).
///
/// # Errors
/// 413 for an object that nests deeper than [`tree::MAX_DEPTH`] and 400 for one with [`plain::RESERVED_KEY`]: it could
/// be stored and not be read again.
pub fn encode(object: &mut Value) -> Result<Bytes> {
    if tree::depth(object) > tree::MAX_DEPTH {
        let max = tree::MAX_DEPTH;
        let message = format!("the object nests deeper than {max} levels");
        return Err(Status::too_large(&message).into());
    }
    if plain::has_reserved_key(object) {
        let key = plain::RESERVED_KEY;
        return Err(Status::bad_request(format!("no field can have the name {key:?}")).into());
    }
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("resourceVersion");
        meta.remove("selfLink");
    }
    serde_json::to_vec(object)
        .map(Bytes::from)
        .map_err(Error::internal)
}

/// Stored bytes, split where the revision is inserted, and that revision.
#[derive(Clone, Debug)]
pub struct RawObject {
    /// Up to and including the brace that opens `metadata`.
    pub head: Bytes,
    /// `"resourceVersion":"7",`
    pub version: Bytes,
    /// The rest.
    pub tail: Bytes,
}

impl RawObject {
    /// Cuts `value` at `at`, the place that [`metadata_offset`] found.
    pub(crate) fn new(value: &Bytes, at: usize, revision: u64) -> Self {
        let at = at.min(value.len());
        let comma = if value.get(at) == Some(&b'}') {
            ""
        } else {
            ","
        };
        let version = Bytes::from(format!("\"resourceVersion\":\"{revision}\"{comma}"));
        Self {
            head: value.slice(..at),
            version,
            tail: value.slice(at..),
        }
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head
            .len()
            .saturating_add(self.version.len())
            .saturating_add(self.tail.len())
    }

    /// True when there is nothing, which no object is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the object as JSON.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.version);
        out.extend_from_slice(&self.tail);
    }

    /// The object as JSON in one piece.
    #[must_use]
    pub fn join(&self) -> Bytes {
        let mut out = Vec::new();
        self.write_to(&mut out);
        Bytes::from(out)
    }
}

/// Whether the bytes parse as one JSON value, by the rules by which objects are decoded (nesting, numbers,
/// UTF-8). Nothing is kept of it, so this costs a fraction of decoding.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Parses>(bytes).is_ok()
}

/// Any JSON value. (`IgnoredAny` takes deeper nesting, larger numbers and broken text.)
struct Parses;

impl<'de> Deserialize<'de> for Parses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Parses {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The offset just behind the brace that opens the top level `metadata`. `None` when there is none,
/// which means that the bytes are no stored object.
///
/// A search for the text would find an inner `metadata` first in kinds such as ControllerRevision,
/// so nesting is followed.
pub(crate) fn metadata_offset(json: &[u8]) -> Option<usize> {
    let mut scan = Scan { json, at: 0 };
    scan.take(b'{')?;
    loop {
        let key = scan.string()?;
        scan.take(b':')?;
        if key == b"metadata" {
            scan.take(b'{')?;
            return Some(scan.at);
        }
        scan.skip_value()?;
        scan.take(b',')?;
    }
}

struct Scan<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.json.get(self.at).copied()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn take(&mut self, want: u8) -> Option<()> {
        while self.json.get(self.at)?.is_ascii_whitespace() {
            self.at = self.at.saturating_add(1);
        }
        (self.next()? == want).then_some(())
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return self.json.get(start..self.at.saturating_sub(1)),
                b'\\' => self.next()?,
                _ => continue,
            };
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.json.get(self.at)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.at = self.at.saturating_add(1);
                }
                b'}' | b']' if depth > 0 => {
                    depth = depth.saturating_sub(1);
                    self.at = self.at.saturating_add(1);
                }
                b',' | b'}' | b']' if depth == 0 => return Some(()),
                _ => self.at = self.at.saturating_add(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_goes_into_the_outer_metadata() {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "data": {"metadata": {"x": "\"metadata\":{"}},
            "metadata": {"name": "a", "resourceVersion": "4"},
        });
        let bytes = encode(&mut object).unwrap();
        let at = metadata_offset(&bytes).unwrap();
        let served: Value = serde_json::from_slice(&RawObject::new(&bytes, at, 12).join()).unwrap();
        object["metadata"]["resourceVersion"] = json!("12");
        assert_eq!(served, object);
    }

    #[test]
    fn an_object_that_is_too_deep_is_not_stored() {
        let mut object = json!({"metadata": {}});
        for _ in 0..tree::MAX_DEPTH - 2 {
            object = json!({"data": object, "metadata": {}});
        }
        assert!(encode(&mut object).is_ok());
        let mut deeper = json!({"data": object});
        assert!(encode(&mut deeper).is_err());
    }

    #[test]
    fn an_object_that_would_be_read_as_another_is_not_stored() {
        let mut object = json!({"metadata": {}, "data": [{(plain::RESERVED_KEY): "{}"}]});
        assert!(encode(&mut object).is_err());
    }

    #[test]
    fn what_is_no_object_has_no_place() {
        for bad in [
            "",
            "[]",
            "{}",
            "{\"kind\":\"x\"}",
            "k8s\0\n",
            "{\"metadata\":3}",
        ] {
            assert_eq!(metadata_offset(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(metadata_offset(b"{\"metadata\":{}}"), Some(13));
    }
}
